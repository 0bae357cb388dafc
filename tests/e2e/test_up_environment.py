"""``qrmill up`` where people start it: behind a proxy, in odd directories, without its reader."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from rich.console import Console

from deploy.embedded.demo import Stages
from deploy.embedded.demo import run as run_demo
from deploy.embedded.demo_job import Job, make_request
from deploy.embedded.process import wait_until
from deploy.embedded.ready import read_ready
from tests.command_line import qrmill
from tests.environment_proxies import recording_proxy

#: Characters with a meaning for Valkey, globs, shells, URLs or Python, one directory below another.
ODD = [
    'a"b',
    "a\\b\\",
    " a 'b",
    "[a]*?",
    "a\nb\tc\x1b",
    "$HOME`id`{x}%s",
    "a:b,c=d@e",
    "#;&|<>!",
    "-x",
    "ä€😀\u0301\u202e",
    "end\u00a0 ",
]
TOO_LONG = "x" * 256


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Start]:
    """Starts ``up`` on ``tmp_path``, with the standard streams as a shell redirects them."""
    started = []

    def start(
        *,
        data_dir: Path = tmp_path / "data",
        redirect: str = "",
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "deploy.embedded", "up", "--port", "0"]
        command += ["--data-dir", str(data_dir), "--ready-file", str(tmp_path / "ready.json")]
        shell = ["sh", "-c", f'exec "$@" {redirect}', "sh"]
        process = subprocess.Popen(
            [*shell, *command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(90)


def wait_ready(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    ready = tmp_path / "ready.json"
    assert wait_until(lambda: ready.exists() or process.poll() is not None, 60)
    assert process.poll() is None


def complete_a_job(tmp_path: Path) -> None:
    ready = read_ready(tmp_path / "ready.json")
    headers = {"X-API-Key": ready.client_key}
    with httpx2.Client(base_url=ready.api_url, headers=headers, trust_env=False) as client:
        url = Job(client, make_request(20)).follow(lambda _: None)["download_url"]
        assert client.get(url).is_success


@pytest.mark.long
def test_no_process_uses_a_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording_proxy() as proxy:
        for name, value in proxy.environment().items():
            monkeypatch.setenv(name, value)
        run_demo(tmp_path, 300, Console(file=io.StringIO()), Stages())
        assert proxy.requests == []


@pytest.mark.long
def test_the_doctor_uses_no_proxy_for_loopback(tmp_path: Path, up: Start) -> None:
    wait_ready(tmp_path, up())
    ready = read_ready(tmp_path / "ready.json")
    service = {
        "QRMILL_REDIS_URL": ready.redis_url,
        "QRMILL_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "QRMILL_S3_ACCESS_KEY_ID": ready.s3_access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": ready.s3_secret_file,
    }
    with recording_proxy() as proxy:
        done = qrmill("doctor", **service, **proxy.environment())
        assert done.returncode == 0, done.stdout
        assert proxy.requests == []


def test_a_data_directory_with_any_path_works(tmp_path: Path, up: Start) -> None:
    data_dir = padded(tmp_path, 3500 - len(os.fsencode(Path(*ODD))) - 1).joinpath(*ODD)
    assert len(os.fsencode(data_dir)) == 3500
    wait_ready(tmp_path, up(data_dir=data_dir))
    complete_a_job(tmp_path)
    ready = read_ready(tmp_path / "ready.json")
    assert Path(ready.s3_secret_file).parent.parent == data_dir
    api, *workers = (
        httpx2.get(ready.metrics_urls[role], trust_env=False).text
        for role in ("api", "worker-1", "worker-2")
    )
    assert "qrmill_s3_calls_total" in api
    assert "qrmill_s3_calls_total" in "".join(workers)  # one worker has done the whole job
    assert (data_dir / "valkey" / "appendonlydir").is_dir()


def padded(directory: Path, length: int) -> Path:
    """A path below ``directory`` with ``length`` bytes, in short names."""
    while (left := length - len(os.fsencode(directory))) > 200:
        directory /= "d" * 100
    return directory / ("d" * (left - 1))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (os.fsdecode(b"latin-\xe4"), r"/latin-\xe4. Rename the directory"),
        ("/".join(["x" * 200] * 18), "but at most 3500 are possible"),
        (TOO_LONG, "File name too long"),
    ],
)
def test_a_data_directory_that_cannot_work_is_refused(
    tmp_path: Path, up: Start, name: str, reason: str
) -> None:
    process = up(data_dir=tmp_path / name, stderr=subprocess.PIPE)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.startswith(b"qrmill: ")
    assert reason in told.decode()
    assert told.count(b"\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "redirect",
    [
        pytest.param("", id="pipe", marks=pytest.mark.long),
        pytest.param(">/dev/full 2>&1", id="full", marks=pytest.mark.long),
        pytest.param(">&- 2>&- <&-", id="closed", marks=pytest.mark.long),
    ],
)
def test_the_service_outlives_its_terminal(tmp_path: Path, up: Start, redirect: str) -> None:
    reader, writer = os.pipe()
    process = up(redirect=redirect, stdout=writer)
    os.close(writer)
    if not redirect:
        assert os.read(reader, 10)
    os.close(reader)
    wait_ready(tmp_path, process)
    before = read_ready(tmp_path / "ready.json").parts
    for pid in before.values():
        assert str(tmp_path / "data" / "lock") in open_files(pid)
    os.kill(before["worker-1"], signal.SIGKILL)  # of which a line says that it is started again

    def restarted() -> bool:
        return read_ready(tmp_path / "ready.json").parts.get("worker-1") not in {
            None,
            before["worker-1"],
        }

    assert wait_until(restarted, 30)
    complete_a_job(tmp_path)
    everything = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(60) == 0
    assert [each for each in everything if each.is_running()] == []


def open_files(pid: int) -> set[str]:
    return {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_refusal_that_nobody_reads_keeps_its_exit_status(
    tmp_path: Path, up: Start, redirect: str
) -> None:
    assert up(data_dir=tmp_path / TOO_LONG, redirect=redirect).wait(60) == 1


@pytest.mark.long
def test_a_terminal_of_another_encoding_gets_escape_sequences(
    tmp_path: Path, up: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    process = up(data_dir=tmp_path / "ž", stdout=subprocess.PIPE)
    wait_ready(tmp_path, process)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rf"{tmp_path}/\u017e".encode() in said
    assert rb"Stopping (SIGTERM) \u2026" in said
