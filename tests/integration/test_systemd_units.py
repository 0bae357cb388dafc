"""The commands of the unit files, started as systemd would, against real servers."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import psutil
import pytest

from deploy.embedded.ports import free_port
from deploy.embedded.process import PartProcess, Probe, stop_all, wait_until
from pipeline.service import Service, Settings
from tests.receiver import receiving
from tests.role_users import RoleUsers, role_users
from tests.systemd_units import QUEUES, Notified, Unit
from tests.waiting import wait_for

PAGE = Path(__file__).parents[2] / "deploy" / "systemd.md"
PROGRAMS = Path(sys.executable).parent
WORKERS = [f"qrmill-worker@{queue}" for queue in QUEUES]
UNITS = ["qrmill-api", "qrmill-sweep", *WORKERS]
#: As whom each is to be known at Redis.
OWN = {name: {name.partition("@")[0]} for name in UNITS}


def service_settings(settings: Settings) -> str:
    """What is in /etc/qrmill/qrmill.env."""
    lines = {
        "QRMILL_S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "QRMILL_BUCKET": settings.bucket,
        "QRMILL_STAGING_BUCKET": settings.staging_bucket,
        "QRMILL_CHUNK_SIZE": "10",
        "QRMILL_CALLBACK_HTTP": "true",
        "QRMILL_CALLBACK_NETWORKS": "127.0.0.1/32",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def write_credentials(directory: Path, settings: Settings, users: RoleUsers) -> None:
    """Write what is in /etc/qrmill/credentials."""
    directory.mkdir(parents=True)
    for role, url in users.urls.items():
        (directory / f"redis-url-{role}").write_text(url, "utf-8")
        (directory / f"s3-access-key-id-{role}").write_text(str(settings.s3_access_key_id), "utf-8")
        secret = str(settings.s3_secret_access_key)
        (directory / f"s3-secret-access-key-{role}").write_text(secret, "utf-8")


class Machine:
    """A machine whose folders are below one of the test's; it starts and stops units."""

    def __init__(self, root: Path, settings: Settings, users: RoleUsers) -> None:
        self.root, self.port = root, free_port()
        self.running: dict[str, PartProcess] = {}
        write_credentials(root / "etc/qrmill/credentials", settings, users)
        (root / "etc/qrmill/qrmill.env").write_text(service_settings(settings), "utf-8")

    def start(self, name: str, probe: Probe = lambda: True) -> PartProcess:
        part = Unit(name, self.root, PROGRAMS).part(lambda: probe)
        # The API's port is free here, all else is the unit's.
        command = tuple(word.replace(":8080", f":{self.port}") for word in part.command)
        part = dataclasses.replace(part, command=command)
        self.running[name] = PartProcess(part, self.root / "logs")
        return self.running[name]

    def stop(self, *names: str) -> dict[str, str]:
        """Do what KillMode=mixed does; return how the main processes ended."""
        stopped = {name: self.running.pop(name) for name in names}
        children = [child for process in stopped.values() for child in family(process)[1:]]
        for process in stopped.values():
            process.terminate()
        for name, process in stopped.items():
            assert wait_until(process.ended, process.part.stop_seconds), name
        assert [child for child in children if child.is_running()] == []
        return {name: process.clear() for name, process in stopped.items()}

    def connections(self, name: str, to: int) -> set[int]:
        """Return the ports from which a unit's processes are connected to a server's."""
        found = [row for each in family(self.running[name]) for row in each.net_connections("tcp")]
        connected = [row for row in found if row.status == psutil.CONN_ESTABLISHED]
        return {row.laddr.port for row in connected if row.raddr.port == to}


def family(process: PartProcess) -> list[psutil.Process]:
    """Return a unit's main process and all that came of it."""
    main = psutil.Process(process.pid)
    return [main, *main.children(recursive=True)]


@pytest.fixture
def users(settings: Settings) -> Iterator[RoleUsers]:
    with role_users(settings.redis_url) as found:
        yield found


@pytest.fixture
def machine(settings: Settings, users: RoleUsers, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, settings, users)
    yield made
    stop_all([*made.running.values()])


@pytest.fixture
def client(machine: Machine, service: Service) -> Iterator[httpx2.Client]:
    """A client of the API that its unit starts, whose callbacks are signed."""
    key = service.api_keys.create(name="client", role="client")
    service.webhook_secrets.make(key.key.key_id)
    with closing(Notified(machine.root / "notify")) as notified:
        machine.start("qrmill-api", notified)
        wait_for(notified, "READY=1 from gunicorn")
    url, headers = f"http://127.0.0.1:{machine.port}", {"X-API-Key": key.token}
    with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.long
def test_the_units_do_jobs_and_end_as_they_are_asked(
    machine: Machine, client: httpx2.Client, users: RoleUsers
) -> None:
    port = free_port()
    own = machine.root / "etc/qrmill/worker-render.env"
    own.write_text(f"QRMILL_METRICS_PORT={port}\n", "utf-8")
    for name in ("qrmill-sweep", *WORKERS):
        machine.start(name)
    with receiving() as receiver:
        small = submit(client, 1, callback_url=receiver.url)
        large = submit(client, 25)
        assert {completed(client, small), completed(client, large)} == {small, large}
        wait_for(lambda: receiver.received, "the callback, from the worker of its queue")
    metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    seen = set(re.findall(r'dramatiq_messages_total\{[^}]*queue_name="(\w+)"', metrics))
    assert seen == {"render"}
    late = submit(client, 500)
    assert machine.stop("qrmill-worker@render") == {"qrmill-worker@render": "exit status 0"}
    machine.start("qrmill-worker@render")
    completed(client, late)
    # The worker of before may have done all of that one; the new one has to be up to be stopped.
    completed(client, submit(client, 25))
    wait_for(lambda: signed_in(machine, users) == OWN, "each unit's own user at Redis")
    ends = machine.stop(*machine.running)
    assert ends == dict.fromkeys(UNITS, "exit status 0")
    assert users.refused() == []


def test_the_first_key_is_made_and_the_doctor_run_as_the_page_says(
    machine: Machine, service: Service
) -> None:
    (script,) = re.findall(r"```sh\n(as_role\(\).*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for there, here in (("/etc/", f"{machine.root}/etc/"), ("/opt/qrmill/bin", str(PROGRAMS))):
        script = script.replace(there, here)
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    token, *findings = done.stdout.splitlines()
    key = service.api_keys.authenticate(token)
    assert key is not None
    assert key.role == "operator"
    told = {line[5:29].strip(): line[:5].strip() for line in findings if line[:5].strip()}
    assert [told[name] for name in ("settings", "redis", "s3 credentials")] == ["ok"] * 3
    assert told["workers"] == "fail"  # none was started


def signed_in(machine: Machine, users: RoleUsers) -> dict[str, set[str]]:
    """Return as whom the processes of each unit are connected to Redis."""
    known = users.of_ports()
    return {
        name: {known.get(port, "gone") for port in machine.connections(name, users.port)}
        for name in UNITS
    }


def submit(client: httpx2.Client, items: int, **others: str) -> str:
    serials = [{"serial": f"{number:05}"} for number in range(items)]
    answer = client.post("/qr/bulk/", json={"gtin": "9506000134352", "items": serials, **others})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def completed(client: httpx2.Client, task_id: str) -> str:
    """Wait for a job to be completed; return its id."""

    def ended() -> bool:
        answer = client.get(f"/qr/bulk/{task_id}/", headers={"Prefer": "wait=10"}).json()
        assert answer["status"] != "failed", answer
        return bool(answer["status"] == "completed")

    wait_for(ended, "the job")
    return task_id
