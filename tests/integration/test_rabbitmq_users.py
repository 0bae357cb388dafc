"""The service as the users of RabbitMQ and Redis that deploy/ states, and what refusals say.

A walk through the service shows that these rights are enough, one right less that it is needed.
"""

import os
import re
import secrets
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import dramatiq
import msgspec
import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from deploy.embedded.process import Part, PartProcess, stop_all
from pipeline.broker.names import RENDER_QUEUE
from pipeline.broker.rabbitmq_connection import Amqp
from pipeline.broker.rabbitmq_errors import RIGHTS, AmqpRefusedError
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import Finding, Settings, check_up, open_service
from pipeline.settings import variable
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.worker import build_worker
from tests.integration.test_rabbitmq import BODY, await_end, post
from tests.lanes import key_in_lane
from tests.rabbitmq import RunningRabbitmq
from tests.waiting import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
API, WORKER, SWEEP = "qrmill-api", "qrmill-worker", "qrmill-sweep"
NOTHING = "^$"
StartWorker = Callable[..., dramatiq.Worker]


class RabbitUser(NamedTuple):
    """A user of RabbitMQ without a tag."""

    server: RunningRabbitmq
    name: str
    password: str

    def url(self, vhost: str = "%2F", password: str = "") -> str:
        port = self.server.server.port
        return f"amqp://{self.name}:{password or self.password}@127.0.0.1:{port}/{vhost}"

    def allow(self, **patterns: str) -> None:
        """Give the rights that deploy/rabbitmq.md states, but for those named."""
        rights = stated_rights() | patterns
        self.server.control("set_permissions", "-p", "/", self.name, *rights.values())


def stated_rights() -> dict[str, str]:
    page = (DEPLOY / "rabbitmq.md").read_text("utf-8").replace("\\\n", " ")
    (command,) = re.findall(r"rabbitmqctl (set_permissions -p / qrmill .*)", page)
    return dict(zip(("configure", "write", "read"), shlex.split(command)[4:], strict=True))


@pytest.fixture(scope="module")
def user(rabbitmq: RunningRabbitmq) -> Iterator[RabbitUser]:
    found = RabbitUser(rabbitmq, "few", secrets.token_hex(8))
    rabbitmq.control("add_user", found.name, text=f"{found.password}\n")
    found.allow()
    yield found
    rabbitmq.control("delete_user", found.name)


@pytest.fixture
def settings(settings: Settings, user: RabbitUser, broker_url: str) -> Settings:
    assert broker_url  # it has no queues
    return msgspec.structs.replace(settings, broker_url=user.url())


@pytest.fixture
def own(settings: Settings, redis_url: str) -> Iterator[dict[str, Settings]]:
    """The settings of each part as its own user of Redis, and as that of RabbitMQ."""
    lines = (DEPLOY / "redis" / "users.acl").read_text("utf-8").splitlines()
    rules = {name: rest for _, name, *rest in map(str.split, lines) if name in {API, WORKER, SWEEP}}
    address, password = redis_url.rpartition("@")[2], secrets.token_hex(8)
    with redis.Redis.from_url(redis_url, decode_responses=True) as admin:
        for name, rest in rules.items():
            admin.execute_command("ACL", "SETUSER", name, "reset", *rest, f">{password}")
        admin.acl_log_reset()
        yield {
            name: msgspec.structs.replace(
                settings, redis_url=f"redis://{name}:{password}@{address}"
            )
            for name in rules
        }
        refused = admin.acl_log(100)
        admin.acl_deluser(*rules)
        assert refused == []


def test_what_is_stated_is_what_refusals_advise() -> None:
    assert stated_rights() == RIGHTS


def test_the_service_needs_no_more_than_what_is_stated(
    own: dict[str, Settings], start_worker: StartWorker, bucket: Bucket
) -> None:
    service = open_service(own[API])
    token = key_in_lane(service.api_keys, 0, name="client", role="client").token
    client = TestClient(create_app(service, own[API]), headers={"X-API-Key": token})
    broken = post(client)
    name = keys.request_object(broken)
    request = bucket.get(name)
    bucket.delete(name)
    start_worker(settings=own[WORKER])
    await_end(client, post(client))
    letters = service.dead_letters

    def three() -> list[str]:
        found = [each.letter_id for each in letters.newest(RENDER_QUEUE, 9)]
        return found if len(found) == 3 else []

    found = wait_for(three, "three dead letters", pause=0.25)
    bucket.put(name, request, "application/json")
    assert letters.requeue(RENDER_QUEUE, found[1:]) == 2
    assert letters.discard(RENDER_QUEUE, found[:1]) == 1
    assert client.simulate_get("/readyz").status_code == 200
    assert open_sweep(own[SWEEP]).once()
    wait_for(lambda: not failing(own[API]), "a heartbeat")
    assert failing(own[WORKER]) == failing(own[SWEEP]) == []
    assert service.overview.read().dead == 0
    service.jobs.stop_waiting()


def failing(settings: Settings) -> list[Finding]:
    return [each for each in check_up(settings) if each.state == "fail"]


def rabbitmq_finding(settings: Settings) -> Finding:
    (found,) = (each for each in check_up(settings) if each.name == "rabbitmq")
    assert found.state == "fail"
    return found


@pytest.mark.parametrize(
    ("right", "refused", "needed"),
    [
        ("configure", "queue 'render'", "needs the permissions configure and read: "),
        ("write", "exchange 'amq.default'", "needs the permission write: "),
        ("read", "queue 'render'", "needs the permissions configure and read: "),
    ],
)
def test_one_right_less_is_named_and_nothing_is_accepted(
    right: str, refused: str, needed: str, user: RabbitUser, settings: Settings
) -> None:
    user.allow(**{right: NOTHING})
    service = open_service(settings)
    token = key_in_lane(service.api_keys, 0, name="client", role="client").token
    client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    answer = client.simulate_post("/qr/bulk/", json=BODY)
    assert (answer.status_code, answer.json["error_code"]) == (503, "unavailable")
    assert not {"few", "amq.default", user.password} & {*re.findall(r"[\w.]+", answer.text)}
    service.jobs.stop_waiting()
    found = rabbitmq_finding(settings)
    assert found.found.startswith(f"access to {refused} in vhost '/' refused for user 'few', at")
    assert needed in found.advice
    user.server.control(*shlex.split(found.advice.split("`")[1])[1:])
    assert not [each for each in check_up(settings) if each.name == "rabbitmq" and each.advice]


def test_where_the_queues_are_there_a_worker_that_may_not_read_says_so(
    user: RabbitUser, settings: Settings
) -> None:
    with closing(build_worker(settings)) as broker:
        broker.consume(RENDER_QUEUE).close()
        user.allow(read=NOTHING)
        consumer = broker.consume(RENDER_QUEUE)
        with pytest.raises(
            dramatiq.ConnectionClosed, match="needs the permissions configure and read: "
        ):
            next(consumer)
        with pytest.raises(dramatiq.ConnectionClosed):  # the channel was
            consumer.close()
    user.allow()


@pytest.mark.parametrize(
    ("url", "found", "advice"),
    [
        ({"password": "hunter2"}, "Login was refused", "wrong password"),
        ({"vhost": "nowhere"}, "vhost nowhere not found", "rabbitmqctl add_vhost nowhere"),
        ({"vhost": "others"}, "access to vhost 'others' refused", "set_permissions -p others few"),
    ],
)
def test_the_doctor_says_what_is_refused_and_what_to_do(
    url: dict[str, str], found: str, advice: str, user: RabbitUser, settings: Settings
) -> None:
    if "others" in url.values():
        user.server.control("add_vhost", "others")
    finding = rabbitmq_finding(msgspec.structs.replace(settings, broker_url=user.url(**url)))
    assert found in finding.found
    assert advice in finding.advice
    assert "hunter2" not in str(finding)


def test_a_refusal_that_comes_before_the_first_request_is_named(
    user: RabbitUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Amqp(user.url(password="hunter2"), timeout=10, heartbeat=60)
    open_session = connection._open

    def open_late() -> object:
        session = open_session()
        wait_for(lambda: session.end_reason, "the refusal")
        return session

    monkeypatch.setattr(connection, "_open", open_late)
    with pytest.raises(AmqpRefusedError, match="Login was refused"):
        connection.declare()


def test_queues_of_somebody_else_are_named(user: RabbitUser, settings: Settings) -> None:
    with user.server.channel() as channel:
        channel.queue_declare("render", durable=True)
    finding = rabbitmq_finding(settings)
    assert re.match(r"inequivalent arg '[^']*' for queue 'render' in vhost '/'", finding.found)
    assert "Delete the queue" in finding.advice


def test_api_and_worker_say_at_their_start_that_the_password_is_wrong(
    user: RabbitUser, settings: Settings, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(settings, broker_url=user.url(password="hunter2"))
    names = (
        "redis_url",
        "broker_url",
        "s3_endpoint_url",
        "s3_access_key_id",
        "bucket",
        "s3_secret_access_key",
        "staging_bucket",
    )
    environ = os.environ | {variable(name): getattr(settings, name) for name in names}
    qrmill = str(Path(sys.executable).with_name("qrmill"))
    commands = (("api", "--bind", "127.0.0.1:0", "--processes", "1"), ("worker",))
    parts = [
        PartProcess(Part(each[0], (qrmill, *each), tmp_path, environ, lambda: bool), tmp_path)
        for each in commands
    ]
    try:
        for part in parts:
            log = wait_for(partial(told, part), part.log.name)
            assert "QRMILL_BROKER_URL has an unknown user or a wrong password" in log
            assert "hunter2" not in log
            assert "Traceback" not in log
    finally:
        stop_all(parts)


def told(part: PartProcess) -> str:
    log = part.log.read_text("utf-8")
    return log if "Login was refused" in log else ""
