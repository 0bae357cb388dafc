"""The client before a server that misbehaves on purpose; no test waits for a time to pass."""

import io
import json
import logging
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.client import (
    ApiError,
    BulkItem,
    Client,
    Options,
    Serials,
    TaskFailedError,
    TaskStatus,
    UnreachableError,
    WaitTimeoutError,
)
from tests.certificates import write_certificate
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import (
    LISTED_TASK,
    LOST,
    TASK,
    Answer,
    Clock,
    Request,
    ScriptedServer,
    accepted,
    as_json,
    problem,
    scripted_server,
    task,
)

GTIN = "9506000134352"
ITEMS = [{"serial": "1"}, {"serial": "2"}]


def test_a_request_is_sent_as_given(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(accepted())
    found = client.submit(gtin=GTIN, items=iter(ITEMS), format="svg", idempotency_key="order 7")
    assert found == (TASK, 2, "order 7", False, f"/qr/bulk/{TASK}/", (), 0)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/qr/bulk/")
    assert request.headers["X-API-Key"] == KEY
    assert request.headers["Idempotency-Key"] == "order 7"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {"gtin": GTIN, "items": ITEMS, "format": "svg"}


def test_the_options_for_printing_are_sent_as_given(server: ScriptedServer, client: Client) -> None:
    options: Options = {
        "format": "pdf",
        "version": 7,
        "xdim_mm": 0.5,
        "dpi": 600,
        "pages": "single",
        "datamerge": False,
    }
    server.answer_in_turn(accepted(), accepted())
    client.submit(gtin=GTIN, items=ITEMS, **options)
    client.submit_csv(b"lot", gtin=GTIN, **options)
    as_json_body, as_csv_query = server.requests
    assert json.loads(as_json_body.body) == {"gtin": GTIN, "items": ITEMS, **options}
    assert as_csv_query.path.partition("?")[2] == (
        f"gtin={GTIN}&format=pdf&version=7&xdim_mm=0.5&dpi=600&pages=single&datamerge=false"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_has_not_is_not_sent_as_null(
    server: ScriptedServer, client: Client, value: float
) -> None:
    with pytest.raises(ValueError, match="invalid xdim_mm: must be a finite number"):
        client.submit(gtin=GTIN, items=ITEMS, xdim_mm=value)
    with pytest.raises(ValueError, match="invalid xdim_mm: must be a finite number"):
        client.submit_csv(b"lot", gtin=GTIN, xdim_mm=value)
    assert server.requests == []


def test_serials_and_what_all_items_share_are_sent_as_they_are(
    server: ScriptedServer, client: Client
) -> None:
    server.script = lambda _: accepted()
    client.submit(gtin=GTIN, serials=Serials(start="A1", count=2), lot="L", extra={"a": "1"})
    client.submit(gtin=GTIN, serials={"random": True, "count": 2})
    client.submit(items=[BulkItem(gtin=GTIN, name="n"), {"gtin": GTIN, "variant": "V"}])
    assert [json.loads(request.body) for request in server.requests] == [
        {"gtin": GTIN, "serials": {"start": "A1", "count": 2}, "lot": "L", "extra": {"a": "1"}},
        {"gtin": GTIN, "serials": {"random": True, "count": 2}},
        {"items": [{"gtin": GTIN, "name": "n"}, {"gtin": GTIN, "variant": "V"}]},
    ]
    client.submit_csv(b"gtin,lot")
    assert "gtin" not in server.requests[-1].path


def test_the_api_may_be_below_a_prefix(server: ScriptedServer, clock: Clock) -> None:
    server.answer_in_turn(as_json(task("pending")))
    with Client(f"{server.url}/products/api/v1", KEY, sleep=clock.sleep, clock=clock) as client:
        client.status("../keys?")
    assert server.requests[0].path == "/products/api/v1/qr/bulk/..%2Fkeys%3F/"


@pytest.mark.parametrize("failure", [LOST, accepted()._replace(cut=20), Answer(502), Answer(504)])
def test_a_post_is_repeated_with_the_same_key_and_body(
    server: ScriptedServer, client: Client, failure: Answer
) -> None:
    server.answer_in_turn(failure, failure, accepted(Idempotency_Replayed="true"))
    assert client.submit(gtin=GTIN, items=ITEMS).replayed
    sent = {(request.headers["Idempotency-Key"], request.body) for request in server.requests}
    assert (len(server.requests), len(sent)) == (3, 1)


def test_two_requests_have_two_keys(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(accepted(), accepted())
    keys = {client.submit(gtin=GTIN, items=ITEMS).idempotency_key for _ in range(2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("refusal", "least"),
    [
        (problem(429, "over_rate", Retry_After="17"), 17),
        (problem(503, "backlog_full", Retry_After="40"), 40),
        (problem(409, "key_in_use", Retry_After="1"), 1),
        (Answer(503, b"<html>", {"Retry-After": "3"}), 3),
        # Twenty seconds by the server's clock, which is years from this machine's.
        (
            problem(
                503,
                "unavailable",
                Retry_After="Fri, 31 Dec 1999 23:59:59 GMT",
                Date="Fri, 31 Dec 1999 23:59:39 GMT",
            ),
            20,
        ),
        (problem(503, "unavailable", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), 0),
        (problem(503, "unavailable", Retry_After="soon"), 0),
        (Answer(502), 0),
    ],
)
def test_no_request_is_repeated_before_retry_after(
    server: ScriptedServer, client: Client, clock: Clock, refusal: Answer, least: int
) -> None:
    server.answer_in_turn(refusal, refusal, as_json(task("pending")))
    client.status(TASK)
    assert len(clock.slept) == 2
    assert all(least <= pause <= least + 1 for pause in clock.slept)


def test_pauses_grow_and_are_never_the_same(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    server.script = lambda _: Answer(503)
    pauses = []
    for _ in range(20):
        with pytest.raises(ApiError) as raised:
            client.status(TASK)
        assert raised.value.attempts == 8
        pauses.append([*clock.slept])
        clock.slept.clear()
    assert {len(each) for each in pauses} == {7}
    for attempt, column in enumerate(zip(*pauses, strict=True)):
        assert all(0 <= pause <= min(30, 0.5 * 2**attempt) for pause in column)
        assert len(set(column)) == 20
    assert max(pause[6] for pause in pauses) > max(pause[2] for pause in pauses)


def test_it_gives_up_where_patience_ends(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    server.answer_in_turn(problem(429, "over_rate", Retry_After="86400"))
    with pytest.raises(ApiError) as raised:
        client.submit(gtin=GTIN, items=ITEMS, idempotency_key="order 7")
    assert clock.slept == []
    assert (raised.value.retry_after, raised.value.idempotency_key) == (86400, "order 7")


def test_a_server_that_says_nothing_is_given_up_where_patience_ends(
    server: ScriptedServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.transport._GRACE", 0.01)
    heard, over = threading.Event(), threading.Event()

    def keep_silent(_: Request) -> Answer:
        heard.set()
        over.wait(60)
        return LOST

    server.script = keep_silent
    with Client(
        server.url, KEY, timeout=3600, patience=0.2, sleep=clock.sleep, clock=clock
    ) as client:
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            client.status(TASK)
        assert heard.is_set()
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            client.wait(TASK, timeout=0.1)
    over.set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 500])
def test_what_cannot_pass_is_not_repeated(
    server: ScriptedServer, client: Client, status: int
) -> None:
    server.answer_in_turn(problem(status, "some_code"))
    with pytest.raises(ApiError, match="Words of the API") as raised:
        client.submit(gtin=GTIN, items=ITEMS)
    error = raised.value
    assert (error.status, error.error_code, error.transient) == (status, "some_code", False)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (409, "key_in_use", True),
        (429, "over_rate", True),
        (503, "unavailable", True),
        (409, "not_possible", False),
        (500, "internal", False),
    ],
)
def test_a_response_without_retryable_means_what_its_status_says(
    server: ScriptedServer, client: Client, *, status: int, code: str, transient: bool, stated: bool
) -> None:
    answer = problem(status, code, retryable=transient if stated else None)
    server.script = lambda _: answer
    with pytest.raises(ApiError) as raised:
        client.submit(gtin=GTIN, items=ITEMS)
    assert (raised.value.retryable, raised.value.transient) == (transient, transient)
    assert (len(server.requests) > 1) == transient


@pytest.mark.parametrize(("status", "retryable"), [(503, False), (409, True), (502, False)])
def test_what_the_response_states_decides_whether_the_request_is_repeated(
    server: ScriptedServer, client: Client, *, status: int, retryable: bool
) -> None:
    server.script = lambda _: problem(status, "a_code_of_tomorrow", retryable=retryable)
    with pytest.raises(ApiError) as raised:
        client.submit(gtin=GTIN, items=ITEMS)
    assert raised.value.retryable == (len(server.requests) > 1) == retryable


def test_every_bad_value_is_told(server: ScriptedServer, client: Client) -> None:
    rows = [{"pointer": f"/items/{row}/lot", "code": "charset", "detail": "no"} for row in range(7)]
    server.answer_in_turn(problem(422, "invalid_request", rows))
    with pytest.raises(ApiError, match="/items/4/lot: no\nand 2 more") as raised:
        client.submit(gtin=GTIN, items=ITEMS)
    assert [row.pointer for row in raised.value.errors] == [row["pointer"] for row in rows]


def test_what_is_wrong_with_the_whole_is_told_once(server: ScriptedServer, client: Client) -> None:
    row = {"pointer": "", "code": "key_reused", "detail": "Words of the API."}
    server.answer_in_turn(problem(422, "key_reused", [row]))
    with pytest.raises(ApiError, match=r"Words of the API\.$") as raised:
        client.submit(gtin=GTIN, items=ITEMS)
    assert str(raised.value).count("Words") == 1
    assert [each.code for each in raised.value.errors] == ["key_reused"]


@pytest.mark.parametrize(
    "answer", [Answer(200, b"<html>hello"), Answer(302), Answer(404, b"\xff"), as_json([1])]
)
def test_another_server_is_told_apart(
    server: ScriptedServer, client: Client, answer: Answer
) -> None:
    server.answer_in_turn(answer)
    with pytest.raises(ApiError, match="did not return a qrmill response") as raised:
        client.status(TASK)
    assert raised.value.status == answer.status


def test_a_server_that_is_not_there_is_unreachable(clock: Clock) -> None:
    with (
        Client("http://127.0.0.1:9", KEY, sleep=clock.sleep, clock=clock) as client,
        pytest.raises(
            UnreachableError, match=r"GET http://127\.0\.0\.1:9/qr/bulk/1/ failed: ConnectError"
        ) as raised,
    ):
        client.status("1")
    assert raised.value.attempts == 8


def test_an_exhausted_rate_is_waited_for(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    pending = task("pending")
    server.answer_in_turn(
        as_json(pending, RateLimit_Remaining="0", RateLimit_Reset="42"),
        as_json(pending, RateLimit_Remaining="299", RateLimit_Reset="60"),
        as_json(pending, RateLimit_Remaining="0", RateLimit_Reset="86400"),
        problem(429, "over_rate", Retry_After="86400"),
    )
    for _ in range(3):
        client.status(TASK)
    assert clock.slept == [42]
    with pytest.raises(ApiError, match="over_rate"):  # a day is longer than its patience
        client.status(TASK)
    assert clock.slept == [42]
    # The key was given a higher rate: what was said of the old one's end is of no concern.
    more = as_json(pending, RateLimit_Remaining="299", RateLimit_Reset="60")
    server.answer_in_turn(more, more)
    client.status(TASK)
    clock.now += 86_350
    client.status(TASK)
    assert clock.slept == [42]


def test_waiting_polls_long_and_asks_only_for_news(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    server.answer_in_turn(
        as_json(task("pending"), Retry_After="2", ETag='"a"'),
        Answer(304, headers={"Retry-After": "3", "ETag": '"a"'}),
        problem(503, "unavailable"),
        as_json(task("running", progress_percent=50.0), Retry_After="4", ETag='"b"'),
        as_json(task("running", progress_percent=50.0), Retry_After="5"),
        as_json(task("completed", progress_percent=100.0)),
    )
    seen: list[TaskStatus] = []
    assert client.wait(TASK, on_progress=seen.append).status == "completed"
    assert [status.progress_percent for status in seen] == [0, 50, 100]
    assert [*clock.slept[:2], *clock.slept[3:]] == [2, 3, 4, 5]
    asked = [(each.headers["Prefer"], each.headers["If-None-Match"]) for each in server.requests]
    assert asked == [("wait=1", tag) for tag in (None, '"a"', '"a"', '"a"', '"b"', None)]


def test_polls_without_retry_after_keep_a_pause(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    def held(_: object) -> Answer:
        clock.now += 25
        return as_json(task("running"))

    answers = iter([as_json(task("running")), None, as_json(task("completed"))])
    server.script = lambda request: next(answers) or held(request)
    client.wait(TASK)
    assert clock.slept == [1, 0]


def test_a_poll_that_was_held_is_followed_by_the_next(
    server: ScriptedServer, client: Client, clock: Clock
) -> None:
    def answer(_: object) -> Answer:
        clock.now += 25
        state = "running" if len(server.requests) < 3 else "completed"
        return as_json(task(state), Retry_After="1", Preference_Applied="wait=25")

    server.script = answer
    assert client.wait(TASK).status == "completed"
    assert clock.slept == [0, 0]
    assert {each.headers["Prefer"] for each in server.requests} == {"wait=25"}


def test_lists_are_read_page_by_page(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(
        as_json({"tasks": [LISTED_TASK, LISTED_TASK], "next_cursor": "a+b="}),
        problem(503, "unavailable"),
        as_json({"tasks": [], "next_cursor": "c"}),
        as_json({"tasks": [LISTED_TASK], "next_cursor": None}),
    )
    since = datetime(2026, 11, 23, 8, tzinfo=UTC)
    found = client.list(status="failed", created_since=since)
    assert server.requests == []
    assert next(found).error_code == "cancelled"
    assert len(server.requests) == 1
    assert len([*found]) == 2
    query = "/qr/bulk/?limit=200&status=failed&created_since=2026-11-23T08%3A00%3A00%2B00%3A00"
    assert [each.path for each in server.requests] == [
        query,
        f"{query}&cursor=a%2Bb%3D",
        f"{query}&cursor=a%2Bb%3D",
        f"{query}&cursor=c",
    ]


def test_a_failed_task_raises(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(as_json(task("failed", error="Why.", error_code="render_failed")))
    with pytest.raises(TaskFailedError, match=r"render_failed.*Why\.") as raised:
        client.wait(TASK)
    assert (raised.value.task_id, raised.value.error_code) == (TASK, "render_failed")


def test_waiting_ends_in_time(server: ScriptedServer, client: Client, clock: Clock) -> None:
    server.script = lambda _: as_json(task("running"), Retry_After="3")
    with pytest.raises(WaitTimeoutError, match="has not ended within 10 s"):
        client.wait(TASK, timeout=10)
    assert sum(clock.slept) <= 10
    assert [each.headers["Prefer"] for each in server.requests] == [
        "wait=10",
        "wait=7",
        "wait=4",
        "wait=1",
    ]
    server.script = lambda _: Answer(503, headers={"Retry-After": "11"})
    with pytest.raises(ApiError):
        client.wait(TASK, timeout=10)
    assert sum(clock.slept) <= 10


def test_a_retry_whose_answer_was_lost_is_done(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(LOST, problem(409, "not_possible"), as_json(task("running")))
    assert client.retry(TASK).status == "running"
    server.answer_in_turn(problem(409, "not_possible"))
    with pytest.raises(ApiError, match="not_possible"):
        client.retry(TASK)


@pytest.mark.parametrize("code", ["internal", "unknown_task"])
def test_a_retry_that_is_refused_for_another_reason_at_the_second_attempt_is_not_done(
    code: str, server: ScriptedServer, client: Client
) -> None:
    server.answer_in_turn(LOST, problem(404, code))
    with pytest.raises(ApiError, match=code):
        client.retry(TASK)


def test_a_webhook_secret_is_asked_for_once(server: ScriptedServer, client: Client) -> None:
    server.script = lambda _: LOST
    with pytest.raises(UnreachableError) as raised:
        client.keys.make_webhook_secret()
    assert raised.value.attempts == 1
    assert [each.path for each in server.requests] == ["/keys/self/webhook-secret/"]


@pytest.mark.parametrize("key_id", [KEY, "", "0123456789aB", "0123456789ab\n", "../qr/bulk"])
def test_what_is_no_key_id_is_not_sent(server: ScriptedServer, client: Client, key_id: str) -> None:
    for ask in (client.keys.revoke, client.keys.make_webhook_secret):
        with pytest.raises(ValueError, match="invalid key id: must be 12") as raised:
            ask(key_id)
        assert not key_id or key_id not in str(raised.value)
    assert server.requests == []


def test_a_key_is_revoked_by_its_id(server: ScriptedServer, client: Client) -> None:
    key = {
        "key_id": "0123456789ab",
        "name": "shop",
        "role": "client",
        "per_minute": 0,
        "per_day": 0,
        "created_at": "2026-11-23T10:00:00+00:00",
        "revoked_at": "2026-11-24T10:00:00+00:00",
    }
    server.answer_in_turn(LOST, as_json(key))
    assert client.keys.revoke("0123456789ab").revoked_at
    assert {(each.method, each.path) for each in server.requests} == {
        ("DELETE", "/keys/0123456789ab/")
    }


def test_a_cancel_is_repeated(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(LOST, as_json(task("failed", error_code="cancelled")))
    assert client.cancel(TASK).error_code == "cancelled"
    assert {each.method for each in server.requests} == {"DELETE"}


def test_a_csv_file_is_sent_from_its_beginning_each_time(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    content = b"lot,serial\r\n" + b"A,1\r\n" * 40_000
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    with path.open("rb") as opened:
        opened.readline()
        for source in (path, str(path), content, io.BytesIO(content), opened):
            server.requests.clear()
            server.answer_in_turn(LOST, Answer(503), accepted())
            client.submit_csv(source, gtin=GTIN, format="png", size=300)
            assert [each.body for each in server.requests] == [content] * 3
            assert len({each.headers["Idempotency-Key"] for each in server.requests}) == 1
    assert server.requests[0].path == f"/qr/bulk/?gtin={GTIN}&format=png&size=300"
    assert server.requests[0].headers["Content-Type"] == "text/csv"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://h", ""),
        ("http://h", "a\nb"),
        ("http://h", "a b"),
        ("http://h", "schlüssel"),
        ("ftp://h", KEY),
        ("http://h:80a", KEY),
        ("http://h:99999", KEY),
        ("http://h:65536", KEY),
        ("http://h:0", KEY),
        ("http://h:-1", KEY),
        ("http://", KEY),
        ("http://:80", KEY),
        ("http://[::1", KEY),
        ("http://h\n", KEY),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"API key|URL") as raised:
        Client(url, key)
    assert key not in str(raised.value) or not key


@pytest.mark.parametrize("port", [1, 65535])
def test_the_first_and_the_last_port_are_ports(port: int) -> None:
    Client(f"http://h:{port}", KEY).close()


def test_certificates_are_checked_with_those_that_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path / "certificate.pem", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with scripted_server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.script = lambda _: as_json(task("pending"))
        url = server.url.replace("http", "https")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with (
            Client(url, KEY, attempts=1) as client,
            pytest.raises(UnreachableError, match="certificate verify failed"),
        ):
            client.status(TASK)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client(url, KEY, attempts=1) as client:
            assert client.status(TASK).status == "pending"


@pytest.mark.parametrize("key", ["", " a", "a\n", "ä", "x" * 256])
def test_a_malformed_idempotency_key_is_refused(client: Client, key: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        client.submit(gtin=GTIN, items=ITEMS, idempotency_key=key)


def test_no_secret_gets_into_a_message_or_a_log_line(
    server: ScriptedServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer_in_turn(accepted())
    client.submit_csv(b"lot", gtin=GTIN, callback_url="https://a.example/?token=hush")
    assert "hush" in server.requests[0].path
    server.script = lambda _: LOST
    with pytest.raises(UnreachableError) as raised:
        client.status(TASK)
    server.answer_in_turn(Answer(401))
    with pytest.raises(ApiError) as refused:
        client.status(TASK)
    said = f"{raised.value!r} {raised.value.__cause__!r} {refused.value!r} {caplog.text}"
    assert "/qr/bulk/" in said
    assert KEY not in said
    assert "hush" not in said
