"""Credentials that end, from an STS and an instance's endpoint whose clock can be moved."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import msgspec
import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import PartProcess, start_and_wait
from pipeline.errors import StoreUnavailableError
from pipeline.service import Bundle, Service, Settings, open_service
from pipeline.settings import variable
from pipeline.storage.clients import open_storage
from pipeline.storage.download_urls import Download
from tests.integration.conftest import StartWorker
from tests.s3_servers import enforced, moto_server
from tests.staged import BUNDLE_TIMES
from tests.waiting import wait_for

pytestmark = pytest.mark.parametrize("s3", ["moto"], indirect=True)

CLOCK = Path(__file__).parents[1] / "faults" / "clock"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/qrmill"
HOUR, DAY = 3600, 86_400
TTL = 2 * HOUR
CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Issuer:
    """Gives out credentials that end an hour (STS) or a day (instance) from now, by its clock."""

    url: str
    clock: Path
    process: PartProcess

    def leave(self, seconds: int, of: int = HOUR) -> None:
        """Have credentials end in so many seconds from now on."""
        self.clock.write_text(str(seconds - of))


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    clock = tmp_path / "clock"
    clock.write_text("0")
    environ = {**os.environ, "PYTHONPATH": str(CLOCK), "FAULTS_CLOCK_OFFSET": str(clock)}
    server = servers.S3Server(free_port(), "testkey", secrets.token_hex(20))
    process = start_and_wait(moto_server(server, tmp_path, environ), tmp_path)
    yield Issuer(server.endpoint_url, clock, process)
    process.stop()


@pytest.fixture
def no_keys(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings without keys, on a machine where boto3 finds none either."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return msgspec.structs.replace(
        settings, s3_access_key_id=None, s3_secret_access_key=None, download_url_ttl=TTL
    )


@pytest.fixture
def with_role(
    no_keys: Settings, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The same with a role for a web identity."""
    assume_role(monkeypatch, tmp_path, issuer.url)
    return no_keys


def assume_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sts_url: str) -> None:
    token = tmp_path / "token"
    token.write_text("a web identity token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def bundle(seconds: int = DAY) -> Bundle:
    expires_at = int(time.time()) + seconds
    return Bundle(bytes=1, sha256="00", expires_at=expires_at, times=BUNDLE_TIMES)


def query(download: Download) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(download.url).query).items()}


def assert_ends_in(download: Download, seconds: int) -> None:
    """What the URL says, what we say of it, and ``seconds``, which is at most ten more."""
    said = int(query(download)["X-Amz-Expires"])
    assert seconds - 10 <= said <= seconds
    assert 0 <= download.expires_at - time.time() <= said


def test_urls_end_with_the_credentials_and_these_are_renewed_before(
    with_role: Settings, issuer: Issuer
) -> None:
    downloads = open_service(with_role).downloads
    issuer.leave(600)
    first = downloads.sign("task", bundle())
    assert_ends_in(first, 570)
    assert_ends_in(downloads.sign("task", bundle(100)), 100)
    issuer.leave(HOUR)  # what is left of the others is a quarter of an hour or less
    second = downloads.sign("task", bundle())
    assert_ends_in(second, HOUR - 30)
    tokens = {query(each)["X-Amz-Security-Token"] for each in (first, second)}
    assert len(tokens) == 2
    issuer.leave(600)
    assert query(downloads.sign("task", bundle()))["X-Amz-Security-Token"] in tokens


def test_credentials_that_cannot_be_renewed_now_are_used_while_they_are_good(
    with_role: Settings, issuer: Issuer
) -> None:
    downloads = open_service(with_role).downloads
    issuer.leave(700)
    assert_ends_in(downloads.sign("task", bundle()), 670)
    issuer.process.stop()
    assert_ends_in(downloads.sign("task", bundle()), 670)
    with pytest.raises(StoreUnavailableError, match="EndpointConnectionError"):
        open_service(with_role).downloads.sign("task", bundle())


def poll(client: TestClient, task_id: str, **headers: str) -> Result:
    return client.simulate_get(f"/qr/bulk/{task_id}/", headers=headers)


def test_a_job_with_a_role_on_a_second_s3_server(
    with_role: Settings, issuer: Issuer, start_worker: StartWorker
) -> None:
    issuer.leave(600)
    service = open_service(with_role)
    token = service.api_keys.create(name="client", role="client").token
    client = TestClient(create_app(service, with_role), headers={"X-API-Key": token})
    start_worker(settings=with_role)
    body = {"gtin": "9506000134352", "items": [{"serial": f"{index}"} for index in range(25)]}
    task_id = client.simulate_post("/qr/bulk/", json=body).json["task_id"]
    done = wait_for(
        lambda: each if (each := poll(client, task_id)).json["status"] == "completed" else None,
        "the bundle",
    )
    with urllib.request.urlopen(done.json["download_url"]) as answer:
        assert len(answer.read()) == done.json["bundle"]["bytes"]
    assert "X-Amz-Security-Token=" in done.json["download_url"]
    etag = done.headers["etag"]
    assert poll(client, task_id, **{"If-None-Match": etag}).status_code == 304
    issuer.leave(100)
    # Whichever process signed its URL may have had as little left; the client has to ask anew.
    assert poll(client, task_id, **{"If-None-Match": etag}).status_code == 200
    issuer.process.stop()
    refused = poll(client, task_id)
    assert (refused.status_code, refused.json["error_code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_server_that_checks_takes_what_a_roles_credentials_sign(
    no_keys: Settings, s3: servers.S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = boto3.client(
        "iam",
        endpoint_url=s3.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    iam.create_role(RoleName="qrmill", AssumeRolePolicyDocument="{}")
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_role_policy(RoleName="qrmill", PolicyName="put", PolicyDocument=json.dumps(policy))
    assume_role(monkeypatch, tmp_path, s3.endpoint_url)
    storage = open_storage(no_keys, read_timeout=5)
    storage.bucket.put("before", b"x")  # STS is asked with the first request
    with enforced(s3):
        storage.bucket.put("key", b"x")
        with pytest.raises(StoreUnavailableError, match="GetObject: AccessDenied"):
            storage.bucket.get("key")


@pytest.mark.parametrize("kind", ["container", "instance"])
def test_credentials_of_a_container_and_of_an_instance(
    no_keys: Settings, issuer: Issuer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "container":
        url = f"{issuer.url}{CREDENTIALS_PATH}default-role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    else:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", issuer.url)
    issuer.leave(5400, of=DAY)
    downloads = open_service(no_keys).downloads
    # Of an instance's, botocore may have said 25 minutes more than is true.
    assert_ends_in(downloads.sign("task", bundle()), 5370 if kind == "container" else 3900)
    issuer.leave(600, of=DAY)
    later = open_service(no_keys).downloads
    assert_ends_in(later.sign("task", bundle()), 570 if kind == "container" else 60)


def test_keys_of_the_settings_have_no_end(settings: Settings, service: Service) -> None:
    assert_ends_in(service.downloads.sign("task", bundle()), settings.download_url_ttl)


PROGRAM = """
import os, sys, time
from pathlib import Path
from pipeline.storage.clients import open_storage
from pipeline.settings import Settings
from pipeline.errors import StoreUnavailableError

for _ in range(2):
    storage = open_storage(Settings.from_environment(os.environ), read_timeout=5)
    storage.bucket.put("a", b"x")  # whose answer tells the time
    try:
        print(storage.credentials.seconds_left())
    except StoreUnavailableError as error:
        print(error.code)
    Path(sys.argv[1]).write_text("-3580")  # what the next ones have is 20 seconds
"""


def test_the_servers_clock_says_when_they_end_not_that_of_a_machine_that_is_behind(
    with_role: Settings, issuer: Issuer, tmp_path: Path
) -> None:
    issuer.leave(600)
    behind = tmp_path / "behind"
    behind.write_text(str(-2 * HOUR))
    names = ("s3_endpoint_url", "bucket", "staging_bucket")
    environment = {variable(name): getattr(with_role, name) for name in names}
    clock = {"PYTHONPATH": str(CLOCK), "FAULTS_CLOCK_OFFSET": str(behind)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(issuer.clock)],
        env={**os.environ, **environment, **clock},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.split()
    assert 500 < float(first) <= 572  # the server tells its time in whole seconds
    assert second == "ExpiredToken"
