"""The demo's job: its request, and what it makes of the responses of the API."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from deploy.embedded import demo_job
from deploy.embedded.demo_job import DemoError, Job, download, make_request
from render.gs1.ai import check_alphanumeric, check_expiry
from tests.unit.api.scripted_server import Answer, scripted_server

Respond = Callable[[httpx2.Request], httpx2.Response]
ACCEPTED = httpx2.Response(202, json={"poll_url": "/api/qr/bulk/7/"})


def client(*responses: httpx2.Response, seen: list[httpx2.Request] | None = None) -> httpx2.Client:
    """Return a client of an API that returns ``responses`` in turn."""
    left = iter(responses)

    def respond(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        return next(left)

    return httpx2.Client(base_url="http://api/api/", transport=httpx2.MockTransport(respond))


def status(state: str, error: str | None = None) -> httpx2.Response:
    return httpx2.Response(200, json={"status": state, "error": error})


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_job, "_POLL_SECONDS", 0)


def test_the_request_is_the_same_at_every_call_and_valid() -> None:
    request = make_request(5000)
    assert request == make_request(5000)
    for item in request["items"]:
        check_alphanumeric(item["lot"], "cset82")
        check_alphanumeric(item["serial"], "cset82")
        check_expiry(item["expiry"])


def test_no_two_items_are_the_same() -> None:
    items = make_request(5000)["items"]
    assert len({(item["lot"], item["serial"]) for item in items}) == 5000


def test_the_job_is_polled_at_its_url_until_it_is_completed() -> None:
    seen: list[httpx2.Request] = []
    polls = [status("pending"), status("processing"), status("completed")]
    job = Job(client(ACCEPTED, *polls, seen=seen), {"gtin": "1"})
    states: list[str] = []
    assert job.follow(lambda each: states.append(each["status"]))["status"] == "completed"
    assert states == ["pending", "processing", "completed"]
    assert [str(request.url) for request in seen] == [
        "http://api/api/qr/bulk/",
        *["http://api/api/qr/bulk/7/"] * 3,
    ]


def test_a_failed_job_ends_with_its_error() -> None:
    job = Job(client(ACCEPTED, status("failed", "S3 is full.")), {})
    with pytest.raises(DemoError, match="S3 is full"):
        job.follow(lambda _: None)


def test_a_job_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_job, "_JOB_SECONDS", 0.0)
    with pytest.raises(DemoError, match="within 0 s"):
        Job(client(ACCEPTED), {}).follow(lambda _: None)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            httpx2.Response(
                422,
                json={"detail": "2 errors.", "errors": [{"detail": "No lot."}, {"detail": "-"}]},
            ),
            r"422: 2 errors\. No lot\.$",
        ),
        (httpx2.Response(503, json={"detail": "Redis is unavailable."}), "503: Redis is unavail"),
        (httpx2.Response(502, text="<html>" + "x" * 300), "502: <html>x{194}$"),
        (httpx2.Response(500, json=["no", "problem"]), r"500: \["),
    ],
)
def test_a_rejected_request_or_poll_names_the_reason(
    response: httpx2.Response, message: str
) -> None:
    with pytest.raises(DemoError, match=message):
        Job(client(response), {})
    with pytest.raises(DemoError, match=message):
        Job(client(ACCEPTED, response), {}).follow(lambda _: None)


def test_a_download_is_written_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    with scripted_server() as server:
        server.script = lambda _: Answer(200, content)
        download(f"{server.url}/bundle.zip", tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == content


def test_a_download_that_is_rejected_fails(tmp_path: Path) -> None:
    with scripted_server() as server:
        server.script = lambda _: Answer(403, b"<Error/>")
        with pytest.raises(DemoError, match="403"):
            download(f"{server.url}/bundle.zip", tmp_path / "bundle.zip")
