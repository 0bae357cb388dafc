"""The units, started by systemd itself, which is a container's first process."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from pipeline.service import Service, Settings
from tests.containers.podman import MISSING, ROOT, Podman
from tests.integration.test_systemd_units import (
    OWN,
    UNITS,
    completed,
    service_settings,
    submit,
    write_credentials,
)
from tests.role_users import RoleUsers, role_users
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING}; `make container-packages`"),
    pytest.mark.skipif(os.geteuid() != 0, reason="systemd in a container needs root"),
]
IMAGE, NAME = "localhost/qrmill-systemd", "qrmill-systemd-test"
#: Its systemd runs with control groups of either version.
SUITE = "bookworm"
PORT = 8080  # the unit's own


class Machine:
    """A container in which systemd runs, on this machine's network."""

    def __init__(self, podman: Podman) -> None:
        self.podman = podman

    def __call__(self, *command: str, seconds: float = 90) -> str:
        return self.podman("exec", NAME, *command, seconds=seconds)

    def property(self, unit: str, name: str) -> str:
        return self("systemctl", "show", "--value", f"--property={name}", unit).strip()


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    made = Podman(tmp_path_factory.mktemp("podman"))
    base = made.make_base(SUITE, "systemd,systemd-sysv,dbus")
    file = Path(__file__).with_name("Containerfile.systemd")
    made.build(file, ROOT, IMAGE, f"--build-arg=BASE={base}")
    return made


@pytest.fixture
def users(settings: Settings) -> Iterator[RoleUsers]:
    with role_users(settings.redis_url) as found:
        yield found


@pytest.fixture
def machine(
    podman: Podman, settings: Settings, users: RoleUsers, tmp_path: Path
) -> Iterator[Machine]:
    made = Machine(podman)
    how = ["--privileged", "--systemd=always", "--network=host"]
    podman("run", "--detach", "--name", NAME, *how, IMAGE)
    try:
        wait_for(lambda: systemd_runs(podman), "systemd")
        etc = tmp_path / "qrmill"
        write_credentials(etc / "credentials", settings, users)
        (etc / "qrmill.env").write_text(service_settings(settings), "utf-8")
        podman("cp", etc, f"{NAME}:/etc/qrmill")
        podman("cp", f"{ROOT}/deploy/systemd/.", f"{NAME}:/etc/systemd/system/")
        made("chmod", "-R", "go=", "/etc/qrmill")
        made("systemctl", "daemon-reload")
        yield made
    finally:
        print(podman("exec", NAME, "journalctl", "--no-pager", "--lines=200", "--unit=qrmill-*"))  # noqa: T201 - if it fails
        podman("rm", "--force", "--time=10", NAME)


def systemd_runs(podman: Podman) -> bool:
    said = podman.attempt("exec", NAME, "systemctl", "is-system-running")
    return said.stdout.strip() in {"running", "degraded"}


def test_the_units_run_fenced_in_do_jobs_and_end_cleanly(
    machine: Machine, service: Service, settings: Settings, users: RoleUsers
) -> None:
    token = service.api_keys.create(name="client", role="client").token
    machine("systemctl", "start", *UNITS)
    url, headers = f"http://127.0.0.1:{PORT}", {"X-API-Key": token}
    with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        completed(client, submit(client, 1))
        late = submit(client, 1000)
        machine("systemctl", "restart", "qrmill-worker@render")
        machine("systemctl", "reload", "qrmill-api")
        completed(client, late)
    for unit in UNITS:
        status = machine("cat", f"/proc/{machine.property(unit, 'MainPID')}/status").split("\n")
        found = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert (found["CapBnd"], found["NoNewPrivs"], found["Seccomp"]) == ("0" * 16, "1", "2")
        assert found["Uid"].split()[0] != "0"
        environ = machine("cat", f"/proc/{machine.property(unit, 'MainPID')}/environ")
        assert [url for url in users.urls.values() if url in environ] == []
        assert str(settings.s3_secret_access_key) not in environ
    at_redis = set(users.of_ports().values()) - {"default"}  # this test's own
    assert at_redis == set.union(*OWN.values())
    assert users.refused() == []
    machine("systemctl", "stop", *UNITS)
    for unit in UNITS:
        assert machine.property(unit, "Result") == "success", unit
        assert machine.property(unit, "NRestarts") == "0", unit
        assert machine.property(unit, "ExecMainStatus") == "0", unit
