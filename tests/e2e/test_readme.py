"""The commands of the README do what it says, as printed."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.embedded.running import RunningStack

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
#: The blocks of commands, in the order of the page.
CURL, REJECTED, CSV, COMMAND_LINE = re.findall(r"<!-- run -->\n```sh\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def environment(stack: RunningStack) -> dict[str, str]:
    ready = stack.ready
    return os.environ | {"QRMILL_URL": ready.api_url, "QRMILL_API_KEY": ready.client_key}


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="no curl; `make debian-packages` installs it"
)


def run(script: str, environment: dict[str, str], directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_curl
def test_a_request_is_sent_followed_and_downloaded(
    environment: dict[str, str], tmp_path: Path
) -> None:
    said = run(CURL, environment, tmp_path)
    assert '"status":"pending"' in said
    assert '"status":"completed"' in said
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert "00002_LOT-7_A0002.png" in bundle.namelist()
        assert bundle.testzip() is None


@needs_curl
def test_the_same_commands_end_when_the_request_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", CURL],  # as typed: what fails ends nothing
        env=environment | {"QRMILL_API_KEY": "unknown"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert '"status":401' in done.stdout
    assert not (tmp_path / "status.json").exists()


def test_the_command_line_does_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    said = run(COMMAND_LINE, environment | {"PATH": path}, tmp_path)
    assert '"status":"completed"' in said
    assert len([line for line in said.splitlines() if "\t09506000134352\t" in line]) >= 2
    with zipfile.ZipFile(tmp_path / "labels.zip") as bundle:
        assert "00002_LOT-7_A0002.svg" in bundle.namelist()
        assert bundle.testzip() is None
    with zipfile.ZipFile(tmp_path / "print.zip") as bundle:
        assert "00002_LOT-7_A0002.pdf" in bundle.namelist()
        assert bundle.testzip() is None


@needs_curl
def test_a_refused_request_shows_where_it_is_wrong(
    environment: dict[str, str], tmp_path: Path
) -> None:
    problem = json.loads(run(REJECTED, environment, tmp_path))
    assert [row["pointer"] for row in problem["errors"]] == ["/items/0/lot", "/items/1/expiry"]


@needs_curl
def test_a_csv_is_tried_and_one_symbol_rendered(
    environment: dict[str, str], tmp_path: Path
) -> None:
    dry_run = json.loads(run(CSV, environment, tmp_path))
    assert (dry_run["would_accept"], dry_run["items"]) == (False, 2)
    (error,) = dry_run["errors"]
    assert (error["pointer"], error["line"], error["column"]) == ("/items/1/serial", 3, 2)
    assert (tmp_path / "one.svg").read_text("utf-8").startswith("<svg")
