"""Redis and its Sentinel over TLS alone: a whole job, and what a client refuses."""

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from deploy.embedded.files import write_private
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import Part, start_and_wait
from pipeline.ledger.connection import open_redis
from pipeline.service import Settings, check_up, open_service
from tests.certificates import write_certificate
from tests.integration.conftest import StartWorker
from tests.waiting import wait_for

SERVER = shutil.which("redis-server")
# The Valkey of the test environment is built without TLS.
pytestmark = pytest.mark.skipif(
    SERVER is None, reason="no redis-server; `make debian-packages` installs it"
)
_PASSWORD = "open-sesame"
_TLS = {
    "bind": LOOPBACK,
    "port": "0",
    "tls-auth-clients": "no",
    "tls-replication": "yes",
}


class Servers(NamedTuple):
    """A server and a Sentinel that watches it.

    Attributes:
        certificate: of both.
    """

    port: int
    sentinel_port: int
    certificate: Path

    def url(self, query: str = "") -> str:
        return f"rediss://:{_PASSWORD}@{LOOPBACK}:{self.port}/0?{query or self.trust}"

    def sentinel_url(self) -> str:
        return f"rediss+sentinel://:{_PASSWORD}@{LOOPBACK}:{self.sentinel_port}/mill?{self.trust}"

    @property
    def trust(self) -> str:
        return f"ssl_ca_certs={self.certificate}"


def _part(name: str, directory: Path, lines: dict[str, str], url: str) -> Part:
    configuration = directory / f"{name}.conf"
    text = "".join(f"{key} {value}\n" for key, value in lines.items())
    write_private(configuration, text.encode())
    sentinel = ("--sentinel",) if name == "sentinel" else ()
    return Part(
        name=name,
        command=(str(SERVER), str(configuration), *sentinel),
        directory=directory,
        environment=os.environ,
        new_probe=lambda: partial(_answers, url),
    )


def _answers(url: str) -> bool:
    try:
        with open_redis(url, timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("tls")
    certificate = write_certificate(directory / "redis.pem", LOOPBACK)
    found = Servers(free_port(), free_port(), certificate)
    own = {
        **_TLS,
        "dir": str(directory),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(certificate),
        "tls-ca-cert-file": str(certificate),
    }
    server = {"tls-port": str(found.port), "requirepass": _PASSWORD, "appendonly": "yes"}
    watch = {
        "tls-port": str(found.sentinel_port),
        "sentinel monitor": f"mill {LOOPBACK} {found.port} 1",
        "sentinel auth-pass": f"mill {_PASSWORD}",
    }
    sentinel = f"rediss://{LOOPBACK}:{found.sentinel_port}?{found.trust}"
    parts = (
        _part("server", directory, own | server, found.url()),
        _part("sentinel", directory, own | watch, sentinel),
    )
    processes = [start_and_wait(part, directory) for part in parts]
    wait_for(lambda: _answers(found.sentinel_url()), "the Sentinel's view of the server")
    yield found
    for process in processes:
        process.stop()


@pytest.mark.parametrize("sentinel", [False, True])
def test_a_job_is_accepted_rendered_and_waited_for_over_tls(
    tls: Servers, settings: Settings, start_worker: StartWorker, *, sentinel: bool
) -> None:
    url = tls.sentinel_url() if sentinel else tls.url()
    own = msgspec.structs.replace(settings, redis_url=url)
    own.check()
    service = open_service(own)
    token = service.api_keys.create(name="client", role="client").token
    client = TestClient(create_app(service, own), headers={"X-API-Key": token})
    start_worker(settings=own)
    body = {"gtin": "9506000134352", "items": [{}] * 25}
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 202, answer.text
    path = f"/qr/bulk/{answer.json['task_id']}/"
    polled = client.simulate_get(path, headers={"Prefer": "wait=30"}).json
    assert polled["status"] == "completed"
    told = {finding.name: finding for finding in check_up(own)}
    assert (told["redis"].state, told["workers"].state) == ("ok", "ok")
    assert "over TLS" in told["redis"].found
    service.jobs.stop_waiting()


def test_a_server_that_cannot_prove_itself_gets_no_password(tls: Servers, tmp_path: Path) -> None:
    other = write_certificate(tmp_path / "other.pem", LOOPBACK)
    for query in (f"ssl_ca_certs={other}", "ssl_cert_reqs=required"):
        with (
            open_redis(tls.url(query), timeout=2) as client,
            pytest.raises(redis.ConnectionError, match="certificate verify failed"),
        ):
            client.ping()
    elsewhere = tls.url().replace(LOOPBACK, "localhost")  # which the certificate does not name
    with (
        open_redis(elsewhere, timeout=2) as client,
        pytest.raises(redis.ConnectionError, match="not valid for 'localhost'"),
    ):
        client.ping()


def test_the_doctor_says_that_a_certificate_is_not_looked_at(
    tls: Servers, settings: Settings
) -> None:
    own = msgspec.structs.replace(settings, redis_url=tls.url("ssl_cert_reqs=none"))
    told = next(finding for finding in check_up(own) if finding.name == "redis")
    assert told.state == "warn"
    assert "ssl_cert_reqs" in told.advice


def test_without_tls_there_is_no_answer(tls: Servers) -> None:
    with (
        open_redis(f"redis://:{_PASSWORD}@{LOOPBACK}:{tls.port}", timeout=2) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()
