"""The size of an error and the memory for it: bounded, whatever a client sends."""

import gzip
import tracemalloc
from typing import TYPE_CHECKING
from urllib.parse import quote

import falcon
import hypothesis
import msgspec
import pytest
from falcon.testing import Result, StartResponseMock, TestClient, create_environ
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from api.app import create_app
from pipeline.service import Service, Settings
from tests.huge_bodies import CSV, HUGE_BODIES, JSON
from tests.integration.test_hostile_bodies import make_app

if TYPE_CHECKING:
    from collections.abc import Callable

GTIN = "9506000134352"
#: Bytes of a response, of its headers, and of the memory that a small request may take.
MOST_BYTES, MOST_OF_HEADERS, MOST_OF_SMALL = 64 * 1024, 4096, 6 * 1024 * 1024
MOST_PER_BYTE = 4
LONGEST_LINE = 8000  # characters of a request line, about as many as gunicorn reads
HOSTILE = hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", HUGE_BODIES)
def test_a_huge_body_costs_four_times_its_size_and_a_small_response(
    service: Service, settings: Settings, name: str
) -> None:
    app = make_app(service, settings)
    media_type, make = HUGE_BODIES[name]
    body = make()
    size, sent = len(body), gzip.compress(body, 1)
    del body
    status, _ = post(app, media_type, sent)  # the first request also fills caches
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert post(app, media_type, sent)[0] == status
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status in {400, 422}
    assert peak - before < max(MOST_PER_BYTE * size, MOST_OF_SMALL)


def post(
    app: falcon.App[falcon.Request, falcon.Response], media_type: str, sent: bytes
) -> tuple[int, bytes]:
    headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
    query = f"gtin={GTIN}" if media_type == CSV else ""
    start = StartResponseMock()
    environ = create_environ("/qr/bulk/", query, method="POST", headers=headers, body=sent)
    received = b"".join(app(environ, start))
    assert start.status is not None
    assert len(received) < MOST_BYTES
    assert msgspec.json.decode(received)["error"]["message"]
    return int(start.status[:3]), received


@pytest.fixture
def unlimited(service: Service, settings: Settings) -> TestClient:
    token = service.api_keys.create(
        name="hostile", role="operator", per_minute=1_000_000, per_day=1_000_000
    ).token
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


#: Texts around the length at which they are truncated, and far longer ones, of characters that take
#: many bytes, in UTF-8, as a ``repr``, or escaped in JSON or in a pointer.
pieces = st.builds(
    lambda character, count: character * count,
    st.sampled_from(["x", "é", "🎁", "\U000e0001", "\0", '"', "\\", "~", "/", ",", "\n", "%", ":"]),
    st.sampled_from([1, 2, 59, 60, 61, 300, 5000]),
)
texts = st.lists(pieces, min_size=1, max_size=3).map("".join)
names = st.lists(texts, min_size=1, max_size=12) | st.builds(
    lambda text, count: [f"{number}{text}" for number in range(count)], pieces, st.integers(90, 130)
)
values = texts | st.lists(texts, max_size=3) | st.dictionaries(texts, st.integers(), max_size=3)
fields = st.sampled_from(["gtin", "format", "size", "callback_url", "items", "strict", "pages"])


def check(answer: Result) -> None:
    assert answer.status_code < 500
    assert len(answer.content) < MOST_BYTES
    if answer.status_code >= 400:  # the console's redirection to the sign-in repeats the path
        headers = sum(len(name) + len(value) for name, value in answer.headers.items())
        assert headers < MOST_OF_HEADERS
        if not answer.headers["content-type"].startswith("text/html"):  # a page of the console
            assert answer.json["error"]["message"] == answer.json["detail"]


@HOSTILE
@given(
    names,
    st.dictionaries(fields, values),
    st.lists(st.dictionaries(texts | st.just("lot"), values)),
)
def test_json(
    unlimited: TestClient,
    names: list[str],
    head: dict[str, object],
    items: list[dict[str, object]],
) -> None:
    for body in (
        dict.fromkeys(names, 1) | head,
        {"gtin": GTIN, "items": [*items, *({name: name} for name in names)]},
        {"gtin": GTIN, "items": [{"lot": name, "serial": name, "expiry": name} for name in names]},
        names,
    ):
        sent = msgspec.json.encode(body)
        check(unlimited.simulate_post("/qr/bulk/", body=sent, headers={"Content-Type": JSON}))
        check(unlimited.simulate_post("/keys/", body=sent, headers={"Content-Type": JSON}))


@HOSTILE
@given(names=names, quoted=st.booleans())
def test_csv(unlimited: TestClient, names: list[str], *, quoted: bool) -> None:
    cells = [f'"{name}"' if quoted else name for name in names]
    for text in (",".join(cells) + "\n1\n", "lot\n" + "\n".join(cells), f"sep={cells[0]}\n"):
        for sent in (text.encode(), text.encode("utf-16")):
            check(
                unlimited.simulate_post(
                    "/qr/bulk/",
                    params={"gtin": GTIN, "dry_run": "true"},
                    body=sent,
                    headers={"Content-Type": CSV},
                )
            )


@HOSTILE
@given(names, st.sampled_from(["status", "gtin", "cursor", "created_since", "key", "tenant"]))
def test_queries_and_paths(unlimited: TestClient, names: list[str], known: str) -> None:
    path = quote(names[0], safe="/")[:LONGEST_LINE]
    query = "&".join(f"{quote(name)}={quote(name)}" for name in names)
    for target in (f"/{path}", f"/qr/bulk/{path}", f"/keys/{path}/rotate", f"/ops/jobs/{path}"):
        check(unlimited.simulate_get(target))
        check(unlimited.simulate_delete(target, query_string=query))
    check(unlimited.simulate_get("/qr/bulk/", query_string=query))
    check(unlimited.simulate_get("/qr/bulk/", query_string=f"{known}={quote(names[0])}"))
    repeated = "&".join([f"{known}={quote(names[0])}"] * 120)
    check(unlimited.simulate_get("/qr/bulk/", query_string=repeated))
    check(unlimited.simulate_post("/qr/", query_string=query, body=b"{}"))


HEADERS = [
    *("Accept", "Content-Type", "Content-Encoding", "Idempotency-Key", "X-Request-ID", "Prefer"),
    *("If-None-Match", "Authorization", "X-API-Key", "Origin", "Cookie", "Range", "Expect"),
]


@HOSTILE
@given(st.sampled_from(HEADERS), pieces.filter(lambda text: text.isascii() and text.isprintable()))
def test_headers(unlimited: TestClient, name: str, value: str) -> None:
    sends: list[Callable[..., Result]] = [unlimited.simulate_get, unlimited.simulate_post]
    for send in sends:
        headers = {"Content-Type": JSON, name: value}
        check(send("/qr/bulk/", headers=headers, body=b"{}"))
        check(send("/qr/", headers=headers, body=b'{"gtin":"1"}'))


def test_a_truncated_pointer_shows_how_the_name_begins(unlimited: TestClient) -> None:
    name = "a/b~" + "x" * 100
    body = msgspec.json.encode({"gtin": GTIN, "items": [{name: 1}, {name[:60]: 1}]})
    answer = unlimited.simulate_post("/qr/bulk/", body=body, headers={"Content-Type": JSON})
    long, whole = answer.json["errors"]
    assert long["pointer"] == f"/items/0/a~1b~0{'x' * 56}…"
    assert whole["pointer"] == f"/items/1/a~1b~0{'x' * 56}"
    assert answer.json["error"]["details"][0]["field"] == f"items.0.a/b~{'x' * 56}…"
    assert f"'a/b~{'x' * 56}'…" in long["detail"]


def test_a_list_ends_before_its_messages_are_too_long(unlimited: TestClient) -> None:
    body = msgspec.json.encode({"\U000e0001" * 60 + str(number): 1 for number in range(100)})
    answer = unlimited.simulate_post("/qr/bulk/", body=body, headers={"Content-Type": JSON})
    assert answer.json["errors_total"] == 102  # with gtin and items, which are missing
    assert 10 < len(answer.json["errors"]) < 100
    assert len(answer.json["errors"]) == len(answer.json["error"]["details"])
