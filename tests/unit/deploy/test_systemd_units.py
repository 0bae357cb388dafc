"""The unit files of deploy/systemd/, checked by systemd's own tool."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.server import Queue
from api.connections.open_files import connections_within
from api.connections.sizes import wanted_connections
from pipeline.settings import Settings, SettingsError, variable
from tests.systemd_units import QUEUES, UNITS, Unit

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="no systemd-analyze; `make debian-packages` installs it",
)
PROGRAMS = Path(sys.executable).parent
NAMES = ["qrmill-api", "qrmill-sweep", "qrmill-worker@render", "qrmill-worker@webhook"]
#: What a unit has as files of its role.
SECRETS = ("redis-url", "s3-access-key-id", "s3-secret-access-key")
OWN_KEY = ("s3_access_key_id_file", "s3_secret_access_key_file")


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units as they would be found, with a program that there is here."""
    made = []
    for drop_ins in UNITS.glob("*.service.d"):
        shutil.copytree(drop_ins, tmp_path / drop_ins.name)
    for name in NAMES:
        template = name.partition("@")[0] + ("@" if "@" in name else "")
        text = (UNITS / f"{template}.service").read_text("utf-8")
        for found in {f"{template}.service", f"{name}.service"}:
            path = tmp_path / found
            path.write_text(text.replace("/opt/qrmill/bin", str(PROGRAMS)), "utf-8")
        made.append(tmp_path / f"{name}.service")
    return made


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_finds_nothing_wrong_in_the_units(units: list[Path]) -> None:
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_find_what_is_wrong(units: list[Path]) -> None:
    text = units[0].read_text("utf-8").replace("KillMode=mixed", "KillMode=gentle")
    units[0].write_text(text.replace("TimeoutStopSec=45", "TimeoutStopSecs=45"), "utf-8")
    done = analyze("verify", "--man=no", units[0])
    assert "gentle" in done.stderr
    assert "TimeoutStopSecs" in done.stderr


def test_systemd_reads_the_drop_in_of_a_queue(units: list[Path]) -> None:
    drop_in = units[-1].parent / "qrmill-worker@webhook.service.d/threads.conf"
    text = drop_in.read_text("utf-8")
    drop_in.write_text(text.replace("Environment", "Enviroment"), "utf-8")
    assert "threads.conf" in analyze("verify", "--man=no", units[-1]).stderr


def test_the_units_are_fenced_in(units: list[Path]) -> None:
    for unit in units:
        # In tenths of systemd's measure of exposure, from 0 to 10; "OK" is below 5.
        done = analyze("security", "--offline=true", "--threshold=20", unit)
        assert done.returncode == 0, done.stdout


def test_a_unit_gets_the_redis_url_and_the_s3_key_of_its_own_role(tmp_path: Path) -> None:
    for name in NAMES:
        role = name.removeprefix("qrmill-").partition("@")[0]
        assert Unit(name, tmp_path, PROGRAMS).all("LoadCredential") == [
            f"{secret}:/etc/qrmill/credentials/{secret}-{role}" for secret in SECRETS
        ]


def test_on_a_machine_with_a_role_at_s3_the_settings_prevail(tmp_path: Path) -> None:
    """As systemd.md says: files of the key with nothing in them, and two empty lines."""
    directory = tmp_path / "etc/qrmill/credentials"
    directory.mkdir(parents=True)
    for role in ("api", "worker", "sweep"):
        (directory / f"redis-url-{role}").write_text("redis://redis", "utf-8")
        for secret in SECRETS[1:]:
            (directory / f"{secret}-{role}").touch()
    for name in NAMES:
        (tmp_path / "etc/qrmill/qrmill.env").write_text("", "utf-8")
        made = Unit(name, tmp_path, PROGRAMS).part(lambda: lambda: True)
        with pytest.raises(SettingsError, match=r"S3_ACCESS_KEY_ID_FILE.* is empty"):
            Settings.from_environment(made.environment)
        lines = [f"{variable(field)}=\n" for field in OWN_KEY]
        (tmp_path / "etc/qrmill/qrmill.env").write_text("".join(lines), "utf-8")
        made = Unit(name, tmp_path, PROGRAMS).part(lambda: lambda: True)
        assert Settings.from_environment(made.environment).s3_access_key_id is None


def test_every_queue_can_be_an_instance(tmp_path: Path) -> None:
    assert set(QUEUES) == set(Queue)
    for queue in QUEUES:
        unit = Unit(f"qrmill-worker@{queue}", tmp_path, PROGRAMS)
        threads = "8" if queue == "webhook" else "2"  # as in compose.yaml
        assert unit.command(unit.environment())[-4:] == ("--queue", queue, "--threads", threads)


def test_a_second_worker_of_a_queue_has_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "etc/qrmill").mkdir(parents=True)
    own = tmp_path / "etc/qrmill/worker-render-2.env"
    own.write_text("WORKER_QUEUE=render\nWORKER_THREADS=1\nQRMILL_METRICS_PORT=9112\n", "utf-8")
    unit = Unit("qrmill-worker@render-2", tmp_path, PROGRAMS)
    environment = unit.environment()
    assert unit.command(environment)[-4:] == ("--queue", "render", "--threads", "1")
    assert environment["QRMILL_METRICS_PORT"] == "9112"


def test_a_unit_may_open_as_many_files_as_its_processes_need(tmp_path: Path) -> None:
    wanted = wanted_connections(Settings().long_polls)
    limits = {name: int(Unit(name, tmp_path, PROGRAMS).the("LimitNOFILE")) for name in NAMES}
    assert connections_within(limits["qrmill-api"], wanted) == wanted
    assert min(limits.values()) > 1024


def test_a_unit_has_more_time_to_end_than_its_programs_take(tmp_path: Path) -> None:
    for name in NAMES:
        unit = Unit(name, tmp_path, PROGRAMS)
        assert unit.the("KillMode") == "mixed"
        assert int(unit.the("TimeoutStopSec")) > 30  # api.gunicorn_conf, api.cli.server
