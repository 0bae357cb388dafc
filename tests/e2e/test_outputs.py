"""``qrmill`` writes bundles to standard output, FIFOs, devices and terminals, run by a shell."""

import io
import json
import os
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from deploy.embedded.running import RunningStack
from tests.command_line import QRMILL, at_a_terminal, environment, qrmill
from tests.devices import device

GTIN = "9506000134352"
UNKNOWN = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def api(stack: RunningStack, client: httpx2.Client) -> dict[str, str]:
    return {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": client.headers["X-API-Key"]}


@pytest.fixture(scope="module")
def task(api: dict[str, str]) -> str:
    """Return the id of a completed task."""
    request = json.dumps({"gtin": GTIN, "items": [{"serial": str(n)} for n in range(500)]})
    done = qrmill("submit", "-", "--wait", given=request, **api)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shell(api: dict[str, str], tmp_path: Path) -> Shell:
    """Run a line of bash in a folder; ``$1`` is the first of ``words``.

    ``stdout`` is what ``/dev/stdout`` is, but can be replaced by a defect without harm.
    """
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")

    def run(line: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["bash", "-c", line, "bash", *words],
            cwd=tmp_path,
            env=environment(**api) | {"PATH": f"{QRMILL.parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )

    return run


def images(bundle: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert archive.testzip() is None
        return len(archive.namelist()) - 2


SUBMIT = f"printf 'serial\\n1\\n2\\n' | qrmill submit - --gtin {GTIN} --out"


@pytest.mark.parametrize("command", ["qrmill download $1 --out", "qrmill wait $1 --out", SUBMIT])
@pytest.mark.parametrize(
    "output", ["- | cat", "- >b; cat b", "stdout | cat", "/dev/fd/1 >b; cat b", "b >b; cat b"]
)
def test_standard_output_gets_the_bundle_and_nothing_else(
    shell: Shell, task: str, tmp_path: Path, command: str, output: str
) -> None:
    done = shell(f"set -o pipefail; {command} {output}", task)
    assert done.returncode == 0, done.stderr
    assert images(done.stdout) == (2 if command == SUBMIT else 500)
    assert {path.name for path in tmp_path.iterdir()} <= {"b", "stdout"}
    assert (tmp_path / "stdout").is_symlink()
    if command != "qrmill download $1 --out":
        assert b"The bundle was written to standard output." in done.stderr
    if command == SUBMIT:
        assert b"Accepted: 2 items, task " in done.stderr


def test_a_shell_can_append_and_substitute(shell: Shell, task: str, tmp_path: Path) -> None:
    done = shell("printf before >b; qrmill download $1 --out - >>b", task)
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "b").read_bytes()
    assert (content[:6], images(content[6:])) == (b"before", 500)
    done = shell("qrmill download $1 --out >(cat >c); wait $!", task)
    assert done.returncode == 0, done.stderr
    assert images((tmp_path / "c").read_bytes()) == 500


@pytest.mark.parametrize("out", ["-", "/dev/fd/1", "/dev/fd/2", "tty"])
def test_a_terminal_gets_no_bundle(
    api: dict[str, str], task: str, tmp_path: Path, out: str
) -> None:
    place = device(out, tmp_path) if out == "tty" else out
    for command in ("download", "wait"):
        with at_a_terminal(command, task, "--out", place, **api) as terminal:
            assert terminal.end() == 2
        assert "is not written to a terminal" in " ".join(terminal.shown.split())
        assert "PK" not in terminal.shown


@pytest.mark.parametrize("command", ["qrmill download $1 --out", "qrmill wait $1 --out", SUBMIT])
def test_a_fifo_gets_the_bundle_and_stays(
    shell: Shell, task: str, tmp_path: Path, command: str
) -> None:
    done = shell(f"mkfifo f; cat f >b & {command} f; code=$?; wait; exit $code", task)
    assert done.returncode == 0, done.stderr
    assert images((tmp_path / "b").read_bytes()) == (2 if command == SUBMIT else 500)
    assert stat.S_ISFIFO((tmp_path / "f").stat().st_mode)


def test_a_fifos_reader_is_not_left_waiting(shell: Shell, tmp_path: Path) -> None:
    done = shell("mkfifo f; cat f >b & qrmill wait $1 --out f; code=$?; wait; exit $code", UNKNOWN)
    assert (done.returncode, (tmp_path / "b").read_bytes()) == (1, b"")


@pytest.mark.parametrize("out", ["-", "stdout"])
def test_a_reader_that_wants_no_more_ends_the_command_quietly(
    shell: Shell, task: str, out: str
) -> None:
    done = shell(f"qrmill download $1 --out {out} | head -c 4; exit ${{PIPESTATUS[0]}}", task)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"PK\x03\x04", b"")


@pytest.mark.parametrize("out", ["$2", "- >$2", "stdout >$2"])
def test_a_full_device_is_named(shell: Shell, task: str, tmp_path: Path, out: str) -> None:
    full = device("full", tmp_path)
    done = shell(f"qrmill download $1 --out {out}", task, str(full))
    name = "standard output" if ">" in out else full
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"qrmill: {name}: No space left on device\n"


def test_devices_and_links_stay(shell: Shell, task: str, tmp_path: Path) -> None:
    null, bundle = device("null", tmp_path), tmp_path / "folder" / "bundle.zip"
    (tmp_path / "to-null").symlink_to(null)
    bundle.parent.mkdir()
    (tmp_path / "link").symlink_to(bundle)
    for out in (str(null), "to-null", "link", "link"):
        done = shell("qrmill download $1 --out $2", task, out)
        assert (done.returncode, done.stdout.decode()) == (0, f"{out}\n"), done.stderr
    assert null.is_char_device()
    assert (tmp_path / "link").is_symlink()
    assert images(bundle.read_bytes()) == 500


def test_a_file_named_minus_has_a_path(shell: Shell, task: str, tmp_path: Path) -> None:
    done = shell("qrmill download $1 --out ./-", task)
    assert (done.returncode, done.stdout) == (0, b"./-\n"), done.stderr
    assert images((tmp_path / "-").read_bytes()) == 500
