"""The Dockerfile and compose.yaml, checked by their own tools; `make containers` runs them."""

import hashlib
import json
import re
import shutil
import ssl
import stat
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from api.cli.server import Queue
from api.http.trusted_proxies import THIS_MACHINE
from deploy.compose_secrets import ROLES, RULES, make_secrets
from pipeline.settings import Settings, variable

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


def hashed(name: str) -> dict[NormalizedName, str]:
    """Return the versions of a requirements file, of which each has hashes, for Linux."""
    text = (DEPLOY / name).read_text("utf-8").replace("\\\n", " ")
    assert "://" not in text
    assert "index" not in text
    found = {}
    for line in text.splitlines():
        requirement, *hashes = line.split(" --hash=")
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each.strip()) for each in hashes), line
        parsed = Requirement(requirement)
        if parsed.marker is None or parsed.marker.evaluate({"sys_platform": "linux"}):
            found[canonicalize_name(parsed.name)] = str(parsed.specifier).removeprefix("==")
    return found


def test_the_image_is_built_from_the_pinned_versions_with_their_hashes() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    pins = {
        canonicalize_name(name): version for name, version in (each.split("==") for each in lines)
    }
    for name in ("requirements.txt", "requirements-build.txt"):
        versions = hashed(name)
        assert {each: pins.get(each) for each in versions} == versions
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for needed, name in (
        (project["project"]["dependencies"], "requirements.txt"),
        (project["build-system"]["requires"], "requirements-build.txt"),
    ):
        assert {canonicalize_name(Requirement(each).name) for each in needed} <= {*hashed(name)}
    installs = re.findall(r"bin/pip install (.*?)(?: &&|\n)", DOCKERFILE.replace("\\\n", " "))
    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


@needs_tools
def test_compose_and_its_schema_take_the_file() -> None:
    file = DEPLOY / "compose.yaml"
    for command in (
        ("docker-compose", "--file", file, "config", "--quiet"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, Any]:
    """What Compose makes of compose.yaml with compose.s3.yaml and the page's s3.env."""
    for path in DEPLOY.glob("compose*.yaml"):
        shutil.copy(path, tmp_path)
    page = (DEPLOY / "containers.md").read_text("utf-8")
    (settings,) = re.findall(r"```sh\n( *QRMILL_S3_ENDPOINT_URL=.*?)```", page, re.DOTALL)
    (tmp_path / "s3.env").write_text(textwrap.dedent(settings), "utf-8")
    files = [f"--file={tmp_path / name}" for name in ("compose.yaml", "compose.s3.yaml")]
    done = run("docker-compose", *files, "config", "--format=json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs_tools
def test_with_an_s3_elsewhere_every_part_reaches_it_and_none_waits_for_rclone(
    elsewhere: dict[str, Any],
) -> None:
    assert {*elsewhere["services"]} == {*COMPOSE["services"]} - {"s3"}
    assert "s3" not in elsewhere["volumes"]
    for name, before in OURS.items():
        row = elsewhere["services"][name]
        assert {*row["networks"]} - {"front"} == {"inside", "outside"}
        assert {*row["depends_on"]} == {"valkey"}
        environment = row["environment"]
        assert environment["QRMILL_REDIS_URL_FILE"] == "/run/secrets/redis_url"
        assert {key: environment[key] for key in environment if "_S3_" in key} == {
            "QRMILL_S3_ENDPOINT_URL": "https://s3.example",
            "QRMILL_S3_REGION": "us-east-1",
            "QRMILL_S3_ACCESS_KEY_ID": "qrmill",
            "QRMILL_S3_SECRET_ACCESS_KEY_FILE": "/run/secrets/s3_secret_access_key",
        }
        assert row["command"] == before["command"]
        assert [secret["source"] for secret in row["secrets"]] == [
            f"redis_url_{name.partition('-')[0]}",
            "s3_secret_access_key",
        ]


def test_valkey_has_a_limit_and_refuses_beyond_it() -> None:
    command = COMPOSE["services"]["valkey"]["command"]
    assert "--maxmemory 1gb --maxmemory-policy noeviction" in command
    assert "`--maxmemory 1gb`" in (DEPLOY / "containers.md").read_text("utf-8")


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
    assert len(published) == 6
    loopback = ("127.0.0.1:", "${QRMILL_HTTPS_ADDRESS:-127.0.0.1}:")
    assert [port for port in published if not port.startswith(loopback)] == []
    assert {port for port in published if "HTTPS" in port} == {
        f"{loopback[1]}{port}:{port}" for port in (8443, 9443)
    }


def test_the_page_names_every_setting_that_a_file_may_hold() -> None:
    page = (DEPLOY / "containers.md").read_text("utf-8")
    (sentence,) = re.findall(
        r"^Secrets are read from files: .*?\.$", page, re.MULTILINE | re.DOTALL
    )
    files = {variable(name) for name in Settings.__struct_fields__ if name.endswith("_file")}
    assert set(re.findall(r"`(\w+)`", sentence)) == files


def test_the_api_believes_this_machine_and_the_proxy_unless_told_otherwise() -> None:
    proxy = COMPOSE["services"]["proxy"]
    believed = OURS["api"]["environment"]["FORWARDED_ALLOW_IPS"]
    address = proxy["networks"]["front"]["ipv4_address"]
    assert believed == f"${{FORWARDED_ALLOW_IPS:-{THIS_MACHINE},{address}}}"
    # The proxy reaches the API by a name of that network alone, so from that address.
    (alias,) = OURS["api"]["networks"]["front"]["aliases"]
    assert f"http://{alias}:8080" in (DEPLOY / "nginx" / "compose.conf").read_text("utf-8")
    assert [name for name, row in COMPOSE["services"].items() if "front" in row["networks"]] == [
        "api",
        "proxy",
    ]


def test_every_part_gets_the_redis_url_of_its_own_role() -> None:
    for name, row in OURS.items():
        role = name.partition("-")[0]
        own, s3 = row["secrets"]
        assert own == {"source": f"redis_url_{role}", "target": "redis_url"}
        assert row["environment"]["QRMILL_REDIS_URL_FILE"] == "/run/secrets/redis_url"
        assert s3 == "s3_secret_access_key"
    assert COMPOSE["services"]["valkey"]["secrets"] == ["valkey_users"]


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text("ascii") for path in directory.iterdir()}


def test_secrets_are_made_once_and_are_those_that_compose_wants(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    made = make_secrets(directory)
    before = contents(directory)
    assert sorted(made) == sorted(before)
    assert make_secrets(directory) == []
    assert contents(directory) == before
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o444}
    assert {Path(row["file"]).name for row in COMPOSE["secrets"].values()} == set(before)


def test_every_role_has_a_password_whose_digest_valkey_gets(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    first, *users = (tmp_path / "valkey-users.acl").read_text("ascii").splitlines()
    assert first == "user default off ~* &* +@all"  # deploy/redis.md says why
    assert len(users) == len(ROLES)
    passwords = set()
    for role, line in zip(ROLES, users, strict=True):
        url = urlsplit((tmp_path / f"redis-url-{role}").read_text("ascii"))
        assert (url.username, url.hostname) == (f"qrmill-{role}", "valkey")
        passwords.add(str(url.password))
        digest = hashlib.sha256(str(url.password).encode()).hexdigest()
        (rules,) = (rule for rule in RULES.read_text("ascii").splitlines() if f"-{role} " in rule)
        assert line == f"{rules} #{digest}"
    assert len(passwords) == len(ROLES)


def test_users_get_the_rules_as_they_are_now_and_keep_their_passwords(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    before = contents(tmp_path)
    users = tmp_path / "valkey-users.acl"
    users.unlink()
    users.write_text(before[users.name].replace(" +ping", ""), "ascii")
    assert make_secrets(tmp_path) == [users.name]
    assert contents(tmp_path) == before
    (tmp_path / "redis-url-worker").unlink()
    assert make_secrets(tmp_path) == ["redis-url-worker", users.name]
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {
        "redis-url-worker",
        users.name,
    }


def test_an_installation_with_one_password_for_all_gets_users_and_keeps_its_files(
    tmp_path: Path,
) -> None:
    """Those of before are what the release before needs, should one go back."""
    former = {
        "redis-password": "0" * 48,
        "redis-url": f"redis://:{'0' * 48}@valkey:6379/0",
        "valkey.conf": f'requirepass {"0" * 48}\nsave ""\n',
        "s3-secret-access-key": "1" * 40,
        "grafana-password": "2" * 24,
    }
    for name, content in former.items():
        (tmp_path / name).write_text(content, "ascii")
    made = make_secrets(tmp_path)
    own = [*(f"redis-url-{role}" for role in ROLES), "valkey-users.acl"]
    assert made == [*own, "tls-certificate.pem", "tls-key.pem"]
    assert former.items() <= contents(tmp_path).items()


def test_folders_that_an_engine_made_of_missing_files_are_replaced(tmp_path: Path) -> None:
    for row in COMPOSE["secrets"].values():
        (tmp_path / Path(row["file"]).name).mkdir()
    assert len(make_secrets(tmp_path)) == len(COMPOSE["secrets"])
    assert make_secrets(tmp_path) == []
    assert [path for path in tmp_path.iterdir() if not path.is_file()] == []


def test_a_certificate_of_ones_own_is_kept_and_half_of_one_is_an_error(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    loaded = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    loaded.load_cert_chain(tmp_path / "tls-certificate.pem", tmp_path / "tls-key.pem")
    own = tmp_path / "tls-certificate.pem"
    own.unlink()
    own.write_text("mine", "ascii")
    assert make_secrets(tmp_path) == []
    assert own.read_text("ascii") == "mine"
    own.unlink()
    with pytest.raises(ValueError, match=f"certificate with its chain into {own}"):
        make_secrets(tmp_path)


@pytest.mark.parametrize("url", ["redis://:1eA9kZ@valkey:6379/0", "redis://qrmill-api@valkey", ""])
def test_a_url_that_is_not_the_roles_is_named_and_not_shown(url: str, tmp_path: Path) -> None:
    path = tmp_path / "redis-url-api"
    path.write_text(url, "ascii")
    with pytest.raises(ValueError, match=f"{path}.*qrmill-api") as caught:
        make_secrets(tmp_path)
    assert "1eA9kZ" not in str(caught.value)


def test_what_is_copied_into_the_image_has_no_secret() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"  # all, but for what follows
    taken = {line[1:] for line in ignored if line.startswith("!")}
    assert not [path for path in taken if "secrets" in path or path == "deploy"]
    assert [path for path in taken if not (ROOT / path).exists() and "*" not in path] == []
