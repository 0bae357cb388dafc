"""RabbitMQ as the broker: jobs and dead letters by HTTP, and what happens when it is away."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import dramatiq
import msgspec
import pytest
import redis
from dramatiq.brokers.rabbitmq import _RabbitmqConsumer
from falcon.testing import TestClient

from api.app import create_app
from deploy.embedded.ports import LOOPBACK, free_port
from pipeline.actors.render_chunk import ChunkRenderer
from pipeline.errors import BrokerUnavailableError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import Finding, Service, Settings, check_up
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.contract.test_queues import opened
from tests.integration.console_visitor import Visitor
from tests.integration.test_lost_messages import FirstTry, ends
from tests.rabbitmq import RunningRabbitmq
from tests.waiting import wait_for

BODY: dict[str, object] = {
    "gtin": "9506000134352",
    "items": [{"lot": f"L{number}"} for number in range(25)],
}
ONE_CHUNK = {**BODY, "items": [{}]}
#: Seconds within which the API has to say that it cannot accept.
PROMISED = 3.0
StartWorker = Callable[..., dramatiq.Worker]


class Relay:
    """Passes TCP on to a port, until it is told to let nothing through, or to refuse."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = free_port()
        self._flowing = threading.Event()
        self._flowing.set()
        self._ends: list[socket.socket] = []
        self.accepted = 0
        self.start()

    def start(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Break every connection; new ones may be made."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def stop(self) -> None:
        """Break every connection, and refuse new ones."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near = listener.accept()[0]
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection((LOOPBACK, self._target))
            self._ends += [near, far]
            if listener.fileno() < 0:  # stopped meanwhile, and these were not among what that broke
                self.cut()
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(rabbitmq: RunningRabbitmq) -> Iterator[Relay]:
    with_relay = Relay(rabbitmq.server.port)
    yield with_relay
    with_relay.thaw()
    with_relay.stop()


@pytest.fixture
def settings(
    settings: Settings, broker_url: str, relay: Relay, rabbitmq: RunningRabbitmq
) -> Settings:
    url = broker_url.replace(f":{rabbitmq.server.port}/", f":{relay.port}/")
    return msgspec.structs.replace(settings, broker_url=url, heartbeat_timeout=5)


@pytest.fixture
def client(service: Service, settings: Settings, token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as found:
        yield found


@pytest.fixture
def visitor(service: Service, settings: Settings, operator_token: str) -> Visitor:
    found = Visitor(create_app(service, settings))
    assert found.sign_in(operator_token).status_code == 303
    return found


def post(client: TestClient, body: dict[str, object] = BODY) -> str:
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json["task_id"]
    return task_id


def await_end(client: TestClient, task_id: str) -> None:
    def look() -> bool:
        answer = client.simulate_get(f"/qr/bulk/{task_id}/")
        return bool(answer.json["status"] == "completed")

    wait_for(look, "the end of the job", pause=0.25)  # within the key's rate


def test_a_job_is_rendered_and_the_doctor_and_the_console_see_who_did_it(
    client: TestClient, start_worker: StartWorker, settings: Settings, visitor: Visitor
) -> None:
    start_worker()
    task_id = post(client)
    await_end(client, task_id)
    findings = {each.name: each for each in wait_for(lambda: doctor(settings), "a heartbeat")}
    assert findings["workers"].found == "1 worker process alive"
    assert findings["rabbitmq"].state == findings["queues"].state == "ok"
    page = visitor.get("/ops/").text
    assert page.count('<span aria-hidden="true">✓</span> alive') == 1
    assert all(f'<th scope="row">{name}</th>' in page for name in ("webhook", "rabbitmq"))
    assert client.simulate_get("/readyz").status_code == 200
    assert "works only with Redis" in visitor.get("/dramatiq/").text


def test_a_purged_job_stays_purged_when_its_messages_are_redelivered(
    client: TestClient, start_worker: StartWorker, service: Service, bucket: Bucket, ledger: Ledger
) -> None:
    start_worker()
    task_id = post(client)
    await_end(client, task_id)
    path = f"/qr/bulk/{task_id}/"
    assert client.simulate_delete(path, query_string="purge=true").status_code == 204
    service.jobs._dispatcher.send_chunks(task_id, range(3), "")
    service.jobs._dispatcher.send_bundle(task_id, "")
    last = post(client)
    await_end(client, last)
    assert client.simulate_get(path).status_code == 404
    assert [*bucket.list_keys(keys.objects_of(task_id))] == []
    assert ledger.states([task_id]) == ["purged"]


def doctor(settings: Settings) -> list[Finding]:
    findings = [*check_up(settings)]
    return findings if any(each.found == "1 worker process alive" for each in findings) else []


def test_dead_letters_tell_why_and_put_back_they_complete_the_job(
    client: TestClient, bucket: Bucket, visitor: Visitor, start_worker: StartWorker
) -> None:
    task_id = post(client)
    name = keys.request_object(task_id)
    request = bucket.get(name)
    bucket.delete(name)
    start_worker()

    def look() -> list[str]:
        page = visitor.get("/ops/dead-letters").text
        letters = re.findall(r'name="letter" value="([^"]+)"', page)
        return letters if page.count('"Traceback">Traceback (most') == 3 else []

    letters = wait_for(look, "three dead letters with their tracebacks")
    status = client.simulate_get(f"/qr/bulk/{task_id}/").json
    assert (status["status"], status["error_code"]) == ("failed", "object_missing")
    bucket.put(name, request, "application/json")
    chosen = [("letter", letter) for letter in letters]
    answer = visitor.change("/ops/dead-letters/requeue", *chosen)
    assert answer.headers["location"] == "/ops/dead-letters?done=requeued&count=3"
    await_end(client, task_id)
    assert visitor.change("/ops/dead-letters/discard", *chosen).headers["location"].endswith("=0")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("fault", ["refused", "frozen"])
def test_with_rabbitmq_away_requests_are_refused_in_time_and_nothing_is_accepted(
    client: TestClient,
    relay: Relay,
    visitor: Visitor,
    bucket: Bucket,
    fault: str,
) -> None:
    first = post(client)
    await_end(client, first)
    before = len([*bucket.list_keys(keys.JOBS)])
    if fault == "refused":
        relay.stop()
    else:
        relay.freeze()
    begin = time.monotonic()
    answer = client.simulate_post("/qr/bulk/", json=BODY)
    assert (answer.status_code, answer.json["error_code"]) == (503, "unavailable")
    assert time.monotonic() - begin < PROMISED
    assert "The broker is unavailable" in visitor.get("/ops/").text
    assert client.simulate_get("/readyz").json["unavailable"] == ["rabbitmq"]
    assert len([*bucket.list_keys(keys.JOBS)]) == before
    if fault == "refused":
        relay.start()
    else:
        relay.thaw()
    wait_for(lambda: client.simulate_get("/readyz").status_code == 200, "RabbitMQ to be back")
    task_id = post(client)
    await_end(client, task_id)


@pytest.mark.parametrize("fault", ["refused", "frozen"])
def test_with_rabbitmq_away_the_sweep_does_what_it_can_without_and_keeps_its_lease(
    client: TestClient, relay: Relay, settings: Settings, redis_url: str, fault: str
) -> None:
    late, old, lost, still = (post(client) for _ in range(4))
    client.simulate_delete(f"/qr/bulk/{old}/")
    sweep = open_sweep(settings)
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        connection.hset(ledger_keys.job(late), "deadline_at", 1)
        connection.zadd(ledger_keys.ENDED_JOBS, {old: 1})
        connection.delete(ledger_keys.job(lost), ledger_keys.ranges(lost))
        connection.hset(ledger_keys.job(still), "moved_at", 0)
        if fault == "refused":
            relay.stop()
        else:
            relay.freeze()
        with pytest.raises(BrokerUnavailableError):
            sweep.once()
        assert connection.get(ledger_keys.SWEEP) == sweep._lease._holder
        states = Ledger(connection).states([late, old, lost, still])
        assert states == ["failed", None, "pending", "pending"]
        assert connection.hget(ledger_keys.job(still), "moved_at") == "0"  # its turn is not used up
        if fault == "refused":
            relay.start()
        else:
            relay.thaw()
        assert sweep.once()
        assert connection.hget(ledger_keys.job(still), "moved_at") != "0"


def test_connections_that_were_cut_are_made_again_without_a_refusal(
    client: TestClient, relay: Relay, start_worker: StartWorker
) -> None:
    start_worker()
    tasks = [post(client)]
    for _ in range(2):
        relay.cut()
        tasks.append(post(client))
    for task_id in tasks:
        await_end(client, task_id)


def test_a_message_that_was_lost_to_its_worker_fails_no_job(
    *,
    client: TestClient,
    relay: Relay,
    settings: Settings,
    start_worker: StartWorker,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last try fails after RabbitMQ has given the message to another, which succeeds."""
    tries = FirstTry(monkeypatch)
    task_id = post(client, ONE_CHUNK)
    start_worker(settings=msgspec.structs.replace(settings, max_retries=0))
    wait_for(lambda: tries.begun, "the first try")
    relay.cut()
    wait_for(lambda: len(tries.begun) == 2, "the message again")
    tries.fails.set()
    await_end(client, task_id)
    assert ends(connection) == {"jobs png completed": "1"}


def test_a_copy_of_a_dead_letter_opens_no_job_and_the_letter_does(
    *,
    client: TestClient,
    relay: Relay,
    settings: Settings,
    bucket: Bucket,
    start_worker: StartWorker,
    connection: redis.Redis,
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The letter was sent, and the acknowledgement got lost: RabbitMQ has both."""
    runs: list[bool] = []
    run, ack = ChunkRenderer.run, _RabbitmqConsumer.ack

    def told(*args: object) -> bool:
        try:
            return run(*args)  # type: ignore[arg-type] # as it is called
        finally:
            runs.append(True)

    def lose(consumer: _RabbitmqConsumer, message: dramatiq.MessageProxy) -> None:
        if message.failed:
            relay.cut()
        ack(consumer, message)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(ChunkRenderer, "run", told)
    monkeypatch.setattr(_RabbitmqConsumer, "ack", lose)
    task_id = post(client, ONE_CHUNK)
    connection.hdel(ledger_keys.ranges(task_id), "items")  # as if restored from S3
    name = keys.request_object(task_id)
    request = bucket.get(name)
    bucket.delete(name)
    start_worker(settings=msgspec.structs.replace(settings, max_retries=0))

    def status() -> str:
        return str(client.simulate_get(f"/qr/bulk/{task_id}/").json["status"])

    wait_for(lambda: status() == "failed", "the job's failure", pause=0.25)
    bucket.put(name, request, "application/json")
    wait_for(lambda: len(runs) == 2, "the message again")
    assert status() == "failed"
    page = visitor.get("/ops/dead-letters").text
    letters = re.findall(r'name="letter" value="([^"]+)"', page)
    assert len(letters) == 1
    visitor.change("/ops/dead-letters/requeue", ("letter", letters[0]))
    await_end(client, task_id)


def test_a_wish_that_has_little_time_left_ends_no_connection_of_others(
    relay: Relay, settings: Settings
) -> None:
    relay.freeze()
    with opened(settings) as parts, ThreadPoolExecutor(2) as pool:
        begun = time.monotonic()
        first = pool.submit(parts.queues.ping)
        wait_for(lambda: time.monotonic() > begun + 4, "most of its time to be over")
        relay.cut()  # so that it tries again
        wait_for(lambda: relay.accepted == 2, "another connection")
        second = pool.submit(parts.queues.ping)
        with pytest.raises(BrokerUnavailableError, match="within 5 s"):
            first.result()
        relay.thaw()
        second.result()
    assert relay.accepted == 2
