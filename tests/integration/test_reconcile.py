"""S3 compared with the ledger: by pages, under a lease, and with the sweep going on meanwhile."""

import uuid
from collections.abc import Iterator

import pytest
import redis
from falcon.testing import TestClient

from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.service import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

BODY = {"gtin": "9506000134352", "items": [{"serial": "1"}]}
LEASE = 10_000  # milliseconds


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def sweep(settings: Settings, connection: redis.Redis) -> Sweep:
    """A sweep that has compared already, once."""
    opened = open_sweep(settings)
    assert opened.once()
    assert connection.get(ledger_keys.ALIVE)
    return opened


def submit(client: TestClient) -> str:
    answer = client.simulate_post("/qr/bulk/", json=BODY)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def lose(connection: redis.Redis, *tasks: str) -> None:
    for task_id in tasks:
        connection.delete(ledger_keys.job(task_id), ledger_keys.ranges(task_id))
        connection.zrem(ledger_keys.ACTIVE_JOBS, task_id)


def enter_so_many(
    bucket: Bucket, connection: redis.Redis, count: int, state: str = "completed"
) -> None:
    for _ in range(count):
        task_id = str(uuid.uuid4())
        bucket.put(keys.request_object(task_id), b"{}\n")
        connection.hset(ledger_keys.job(task_id), "state", state)


def asked_by(sweep: Sweep, connection: redis.Redis) -> int:
    """Return how many commands a comparison sends, but for those of scripts themselves."""
    connection.config_resetstat()
    assert [*sweep._reconciler.steps()]
    found = connection.info("commandstats")
    within = {"cmdstat_hget", "cmdstat_config|resetstat", "cmdstat_info"}
    return sum(each["calls"] for name, each in found.items() if name not in within)


def test_jobs_that_have_ended_cost_a_page_and_not_a_question_each(
    sweep: Sweep, bucket: Bucket, connection: redis.Redis
) -> None:
    enter_so_many(bucket, connection, 3)
    asked_by(sweep, connection)  # it may have to send the script, once
    few = asked_by(sweep, connection)
    sent: list[str] = []
    sweep._reconciler._records._bucket._client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(request.url)
    )
    enter_so_many(bucket, connection, 60)
    assert asked_by(sweep, connection) == few
    assert len(sent) == 3  # jobs, open uploads, staging


@pytest.mark.parametrize("state", ["pending", "running", "completed", "failed"])
def test_redis_is_asked_once_a_page_whatever_the_states_of_its_jobs(
    sweep: Sweep, bucket: Bucket, connection: redis.Redis, state: str
) -> None:
    enter_so_many(bucket, connection, 3, state)
    asked_by(sweep, connection)
    few = asked_by(sweep, connection)
    enter_so_many(bucket, connection, 30, state)
    assert asked_by(sweep, connection) == few


def test_the_pages_are_of_s3s_size(
    sweep: Sweep, bucket: Bucket, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_so_many(bucket, connection, 7)
    # Not a thousand jobs, but as many as this server is told to put on a page.
    sweep._reconciler._records._bucket._client.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=3)
    )
    pages: list[int] = []
    states = Ledger.states

    def counted(ledger: Ledger, task_ids: list[str]) -> list[str | None]:
        pages.append(len(task_ids))
        return states(ledger, task_ids)

    monkeypatch.setattr(Ledger, "states", counted)
    assert len([*sweep._reconciler.steps()]) == 7 + 1  # and the open uploads
    assert pages == [3, 3, 1]


def test_a_long_comparison_renews_the_lease_and_the_sweep_goes_on_meanwhile(
    sweep: Sweep, client: TestClient, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [submit(client) for _ in range(4)]
    lose(connection, *lost)
    late = submit(client)
    connection.delete(ledger_keys.ALIVE)
    monkeypatch.setattr("pipeline.maintenance.sweep._TICK", 0)  # as if every step took a second
    real, left, ended = sweep._reconciler.steps, [], []

    def steps() -> Iterator[None]:
        for _ in real():
            left.append(connection.pttl(ledger_keys.SWEEP))
            ended.append(connection.hget(ledger_keys.job(late), "state"))
            connection.hset(ledger_keys.job(late), "deadline_at", 1)
            connection.pexpire(ledger_keys.SWEEP, LEASE // 2)  # so much of it is over
            yield

    monkeypatch.setattr(sweep._reconciler, "steps", steps)
    assert sweep.once()
    assert len(left) >= len(lost)
    assert min(left) > LEASE // 2
    assert ended[-1] == "failed"
    assert all(connection.exists(ledger_keys.job(task_id)) for task_id in lost)


def test_a_comparison_ends_when_another_has_taken_the_lease(
    sweep: Sweep,
    client: TestClient,
    settings: Settings,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = [submit(client) for _ in range(4)]
    lose(connection, *lost)
    connection.delete(ledger_keys.ALIVE)
    monkeypatch.setattr("pipeline.maintenance.sweep._TICK", 0)
    real, taken = sweep._reconciler.steps, "another"

    def steps() -> Iterator[None]:
        for _ in real():
            connection.set(ledger_keys.SWEEP, taken)
            yield

    monkeypatch.setattr(sweep._reconciler, "steps", steps)
    assert not sweep.once()
    assert connection.get(ledger_keys.SWEEP) == taken
    assert connection.get(ledger_keys.ALIVE) is None  # it is still to be compared, by that one
    assert sum(connection.exists(ledger_keys.job(task_id)) for task_id in lost) == 1
    connection.delete(ledger_keys.SWEEP)
    assert open_sweep(settings).once()
    assert all(connection.exists(ledger_keys.job(task_id)) for task_id in lost)


def test_a_comparison_ends_when_the_process_is_to_end_and_is_due_again(
    sweep: Sweep, client: TestClient, connection: redis.Redis
) -> None:
    lost = [submit(client) for _ in range(4)]
    lose(connection, *lost)
    connection.delete(ledger_keys.ALIVE)
    sweep.stopping.set()
    assert not sweep.once()
    assert connection.get(ledger_keys.ALIVE) is None
    assert sum(connection.exists(ledger_keys.job(task_id)) for task_id in lost) == 1
    sweep.stopping.clear()
    assert sweep.once()
    assert all(connection.exists(ledger_keys.job(task_id)) for task_id in lost)
