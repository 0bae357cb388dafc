"""The image and compose.yaml, built and run; `make containers`."""

import hashlib
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import pytest

from deploy.compose_secrets import ROLES, make_secrets
from deploy.embedded.ports import free_port
from pipeline.ledger import keys
from tests.containers.podman import COMPOSE, IMAGE, MISSING, ROOT, Podman
from tests.e2e.test_readme import CURL, run
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING}; `make containers` installs them"),
    pytest.mark.skipif(os.geteuid() != 0, reason="networks of containers need root"),
]
WORKERS = ["worker-render", "worker-express", "worker-bundle", "worker-webhook"]
SERVICE = ["api", "sweep", *WORKERS]
BUILD_TOOLS = ["cc", "gcc", "make", "ld", "git", "curl", "wget", "pip", "pip3"]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    made = Podman(tmp_path_factory.mktemp("podman"))
    made.make_images()
    return made


class Compose:
    """A project of compose.yaml at free ports, without Grafana, of which there is no image.

    Its Valkey has one more user, ``test``, who sees what the others do.
    """

    def __init__(self, podman: Podman, directory: Path, environment: dict[str, str]) -> None:
        self.podman, self.directory, self._environment = podman, directory, environment
        self.ports = {name: free_port() for name in ("api", "s3", "prometheus")}
        inner = {"api": 8080, "s3": 9000, "prometheus": 9090}
        lines = [
            f'  {name}: {{ports: !override ["127.0.0.1:{port}:{inner[name]}"]}}\n'
            for name, port in self.ports.items()
        ]
        self.tls = {"api": free_port(), "s3": free_port()}
        proxy = f'["127.0.0.1:{self.tls["api"]}:8443", "127.0.0.1:{self.tls["s3"]}:9443"]'
        lines.append(f"  proxy: {{ports: !override {proxy}}}\n")
        (directory / "ports.yaml").write_text("services:\n" + "".join(lines), "utf-8")
        public = f"http://127.0.0.1:{self.ports['s3']}"
        self._environment["QRMILL_S3_PUBLIC_ENDPOINT_URL"] = public
        self.url = f"http://127.0.0.1:{self.ports['api']}"
        self._password = secrets.token_hex(16)
        digest = hashlib.sha256(self._password.encode()).hexdigest()
        make_secrets(directory / "secrets")
        with (directory / "secrets" / "valkey-users.acl").open("a", encoding="ascii") as users:
            rules = f"%R~{keys.ALL_JOBS} +zcard +acl|list +acl|log +client|list"
            users.write(f"user test on {rules} #{digest}\n")

    def __call__(self, *arguments: str, seconds: float = 120) -> str:
        done = subprocess.run(
            [COMPOSE, "-p", "qrmill-test", "-f", "compose.yaml", "-f", "ports.yaml", *arguments],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def container(self, service: str) -> str:
        return f"qrmill-test-{service}-1"

    def valkey(self, *command: str) -> list[str]:
        """Run a command of its Valkey; return the lines of the answer."""
        how = ["--env", f"REDISCLI_AUTH={self._password}", self.container("valkey")]
        said = self.podman("exec", *how, "valkey-cli", "--user", "test", *command)
        return [line for line in said.splitlines() if line]


@pytest.fixture(scope="module")
def compose(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    directory = tmp_path_factory.mktemp("compose")
    shutil.copytree(ROOT / "deploy", directory, dirs_exist_ok=True)
    with podman.engine() as environment:
        made = Compose(podman, directory, environment)
        try:
            made("up", "--detach", "--no-build", "--pull=never", "--scale=grafana=0")
            yield made
        finally:
            made("down", "--volumes", "--timeout=45")


@pytest.fixture(scope="module")
def key(compose: Compose) -> str:
    arguments = ["keys", "create", "--name", "first", "--role", "operator", "--bootstrap"]
    found = re.search(r"qrmill_\w+", compose("exec", "-T", "api", "qrmill", *arguments))
    assert found is not None
    return found.group()


def role_of(service: str) -> str:
    return service.partition("-")[0]


def test_the_image_is_slim_labelled_and_for_no_root(podman: Podman) -> None:
    found = podman.inspect("image", IMAGE)
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["qrmill"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert found["Healthcheck"]["Test"][:3] == ["CMD", "python3", "-m"]
    look = "; ".join(f"command -v {tool}" for tool in BUILD_TOOLS)
    assert podman("run", "--rm", "--entrypoint=sh", IMAGE, "-c", f"{look}; echo none") == "none\n"
    pip = podman.attempt("run", "--rm", "--entrypoint=python3", IMAGE, "-m", "pip")
    assert "No module named pip" in pip.stderr


def test_the_readmes_request_is_done(compose: Compose, key: str, tmp_path: Path) -> None:
    environment = {**os.environ, "QRMILL_URL": compose.url, "QRMILL_API_KEY": key}
    wait_for(lambda: is_ready(compose.url), "the API")
    assert '"status":"completed"' in run(CURL, environment, tmp_path)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert "00002_LOT-7_A0002.png" in bundle.namelist()


def test_the_proxy_terminates_tls_and_the_api_trusts_it(
    podman: Podman, compose: Compose, key: str
) -> None:
    trust = ssl.create_default_context(cafile=compose.directory / "secrets/tls-certificate.pem")
    url = f"https://localhost:{compose.tls['api']}"
    with httpx2.Client(base_url=url, verify=trust, trust_env=False) as client:
        assert client.get("/readyz").is_success
        page = client.get("/ops/sign-in", headers={"X-Forwarded-For": "1.2.3.4"})
        assert page.headers["Set-Cookie"].startswith("__Host-qrmill_visit=")
        assert page.headers["Strict-Transport-Security"]
        assert client.get("/qr/bulk/", headers={"X-API-Key": key}).status_code == 200
        s3 = f"https://localhost:{compose.tls['s3']}/qrmill/keys/"
        assert client.get(s3).status_code in {400, 403}  # from S3: no signature
        assert client.delete(s3).status_code == 403
        # A new container of the API has another address, which nginx asks for.
        compose("up", "--detach", "--no-build", "--pull=never", "--force-recreate", "api")
        wait_for(partial(is_ready, url, trust), "the new API")
    log = podman("logs", compose.container("api"))
    assert "forwarded headers ignored" not in log
    name = compose.container("proxy")
    said = podman("exec", name, "grep", "-E", "^(Uid|CapEff|NoNewPrivs):", "/proc/1/status")
    assert said.split() == ["Uid:", *["101"] * 4, "CapEff:", "0" * 16, "NoNewPrivs:", "1"]


def is_ready(url: str, trust: ssl.SSLContext | None = None) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", verify=trust or True, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def test_no_one_is_root_may_write_or_holds_a_secret_in_its_environment(
    podman: Podman, compose: Compose
) -> None:
    files = [*(compose.directory / "secrets").iterdir()]
    secrets = [path.read_text("ascii") for path in files]
    assert {path.name for path in files if path.name.startswith("redis")} == {
        f"redis-url-{role}" for role in ROLES
    }
    for service in SERVICE:
        name = compose.container(service)
        assert set(podman("top", name, "user").split()[1:]) == {"10001"}
        assert podman.attempt("exec", name, "touch", "/opt/qrmill/x").returncode == 1
        said = podman("exec", name, "grep", "-E", "^(CapEff|NoNewPrivs|Seccomp):", "/proc/1/status")
        assert said.split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
        seen = podman("exec", name, "cat", "/run/secrets/redis_url")
        assert seen == (compose.directory / f"secrets/redis-url-{role_of(service)}").read_text()
        shown = str(podman.inspect("container", name)) + podman("top", name, "args")
        assert [secret for secret in secrets if secret in shown] == []


def test_nothing_listens_but_what_the_page_on_security_says(
    podman: Podman, compose: Compose
) -> None:
    page = (ROOT / "deploy" / "security.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)
    for service in SERVICE:
        part = service.partition("-")[0]
        said = {int(port) for name, port in rows if name == part}
        found = wait_for(partial(listening, podman, compose, service), service)
        # An engine may have a resolver of its own at 127.0.0.11, on ports over 32767.
        assert {port for port in found if port < 32_768} == said


def listening(podman: Podman, compose: Compose, service: str) -> set[int]:
    """The TCP ports that a container listens on (proc(5), /proc/net/tcp: state 0A)."""
    tables = podman("exec", compose.container(service), "cat", "/proc/net/tcp", "/proc/net/tcp6")
    rows = [line.split() for line in tables.splitlines()]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def test_every_health_check_passes(podman: Podman, compose: Compose) -> None:
    # Podman's socket does not take it over from the image, so it is run by hand.
    test = podman.inspect("image", IMAGE)["Healthcheck"]["Test"][1:]

    def answers(service: str, command: list[str]) -> bool:
        return podman.attempt("exec", compose.container(service), *command).returncode == 0

    for service in SERVICE:
        wait_for(partial(answers, service, test), f"the health of {service}")
        assert not answers(service, [*test[:-1], "http://127.0.0.1:1/"])
    assert podman.attempt("healthcheck", "run", compose.container("api")).returncode == 0


def test_prometheus_finds_every_part(compose: Compose) -> None:
    address = f"http://127.0.0.1:{compose.ports['prometheus']}/api/v1/targets"

    def all_up() -> bool:
        found = httpx2.get(address, trust_env=False).json()["data"]["activeTargets"]
        jobs = [row["labels"]["job"] for row in found if row["health"] == "up"]
        return sorted(jobs) == ["qrmill-api", "qrmill-sweep", *["qrmill-worker"] * 4]

    wait_for(all_up, "all six targets", pause=0.5)


def test_a_worker_that_is_stopped_finishes_and_the_job_goes_on(
    podman: Podman, compose: Compose, key: str
) -> None:
    headers = {"X-API-Key": key}
    body = {"gtin": "9506000134352", "items": [{"serial": f"{n:05}"} for n in range(5000)]}
    with httpx2.Client(base_url=compose.url, headers=headers, trust_env=False) as client:
        accepted = client.post("/qr/bulk/", json=body).json()
        begun = time.monotonic()
        compose("stop", "worker-render")
        state = podman.inspect("container", compose.container("worker-render"))["State"]
        assert state["ExitCode"] == 0, f"after {time.monotonic() - begun:.1f} s"
        compose("start", "worker-render")
        wait_for(
            lambda: client.get(accepted["poll_url"]).json()["status"] == "completed", "the job"
        )


def test_the_doctor_in_the_apis_container_finds_all_parts_well(compose: Compose) -> None:
    command = ["exec", "-T", "api", "sh", "-c", "qrmill doctor --json || true"]
    # That URL is at this machine's loopback, which is not the container's.
    # rclone ignores conditions.
    expected = {"s3 download URL", "s3 conditional writes", "link base"}

    def found() -> dict[str, str]:
        rows = [msgspec.json.decode(line) for line in compose(*command).splitlines()]
        assert {"redis", "sweep", "workers"} <= {row["name"] for row in rows}, rows
        return {row["name"]: row["found"] for row in rows if row["state"] != "ok"}

    # On a busy machine the sweep may be without its lease for a moment.
    wait_for(lambda: set(found()) <= expected, "a doctor that finds all parts well", seconds=60)


def test_each_part_signs_in_to_valkey_as_its_own_user(podman: Podman, compose: Compose) -> None:
    """By now all of them have been at work: jobs, keys, metrics, the doctor."""
    services = {address: name for name in SERVICE for address in addresses(podman, compose, name)}

    def signed_in() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in compose.valkey("CLIENT", "LIST"):
            row = dict(word.split("=", 1) for word in line.split())
            where = services.get(row["addr"].rpartition(":")[0], "nobody's")
            found.setdefault(where, set()).add(row["user"])
        found.pop("nobody's")  # the one who asks
        return found

    own = {service: {f"qrmill-{role_of(service)}"} for service in SERVICE}
    wait_for(lambda: signed_in() == own, "each part's own user")
    default, *users = sorted(compose.valkey("ACL", "LIST"))
    assert default.startswith("user default off ")
    names = [line.split()[1] for line in users]
    assert names == sorted([*(f"qrmill-{role}" for role in ROLES), "test"])
    assert compose.valkey("ACL", "LOG") == []


def addresses(podman: Podman, compose: Compose, service: str) -> list[str]:
    networks = podman.inspect("container", compose.container(service))["NetworkSettings"]
    return [row["IPAddress"] for row in networks["Networks"].values()]


def test_every_part_ends_by_itself_when_it_is_asked(podman: Podman, compose: Compose) -> None:
    compose("stop", "--timeout=45", *SERVICE)
    ended = {name: podman.inspect("container", compose.container(name)) for name in SERVICE}
    # 137 would be the kill after those 45 seconds.
    assert {name: found["State"]["ExitCode"] for name, found in ended.items()} == dict.fromkeys(
        SERVICE, 0
    )


def test_valkey_started_again_still_knows_all_jobs(podman: Podman, compose: Compose) -> None:
    compose("stop", *SERVICE)  # who would bring lost ones back from S3
    before = compose.valkey("ZCARD", keys.ALL_JOBS)
    assert int(before[0]) > 0
    compose("restart", "valkey")
    check = partial(podman.attempt, "healthcheck", "run", compose.container("valkey"))
    wait_for(lambda: check().returncode == 0, "Valkey")
    assert compose.valkey("ZCARD", keys.ALL_JOBS) == before
