"""A Redis that responds and rejects every write: what calls itself ready, who can still poll."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dramatiq
import msgspec
import pytest
import redis
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from api.app import create_app
from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.monitoring.ledger_metrics import LedgerCollector
from pipeline.service import Finding, Settings, check_up, open_service
from pipeline.worker import build_worker
from tests.role_users import role_users
from tests.waiting import wait_for

BODY = {"gtin": "9506000134352", "items": [{"serial": "1"}]}


def fill(client: redis.Redis) -> None:
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)


def make_replica(client: redis.Redis) -> None:
    # Of nobody who answers; it keeps what it has.
    client.replicaof("127.0.0.1", str(free_port()))


def lack_replicas(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


REFUSALS = {"OOM": fill, "READONLY": make_replica, "NOREPLICAS": lack_replicas}
every_refusal = pytest.mark.parametrize("code", [*REFUSALS])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.RedisServer]:
    address = servers.RedisServer(free_port(), secrets.token_hex(16))
    process = start_and_wait(servers.valkey(address, tmp_path / "valkey", os.environ), tmp_path)
    yield address
    process.stop()


@pytest.fixture
def admin(server: servers.RedisServer) -> Iterator[redis.Redis]:
    with open_redis(server.url, timeout=5, decode=True) as client:
        yield client


@pytest.fixture
def own(settings: Settings, server: servers.RedisServer) -> Settings:
    return msgspec.structs.replace(settings, redis_url=server.url)


@pytest.fixture
def client(own: Settings) -> Iterator[TestClient]:
    opened = open_service(own)
    token = opened.api_keys.create(name="client", role="client").token
    yield TestClient(create_app(opened, own), headers={"X-API-Key": token})
    opened.jobs.stop_waiting()


@pytest.fixture
def finished(client: TestClient, own: Settings) -> str:
    """A job that has ended before Redis rejects writes."""
    worker = dramatiq.Worker(build_worker(own), worker_threads=2, worker_timeout=50)
    worker.start()
    task_id = str(client.simulate_post("/qr/bulk/", json=BODY).json["task_id"])
    wait_for(
        lambda: client.simulate_get(f"/qr/bulk/{task_id}/").json["status"] == "completed", "the job"
    )
    worker.stop()
    worker.broker.close()
    return task_id


@every_refusal
def test_it_is_not_ready_until_it_accepts_writes_again(
    client: TestClient, admin: redis.Redis, code: str
) -> None:
    assert client.simulate_get("/readyz").status_code == 200
    REFUSALS[code](admin)
    wait_for(lambda: client.simulate_get("/readyz").status_code == 503, "the refusal", pause=0.2)
    assert client.simulate_get("/readyz").json["unavailable"] == ["redis"]
    assert client.simulate_get("/healthz").status_code == 200
    admin.replicaof("NO", "ONE")
    admin.config_set("maxmemory", 0)
    admin.config_set("min-replicas-to-write", 0)
    wait_for(lambda: client.simulate_get("/readyz").status_code == 200, "a write", pause=0.2)


@every_refusal
def test_a_finished_job_is_polled_and_listed_uncounted_and_nothing_is_accepted(
    client: TestClient, admin: redis.Redis, finished: str, code: str
) -> None:
    REFUSALS[code](admin)
    for path in (f"/qr/bulk/{finished}/", f"/qr/bulk/{finished}/chunks/", "/qr/bulk/"):
        answer = client.simulate_get(path)
        assert answer.status_code == 200, answer.text
        assert "RateLimit-Remaining" not in answer.headers
    assert client.simulate_get(f"/qr/bulk/{finished}/").json["download_url"]
    waiting = client.simulate_get(f"/qr/bulk/{finished}/", headers={"Prefer": "wait=1"})
    assert waiting.json["status"] == "completed"
    assert client.simulate_head(f"/qr/bulk/{finished}/").status_code == 200
    for refused in (
        client.simulate_post("/qr/bulk/", json=BODY),
        client.simulate_post("/qr/", json={"gtin": "9506000134352"}),
        client.simulate_delete(f"/qr/bulk/{finished}/"),
    ):
        assert (refused.status_code, refused.json["error_code"]) == (503, "unavailable")


def test_who_may_not_poll_may_not_while_nothing_is_counted(
    client: TestClient, admin: redis.Redis, own: Settings, finished: str
) -> None:
    other = open_service(own).api_keys.create(name="other", role="client").token
    fill(admin)
    path = f"/qr/bulk/{finished}/"
    assert client.simulate_get(path, headers={"X-API-Key": other}).status_code == 404
    assert client.simulate_get(path, headers={"X-API-Key": "x"}).status_code == 401


@every_refusal
def test_metrics_say_so_and_lack_nothing_else(own: Settings, admin: redis.Redis, code: str) -> None:
    def scrape() -> dict[str, float | None]:
        registry = CollectorRegistry()
        with open_redis(own.redis_url, timeout=5, decode=True) as text:
            queues, heartbeats = RedisQueues(text), Heartbeats(text, 15_000)
            collector = LedgerCollector(text, queues, heartbeats, max_backlog=9, deadline=9)
            registry.register(collector)
            names = ("redis_up", "redis_memory_bytes", "redis_memory_limit_bytes", "jobs_in_flight")
            return {name: registry.get_sample_value(f"qrmill_{name}") for name in names}

    before = scrape()
    assert (before["redis_up"], before["redis_memory_limit_bytes"]) == (1, 0)
    assert (before["redis_memory_bytes"] or 0) > 100_000
    REFUSALS[code](admin)
    after = scrape()
    assert (after["redis_up"], after["jobs_in_flight"]) == (0, 0)
    full = (after["redis_memory_bytes"] or 0) > (after["redis_memory_limit_bytes"] or 1e12)
    assert full == (code == "OOM")


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_up(settings)}


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("OOM", "maxmemory"),
        ("READONLY", "the master"),
        ("NOREPLICAS", "min-replicas-to-write"),
    ],
)
def test_the_doctor_names_the_reason_and_the_role(
    own: Settings, admin: redis.Redis, code: str, advice: str
) -> None:
    well = found(own)
    assert {well[name].state for name in ("redis", "redis writes", "redis memory")} == {"ok"}
    assert ", master, at " in well["redis"].found
    assert well["redis memory"].found.endswith("MiB used, no maxmemory")
    assert not admin.exists(keys.PROBE)
    REFUSALS[code](admin)
    ill = found(own)
    assert ill["redis writes"].state == "fail"
    assert code in ill["redis writes"].found
    assert advice in ill["redis writes"].advice
    assert (", replica, at " in ill["redis"].found) == (code == "READONLY")
    assert ill["redis memory"].state == ("fail" if code == "OOM" else "ok")


@pytest.mark.parametrize(("share", "state"), [(0.5, "ok"), (0.9, "warn"), (1.5, "fail")])
def test_the_doctor_compares_used_memory_with_its_limit(
    own: Settings, admin: redis.Redis, share: float, state: str
) -> None:
    admin.config_set("maxmemory", int(admin.info("memory")["used_memory"] / share))
    memory = found(own)["redis memory"]
    assert memory.state == state
    assert "(maxmemory) used" in memory.found


@pytest.mark.parametrize("role", ["api", "worker", "sweep"])
def test_every_role_may_write_the_probe(server: servers.RedisServer, role: str) -> None:
    with role_users(server.url) as users, closing(open_redis(users.urls[role], timeout=5)) as own:
        own.set(keys.PROBE, 1, px=1000)
        own.delete(keys.PROBE)
        assert users.refused() == []


def test_the_probe_leaves_nothing_for_long(client: TestClient, admin: redis.Redis) -> None:
    assert client.simulate_get("/readyz").status_code == 200
    assert 0 < admin.pttl(keys.PROBE) <= 10_000
