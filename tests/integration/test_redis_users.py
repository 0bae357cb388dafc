"""Each part as its own Redis user, with the commands, keys and channels of deploy/redis/users.acl.

The servers are a group that Sentinels watch, so that the same test loses its master.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import dramatiq
import msgspec
import pytest
import redis
from dramatiq import Message
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry
from redis.exceptions import NoPermissionError

from api.app import create_app
from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger import scripts
from pipeline.ledger.connection import open_redis
from pipeline.maintenance.sweep import Sweep, open_sweep, sweep_until
from pipeline.monitoring.ledger_metrics import LedgerCollector
from pipeline.service import Settings, check_up, open_service
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.worker import build_worker
from tests.integration.console_visitor import Visitor
from tests.integration.test_dashboard import forms
from tests.lanes import key_in_lane
from tests.receiver import receiving
from tests.role_users import refused
from tests.sentinels import SentinelGroup, running_group
from tests.waiting import wait_for

USERS = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
API, WORKER, SWEEP = "qrmill-api", "qrmill-worker", "qrmill-sweep"
#: What the release before needs besides, which may run beside this one.
RELEASE_BEFORE = {"incrby"}
#: What Dramatiq's dashboard needs and nothing else does; it may not be installed here.
DASHBOARD = {"hscan", "lrem", "scard", "type", "zscan"}
_LISTED = re.compile(r"\+(\S+)")
_SOON = {"lease": 1, "callback_http": True, "callback_networks": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    users = USERS.read_text("utf-8")
    with running_group(tmp_path_factory.mktemp("redis"), users) as running:
        yield running


@pytest.fixture
def admin(group: SentinelGroup) -> Iterator[redis.Redis]:
    with open_redis(group.url("admin"), timeout=5, decode=True) as client:
        client.flushall()
        client.acl_log_reset()
        yield client


@pytest.fixture
def own(settings: Settings, group: SentinelGroup) -> dict[str, Settings]:
    """The settings of each part: they differ in the user alone."""
    return {
        user: msgspec.structs.replace(settings, redis_url=group.url(user), **_SOON)
        for user in (API, WORKER, SWEEP)
    }


class Walk:
    """The service's parts, each as its own user, and what is done with them.

    Args:
        own: settings of each.
        admin: may do everything, and does what goes wrong elsewhere.
    """

    def __init__(self, own: dict[str, Settings], admin: redis.Redis, bucket: Bucket) -> None:
        self.admin, self.bucket = admin, bucket
        self.service = open_service(own[API])
        self.app = create_app(self.service, own[API])
        created = self.service.api_keys.create
        self.operator_token = created(name="operator", role="operator").token
        token = key_in_lane(
            self.service.api_keys, 0, name="client", role="client", per_minute=10_000
        ).token
        self.client = TestClient(self.app, headers={"X-API-Key": token})
        self.worker = dramatiq.Worker(
            build_worker(own[WORKER]), worker_threads=2, worker_timeout=50
        )
        self.sweep: Sweep = open_sweep(own[SWEEP])

    def submit(self, items: int = 1, *, key: str = "", **fields: object) -> str:
        body = {"gtin": "9506000134352", "format": "svg", "items": [{}] * items, **fields}
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.client.simulate_post("/qr/bulk/", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json["task_id"])

    def poll(self, task_id: str, **headers: str) -> dict[str, Any]:
        answer = self.client.simulate_get(f"/qr/bulk/{task_id}/", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    def await_end(self, task_id: str, status: str = "completed") -> None:
        wait_for(lambda: self.poll(task_id)["status"] == status, status, pause=0.05)

    def broken(self, items: int = 1) -> tuple[str, bytes]:
        """Submit a job whose request is gone; return it with what was there."""
        task_id = self.submit(items)
        self.admin.hdel(ledger_keys.ranges(task_id), "items")  # as if restored from S3
        name = keys.request_object(task_id)
        request = self.bucket.get(name)
        self.bucket.delete(name)
        return task_id, request


@pytest.fixture
def walk(own: dict[str, Settings], admin: redis.Redis, bucket: Bucket) -> Iterator[Walk]:
    made = Walk(own, admin, bucket)
    yield made
    if made.worker.consumers:
        made.worker.stop()
    made.worker.broker.close()
    made.service.jobs.stop_waiting()


def test_the_service_needs_what_is_listed_and_no_more(
    walk: Walk, own: dict[str, Settings], admin: redis.Redis
) -> None:
    admin.config_resetstat()
    lose_messages(walk, own)
    leave_a_dead_worker(walk)
    path = f"/qr/bulk/{walk.submit(25, key='purged')}/"
    cancelled = walk.client.simulate_delete(path)
    assert cancelled.json["error_code"] == "cancelled"
    assert walk.client.simulate_delete(path, query_string="purge=true").status_code == 204
    walk.admin.zadd(ledger_keys.PURGED_JOBS, {cancelled.json["task_id"]: 1})
    assert walk.sweep.once()
    assert walk.admin.zcard(ledger_keys.PURGED_JOBS) == 0
    broken = [walk.broken() for _ in range(3)]
    walk.worker.start()
    run_jobs(walk)
    put_back(walk, broken)
    lose_ends_and_jobs(walk)
    outlive(walk)
    look_at_everything(walk, own)
    assert refused(admin) == []
    stats: dict[str, Any] = admin.info("commandstats")
    used = {name.removeprefix("cmdstat_") for name, told in stats.items() if told["calls"]}
    never = {
        user: sorted(commands(user) - used - DASHBOARD - RELEASE_BEFORE)
        for user in (API, WORKER, SWEEP)
    }
    assert never == {API: [], WORKER: [], SWEEP: []}


def lose_messages(walk: Walk, own: dict[str, Settings]) -> None:
    """Refuse a request, and let the sweep send again what was lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk.service.submission._backlog, "_limit", 0)
        walk.submit()
        refused = walk.client.simulate_post(
            "/qr/bulk/",
            json={"gtin": "9506000134352", "items": [{}]},
            headers={"Idempotency-Key": "given back"},
        )
        assert refused.json["error_code"] == "backlog_full"
    lost, late = walk.submit(25), walk.submit()
    for key in walk.admin.keys("dramatiq:*"):
        walk.admin.delete(key)
    walk.admin.hset(ledger_keys.job(lost), "moved_at", 0)
    walk.admin.hset(ledger_keys.job(late), "deadline_at", 1)
    assert walk.sweep.once()
    assert walk.admin.hlen(ledger_keys.messages("render")) == 3
    assert walk.poll(late)["error_code"] == "deadline"
    assert {finding.state for finding in check_up(own[API]) if finding.name == "sweep"} == {"ok"}


def leave_a_dead_worker(walk: Walk) -> None:
    """A worker that died long ago held a message; Dramatiq's maintenance gives it back."""
    queue, dead = ledger_keys.queue("express"), "worker:gone:1:aa"
    walk.submit()
    walk.admin.zadd(ledger_keys.HEARTBEATS, {dead: 1})
    walk.admin.sadd(f"dramatiq:__acks__.{dead}.express", _id(walk.admin.lpop(queue)))


def _id(popped: object) -> str:
    assert isinstance(popped, str)
    return popped


def run_jobs(walk: Walk) -> None:
    """Accept, replay, wait and call back."""
    wait_for(
        lambda: not walk.admin.zscore(ledger_keys.HEARTBEATS, "worker:gone:1:aa"), "maintenance"
    )
    first = walk.submit(25, key="order")
    assert walk.poll(first, Prefer="wait=20")["status"] == "completed"
    assert walk.submit(25, key="order") == first
    secret = walk.client.simulate_post("/keys/self/webhook-secret/").json["webhook_secret"]
    with receiving(500) as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.webhooks.schedule.SCHEDULE", (0, 0))
        told = walk.submit(callback_url=receiver.url)
        walk.await_end(told)
        wait_for(
            lambda: walk.sweep.once() and walk.poll(told)["callback"]["state"] == "delivered",
            "the callback",
            pause=0.1,
        )
        receiver.received[-1].verified(secret)


def put_back(walk: Walk, broken: list[tuple[str, bytes]]) -> None:
    """Put a failed job's letter back in the console, discard another's and run that again."""
    visitor = Visitor(walk.app)
    visitor.sign_in(walk.operator_token)
    for task_id, _ in broken:
        walk.await_end(task_id, "failed")
    letters = wait_for(lambda: all_letters(walk, len(broken)), "the dead letters")
    page = visitor.get("/ops/dead-letters").text
    assert all(f'value="{letter}"' in page for letter in letters)
    for task_id, request in broken:
        walk.bucket.put(keys.request_object(task_id), request, "application/json")
    if find_spec("dramatiq_dashboard") is not None:
        use_the_dashboard(walk, visitor, letters.pop())
    messages = cast("dict[str, str]", walk.admin.hgetall(ledger_keys.dead_messages("express")))
    about = {f"express:{name}": Message.decode(text.encode()) for name, text in messages.items()}
    discarded = {about[letter].args[0] for letter in letters[1:]}
    for letter, action in zip(letters, ("requeue", "discard", "discard"), strict=False):
        done = visitor.change(f"/ops/dead-letters/{action}", ("letter", letter))
        assert done.headers["location"].endswith("count=1")
    for task_id, _ in broken:
        if task_id in discarded:
            assert visitor.change(f"/ops/jobs/{task_id}/retry").status_code == 303
        walk.await_end(task_id)
    assert visitor.post("/ops/sign-out", [("form_token", visitor.token())]).status_code == 303


def all_letters(walk: Walk, count: int) -> list[str]:
    found = cast("list[str]", walk.admin.zrange(ledger_keys.dead_letters("express"), 0, -1))
    return [f"express:{letter}" for letter in found] if len(found) == count else []


def use_the_dashboard(walk: Walk, visitor: Visitor, letter: str) -> None:
    """Look at Dramatiq's own dashboard, and requeue a dead letter there."""
    assert visitor.get("/dramatiq/").status_code == 200
    page = visitor.get("/dramatiq/queues/express/failed").text
    letter_id = letter.partition(":")[2]
    (fields,) = (
        each
        for each in forms(page, "/dramatiq/requeue-message")
        if letter_id in dict(each).values()
    )
    assert visitor.post("/dramatiq/requeue-message", fields).status_code == 302
    assert letter not in all_letters(walk, 2)


def lose_ends_and_jobs(walk: Walk) -> None:
    """Bring back from S3 jobs that Redis has lost, and the end of one that it forgot."""
    ended, unended = walk.submit(key="lost"), walk.submit()
    walk.await_end(ended)
    walk.await_end(unended)
    result = keys.result_object(unended)
    wait_for(lambda: result in [*walk.bucket.list_keys("jobs/")], "the record of its end")
    forget_the_end(walk.admin, unended)
    walk.admin.delete(ledger_keys.job(ended), ledger_keys.ALIVE)
    assert walk.sweep.once()
    assert walk.poll(ended)["status"] == walk.poll(unended)["status"] == "completed"
    walk.admin.delete(ledger_keys.job(ended))
    assert walk.poll(ended)["status"] == "completed"


def forget_the_end(admin: redis.Redis, task_id: str) -> None:
    """Put a completed job back to where it stood just before."""
    admin.hset(ledger_keys.job(task_id), "state", "running")
    admin.hdel(ledger_keys.job(task_id), "bundle", "finished_at")
    admin.zrem(ledger_keys.ENDED_JOBS, task_id)
    admin.zadd(ledger_keys.ACTIVE_JOBS, {task_id: 1})


def outlive(walk: Walk) -> None:
    """Remove a job whose time is over."""
    task_id = walk.submit()
    walk.await_end(task_id)
    walk.admin.zadd(ledger_keys.ENDED_JOBS, {task_id: 1})
    assert walk.sweep.once()
    assert not walk.admin.exists(ledger_keys.job(task_id))


def look_at_everything(walk: Walk, own: dict[str, Settings]) -> None:
    """Read all that can be read: lists, the console, the dashboard, metrics, the doctor."""
    visitor = Visitor(walk.app)
    visitor.sign_in(walk.operator_token)
    task_id = walk.submit(3)
    walk.await_end(task_id)
    pages = ["/ops/", "/ops/jobs?state=completed", f"/ops/jobs/{task_id}", "/ops/dead-letters"]
    assert {visitor.get(page).status_code for page in pages} == {200}
    for path in ("?status=completed", "?created_before=2999-01-01T00:00:00Z", f"{task_id}/chunks/"):
        assert walk.client.simulate_get(f"/qr/bulk/{path}").status_code == 200, path
    assert walk.client.simulate_get("/readyz").status_code == 200
    scrape(own[API])
    for settings in own.values():
        wrong = [each for each in check_up(settings) if each.state == "fail"]
        assert wrong == []


def scrape(settings: Settings) -> None:
    registry = CollectorRegistry()
    with open_redis(settings.redis_url, timeout=5, decode=True) as text:
        queues, heartbeats = RedisQueues(text), Heartbeats(text, 15_000)
        registry.register(LedgerCollector(text, queues, heartbeats, max_backlog=9, deadline=9))
        assert registry.get_sample_value("qrmill_redis_up") == 1


def commands(user: str) -> set[str]:
    """Return what an ACL rule lists."""
    (line,) = (line for line in USERS.read_text("utf-8").splitlines() if f"user {user} " in line)
    return set(_LISTED.findall(line))


@pytest.mark.parametrize("user", [API, WORKER, SWEEP])
def test_what_is_not_listed_is_refused(user: str, group: SentinelGroup, admin: redis.Redis) -> None:
    others: dict[str, list[tuple[str, ...]]] = {
        API: [
            ("GET", ledger_keys.ALIVE),
            ("SET", ledger_keys.SWEEP, "me"),
            ("LPOP", ledger_keys.queue("render")),
        ],
        WORKER: [
            ("GET", ledger_keys.session("session", "0")),
            ("GET", ledger_keys.rate("0", 60)),
            ("GET", ledger_keys.ALIVE),
        ],
        SWEEP: [("GET", ledger_keys.session("session", "0")), ("SUBSCRIBE", ledger_keys.ENDED)],
    }
    admin.set("others:key", "theirs")
    wanted: list[tuple[str, ...]] = [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("SCAN", "0"),
        ("MONITOR",),
        ("SHUTDOWN",),
        ("CLIENT", "LIST"),
        ("REPLICAOF", "NO", "ONE"),
        ("GET", "others:key"),
        ("DEL", "others:key"),
        ("PUBLISH", "others", "x"),
        ("EVAL", "return 1", "0"),
        ("FUNCTION", "LIST"),
        ("MODULE", "LIST"),
        *others[user],
    ]
    with open_redis(group.url(user), timeout=5) as client:
        for words in wanted:
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)
        inside = client.register_script("return redis.call('GET', 'others:key')")
        with pytest.raises(redis.ResponseError, match=r"permission|ACL"):
            inside()
    assert admin.get("others:key") == "theirs"


def test_every_command_of_a_script_is_listed() -> None:
    sources = [*(Path(scripts.__file__).parent / "lua").glob("*.lua")]
    assert sources
    for source in sources:
        called = re.findall(r"redis\.call\(\"(\w+)\"", source.read_text("utf-8"))
        listed = set.union(*map(commands, (API, WORKER, SWEEP)))
        assert {name.lower() for name in called} <= listed, source


def test_a_master_that_dies_in_the_middle_of_jobs_loses_none(
    walk: Walk, group: SentinelGroup, own: dict[str, Settings]
) -> None:
    assert walk.sweep.once()
    before = group.master()
    sent = {f"order {number}": walk.submit(25, key=f"order {number}") for number in range(10)}
    walk.worker.start()
    wait_for(lambda: walk.poll(sent["order 1"])["status"] == "completed", "the first", pause=0.05)
    group.kill(before)
    after = group.wait_for_failover(before)
    with sweeping(walk.sweep):
        wait_for(lambda: {last_told(walk, each) for each in sent.values()} == {"completed"}, "all")
    assert {key: walk.submit(25, key=key) for key in sent} == sent
    names = [*walk.bucket.list_keys("jobs/")]
    assert len([name for name in names if name.endswith("request.json")]) == len(sent)
    with group.client(after) as admin:
        assert refused(admin) == []
    told = {finding.name: finding for finding in check_up(own[API])}
    assert {told[name].state for name in ("redis", "redis sentinels", "redis replicas")} == {"ok"}
    assert told["redis replicas"].found.startswith("connected replicas: 1;")


def last_told(walk: Walk, task_id: str) -> str:
    """Return a task's status; what else is answered while there is no master."""
    answer = walk.client.simulate_get(f"/qr/bulk/{task_id}/")
    return str(answer.json["status"] if answer.status_code == 200 else answer.status_code)


@contextmanager
def sweeping(sweep: Sweep) -> Iterator[None]:
    """Sweep once a second until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=sweep_until, args=(stop, sweep.once))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
