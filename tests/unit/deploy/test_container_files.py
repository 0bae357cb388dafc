"""The Dockerfile and compose.yaml, checked by their own tools; `make containers` runs them."""

import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli_roles import Queue
from deploy.compose_secrets import make_secrets

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PROGRAMS = Path(sys.executable).parent
needs_tools = pytest.mark.skipif(
    not (PROGRAMS / "hadolint").exists(), reason="no hadolint; `make deploy-tools` installs it"
)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
OURS = {name: row for name, row in COMPOSE["services"].items() if row["image"] == "qrmill"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    program = PROGRAMS / command[0]
    return subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, timeout=60
    )


@needs_tools
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    done = run("hadolint", DEPLOY / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text(
        DOCKERFILE.replace("USER 10001:10001", "USER root"), "utf-8"
    )
    assert "DL3002" in run("hadolint", tmp_path / "Dockerfile").stdout


@needs_tools
def test_compose_and_its_schema_take_the_file() -> None:
    file = DEPLOY / "compose.yaml"
    for command in (
        ("docker-compose", "--file", file, "config", "--quiet"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_says_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f'image.version="{project["version"]}"' in DOCKERFILE


def test_every_role_has_its_service_and_every_queue_its_worker() -> None:
    commands = {name: row["command"] for name, row in OURS.items()}
    workers = {f"worker-{queue}": ["worker", "--queue", str(queue)] for queue in Queue}
    assert set(commands) == {"api", "sweep", *workers}
    for name, command in workers.items():
        assert commands[name][:3] == command
    for name, row in OURS.items():
        assert row["read_only"], name
        assert row["cap_drop"] == ["ALL"], name
        assert row["security_opt"] == ["no-new-privileges:true"], name


def test_nothing_is_published_but_on_loopback() -> None:
    published = [port for row in COMPOSE["services"].values() for port in row.get("ports", [])]
    assert len(published) == 4
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_secrets_are_made_once_and_are_those_that_compose_wants(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    assert len(make_secrets(directory)) == 5
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert make_secrets(directory) == []
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    wanted = {Path(row["file"]).name for row in COMPOSE["secrets"].values()}
    assert wanted <= set(before)
    password = before["redis-password"].decode()
    assert f":{password}@valkey:" in before["redis-url"].decode()
    assert f"requirepass {password}\n" in before["valkey.conf"].decode()


def test_what_is_copied_into_the_image_has_no_secret() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"  # all, but for what follows
    taken = {line[1:] for line in ignored if line.startswith("!")}
    assert not [path for path in taken if "secrets" in path or path == "deploy"]
    assert [path for path in taken if not (ROOT / path).exists() and "*" not in path] == []
