"""The unit files of deploy/systemd/, interpreted for machines on which systemd does not run.

Specifiers, credentials and the order of environments follow systemd.unit(5) and systemd.exec(5).
System directories are created below a directory of the test.
"""

import re
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.process import Part, Probe

UNITS = Path(__file__).parents[1] / "deploy" / "systemd"
QUEUES = ("render", "express", "bundle", "webhook")


class Unit:
    """A unit, or an instance of a template unit.

    Args:
        name: name of the unit as for systemctl, such as ``qrmill-worker@render``.
        root: directory in place of ``/``, from which /etc/qrmill is read.
        programs: directory in place of /opt/qrmill/bin.
    """

    def __init__(self, name: str, root: Path, programs: Path) -> None:
        template, at, instance = name.partition("@")
        self.name, self.root = name, root
        files = [UNITS / f"{template}{at}.service", *(UNITS / f"{name}.service.d").glob("*.conf")]
        text = "".join(path.read_text("utf-8") for path in files)
        self.lines: list[tuple[str, str]] = re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)
        self._specifiers = {
            "%t": f"{root}/run",
            "%C": f"{root}/var/cache",
            "%d": f"{root}/run/credentials/{name}.service",
            "%i": instance,
            "/opt/qrmill/bin": str(programs),
        }

    def all(self, key: str) -> list[str]:
        """Return the values of a key in order, with specifiers replaced."""
        values = [value for name, value in self.lines if name == key]
        for specifier, found in self._specifiers.items():
            values = [value.replace(specifier, found) for value in values]
        assert not [value for value in values if "%" in value], values
        return values

    def the(self, key: str) -> str:
        """Return the value of a key that occurs exactly once."""
        (value,) = self.all(key)
        return value

    def environment(self) -> dict[str, str]:
        """Return the variables of Environment=, overridden by those of EnvironmentFile=."""
        found = dict(
            word.split("=", 1) for line in self.all("Environment") for word in line.split()
        )
        for value in self.all("EnvironmentFile"):
            path = self.root / value.removeprefix("-").lstrip("/")
            assert path.exists() or value.startswith("-"), path
            if path.exists():
                lines = path.read_text("utf-8").splitlines()
                found |= dict(line.split("=", 1) for line in lines if "=" in line)
        return found

    def command(self, environment: dict[str, str]) -> tuple[str, ...]:
        """Return the words of ExecStart=, with ``${VARIABLES}`` replaced."""
        line = re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], self.the("ExecStart"))
        return tuple(shlex.split(line))

    def part(self, new_probe: Callable[[], Probe]) -> Part:
        """Create the unit's directories and credentials; return its process."""
        self._make_folders()
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | self.environment()
        if self.the("Type") == "notify":
            environment["NOTIFY_SOCKET"] = str(self.root / "notify")
        return Part(
            name=self.name,
            command=self.command(environment),
            directory=Path(self.the("WorkingDirectory")),
            environment=environment,
            new_probe=new_probe,
            stop_seconds=float(self.the("TimeoutStopSec")),
        )

    def _make_folders(self) -> None:
        for key, below in (("RuntimeDirectory", "run"), ("CacheDirectory", "var/cache")):
            for name in self.all(key):
                (self.root / below / name).mkdir(0o700, parents=True, exist_ok=True)
        for line in self.all("LoadCredential"):
            name, _, source = line.partition(":")
            path = Path(self._specifiers["%d"]) / name
            path.parent.mkdir(0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes((self.root / source.lstrip("/")).read_bytes())
            path.chmod(0o400)


class Notified:
    """Readiness probe of services with Type=notify: receives their messages (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)  # noqa: FBT003 - its only form
        self.said: list[str] = []

    def __call__(self) -> bool:
        try:
            while True:
                self.said += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return "READY=1" in self.said

    def close(self) -> None:
        self._socket.close()
