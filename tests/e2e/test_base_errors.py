"""Every error that the API can respond with, as a client of the original API reads it."""

import http.client
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.embedded.ports import free_port
from deploy.embedded.running import RunningStack
from pipeline.service import Settings, open_service
from pipeline.storage import keys
from tests.another_api import another_api
from tests.base_client import BaseClient, ServiceError
from tests.waiting import wait_for

GTIN = "9506000134352"
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "BAD_REQUEST",
    406: "BAD_REQUEST",
    409: "CONFLICT",
    413: "BAD_REQUEST",
    414: "BAD_REQUEST",
    415: "BAD_REQUEST",
    417: "BAD_REQUEST",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    431: "BAD_REQUEST",
    500: "INTERNAL_ERROR",
    501: "INTERNAL_ERROR",
    503: "INTERNAL_ERROR",
}


def new_key(stack: RunningStack, **fields: object) -> str:
    with stack.client("operator") as operator:
        made = operator.post("/keys/", json={"name": "base", "per_minute": 10_000, **fields})
    key: str = made.json()["api_key"]
    return key


@pytest.fixture(scope="module")
def key(stack: RunningStack) -> str:
    return new_key(stack)


@pytest.fixture
def base(stack: RunningStack, key: str) -> Iterator[BaseClient]:
    with BaseClient(stack.ready.api_url, key) as client:
        yield client


def error_of(call: Callable[..., object], *arguments: Any, **options: Any) -> ServiceError:  # noqa: ANN401 - passed on
    """Return the error that ``call`` raises, after the checks that hold for each."""
    with pytest.raises(ServiceError) as raised:
        call(*arguments, **options)
    error = raised.value
    assert error.code == CODES[error.status]
    assert error.message
    assert error.response.headers["content-type"] == "application/problem+json"
    assert [*error.response.json()["error"]] == ["code", "message", "status", "details"]
    if error.status not in {400, 422}:
        assert error.details is None
    return error


def test_400_for_a_body_that_is_no_json(base: BaseClient) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b"{", b"", b"\xff", b"{'gtin': 1}"):
        error = error_of(base.request, "POST", "/qr/bulk/", content=content, headers=headers)
        assert error.status == 400


def test_401_without_a_key_and_with_an_unknown_one(stack: RunningStack) -> None:
    for key in (None, "", "unknown", "qrmill_000000000000_" + "A" * 38):
        with BaseClient(stack.ready.api_url, key) as nobody:
            assert error_of(nobody.submit, GTIN, [{}]).status == 401
            assert error_of(nobody.poll, f"/qr/bulk/{uuid.uuid4()}/").status == 401


def test_403_for_a_key_without_the_role(base: BaseClient) -> None:
    assert error_of(base.request, "GET", "/keys/").status == 403


def test_404_for_unknown_tasks_and_paths_and_those_of_others(
    stack: RunningStack, base: BaseClient
) -> None:
    foreign = base.submit(GTIN, [{"serial": "1"}])["poll_url"]
    paths = (foreign, f"/qr/bulk/{uuid.uuid4()}/", "/nothing")
    with BaseClient(stack.ready.api_url, new_key(stack)) as other:
        errors = [error_of(other.poll, path) for path in paths]
    assert [error.status for error in errors] == [404, 404, 404]
    assert base.poll(foreign)["task_id"] in foreign


def test_405_for_another_method(base: BaseClient) -> None:
    for method, path in (("PUT", "/qr/bulk/"), ("PATCH", "/qr/"), ("GET", "/qr/")):
        error = error_of(base.request, method, path)
        assert (error.status, "POST" in error.response.headers["allow"]) == (405, True)


def test_406_for_a_response_that_the_client_does_not_accept(base: BaseClient) -> None:
    headers = {"Accept": "text/html"}
    for method, path, body in (("GET", "/qr/bulk/", None), ("POST", "/qr/", {"gtin": GTIN})):
        assert error_of(base.request, method, path, json=body, headers=headers).status == 406


def test_409_for_what_the_state_of_a_task_forbids(base: BaseClient) -> None:
    poll_url = base.submit(GTIN, [{"serial": "1"}])["poll_url"]
    wait_for(lambda: base.poll(poll_url)["status"] == "completed", "the end of the task")
    assert error_of(base.request, "DELETE", poll_url).status == 409


def test_413_for_a_body_over_the_limit(base: BaseClient) -> None:
    headers = {"Content-Type": "application/json"}
    content = b" " * 6_000_000
    error = error_of(base.request, "POST", "/qr/bulk/", content=content, headers=headers)
    assert error.status == 413


def test_415_for_another_media_type(base: BaseClient) -> None:
    for content_type in ("text/plain", "application/xml"):
        headers = {"Content-Type": content_type}
        error = error_of(base.request, "POST", "/qr/bulk/", content=b"{}", headers=headers)
        assert error.status == 415


def test_422_names_every_field(base: BaseClient) -> None:
    items = [{"serial": f"A{number}"} for number in range(20)]
    items[17], items[3] = {"serial": "A 17"}, {"lot": "", "colour": "red"}
    error = error_of(base.submit, "9506000134353", items, size=10, format="gif")
    assert error.status == 422
    assert error.details is not None
    fields = [field for field, _ in error.details]
    assert {*fields} == {
        *("gtin", "size", "format", "items.3.lot", "items.3.colour", "items.17.serial")
    }
    assert all(message for _, message in error.details)
    for method, path, body, field in (
        ("GET", "/qr/bulk/17/", None, "task_id"),
        ("GET", "/qr/bulk/?limit=x", None, "limit"),
        ("POST", "/qr/bulk/", [], ""),  # the body as a whole
        ("POST", "/qr/bulk/", {"gtin": GTIN, "items": [{"a/b~c": 1}]}, "items.0.a/b~c"),
        ("POST", "/qr/", {"gtin": GTIN, "lot": "a b"}, "lot"),
    ):
        error = error_of(base.request, method, path, json=body)
        assert (error.status, [name for name, _ in error.details or []]) == (422, [field])


def test_422_lists_at_most_100_fields(base: BaseClient) -> None:
    error = error_of(base.submit, GTIN, [{"serial": "a b"}] * 150)
    assert [field for field, _ in error.details or []] == [f"items.{n}.serial" for n in range(100)]


def test_429_over_the_rate_with_retry_after(stack: RunningStack) -> None:
    with BaseClient(stack.ready.api_url, new_key(stack, per_minute=1)) as eager:
        eager.request("GET", "/qr/bulk/")
        error = error_of(eager.submit, GTIN, [{}])
    assert error.status == 429
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.json()["retryable"] is True


def test_503_while_a_backend_is_unreachable_with_retry_after(
    api_environ: dict[str, str], key: str, tmp_path: Path
) -> None:
    closed = f"redis://127.0.0.1:{free_port()}/0"
    with (
        another_api(api_environ, tmp_path, "/healthz", QRMILL_REDIS_URL=closed) as url,
        BaseClient(url, key) as base,
    ):
        for error in (
            error_of(base.submit, GTIN, [{}]),
            error_of(base.poll, f"/qr/bulk/{uuid.uuid4()}/"),
        ):
            assert (error.status, error.response.headers["retry-after"]) == (503, "5")
            assert error.response.json()["retryable"] is True


def fill(base: BaseClient) -> None:
    """Submit faster than two workers render."""
    for _ in range(50):
        base.submit(GTIN, [{}] * 5000)


def test_503_over_the_limit_of_the_backlog_with_retry_after(
    api_environ: dict[str, str], key: str, tmp_path: Path
) -> None:
    with (
        another_api(api_environ, tmp_path, "/readyz", QRMILL_MAX_BACKLOG="1") as url,
        BaseClient(url, key) as base,
    ):
        error = error_of(fill, base)
        assert error.status == 503
        assert int(error.response.headers["retry-after"]) >= 1


def test_500_for_records_that_are_damaged(base: BaseClient, api_environ: dict[str, str]) -> None:
    task_id = str(uuid.uuid4())
    service = open_service(Settings.from_environment(api_environ))
    service.jobs._records._bucket.put(keys.request_object(task_id), b"nothing\n")
    error = error_of(base.poll, f"/qr/bulk/{task_id}/")
    assert error.status == 500
    assert "damaged" in error.message


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /qr/bulk/ HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /qr/ bulk/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nExpect: more\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nX-API-Key: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 101 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n", 501),
    ],
)
def test_malformed_http_has_the_envelope_too(stack: RunningStack, head: bytes, status: int) -> None:
    address = urlsplit(stack.ready.api_url)
    with socket.create_connection((str(address.hostname), address.port or 80), 30) as connection:
        connection.sendall(head)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        error = json.loads(answer.read())["error"]
    assert answer.status == status
    assert (error["code"], error["status"], error["details"]) == (CODES[status], status, None)
    assert error["message"]
