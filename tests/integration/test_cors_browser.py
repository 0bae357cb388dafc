"""A browser application of another origin: Chromium decides what its script may do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page

from deploy.embedded.ports import free_port
from pipeline.service import Settings
from tests.integration.chromium import DEADLINE, NEEDS_CHROMIUM, running_api, running_chromium
from tests.integration.conftest import StartWorker

pytestmark = NEEDS_CHROMIUM

#: Sends a job, polls until it ends, and returns what the script could read on the way.
FOLLOW = """async ([api, key]) => {
    const headers = {"X-API-Key": key, "Content-Type": "application/json"};
    const items = Array.from({length: 30}, (_, n) => ({lot: "L", serial: "S" + n}));
    const body = JSON.stringify({gtin: "9506000134352", format: "svg", items});
    const read = (response, ...names) =>
        Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
    const accepted = await fetch(api + "/qr/bulk/", {method: "POST", headers, body});
    const found = {
        accepted: accepted.status,
        ...read(accepted, "location", "retry-after", "x-request-id", "ratelimit-remaining"),
    };
    const {poll_url} = await accepted.json();
    const url = new URL(api).origin + poll_url;
    for (let left = 200; left > 0; left--) {
        const response = await fetch(url, {headers: {"X-API-Key": key}});
        found.status = (await response.json()).status;
        found.etag = response.headers.get("etag");
        if (found.status === "completed") break;
        await new Promise((done) => setTimeout(done, 200));
    }
    return found;
}"""
#: Sends one request and returns its status and problem, or the error that a script gets.
TRY = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        const text = await response.text();
        return {status: response.status, text};
    } catch (error) {
        return {error: String(error)};
    }
}"""
REFUSED = {"error": "TypeError: Failed to fetch"}


@contextmanager
def application(directory: Path) -> Iterator[str]:
    """A web server with an empty page; yields its origin."""
    (directory / "index.html").write_text("<!doctype html><title>shop</title>")
    (directory / "favicon.ico").touch()
    handler = partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", free_port()), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as found:
        yield found


def open_page(browser: Browser, origin: str) -> Page:
    page = browser.new_context(base_url=origin).new_page()
    page.set_default_timeout(DEADLINE)
    page.goto("/index.html")
    return page


def test_an_application_of_a_listed_origin_sends_and_polls(
    *,
    browser: Browser,
    settings: Settings,
    token: str,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    with application(tmp_path) as origin, application(tmp_path) as stranger:
        changed = msgspec.structs.replace(
            settings, cors_origins=f"https://elsewhere.example {origin}", api_prefix="/api/v1"
        )
        start_worker(settings=changed)
        with running_api(changed, tmp_path / "api") as api:
            allowed, refused = open_page(browser, origin), open_page(browser, stranger)
            follow(allowed, api, token)
            read_errors(allowed, api, token)
            refuse(refused, api, token)
            for page in (allowed, refused):
                page.context.close()


def follow(page: Page, api: str, token: str) -> None:
    found = page.evaluate(FOLLOW, [api, token])
    assert (found["accepted"], found["status"]) == (202, "completed")
    assert found["location"].startswith("/api/v1/qr/bulk/")
    assert all(found[name] for name in ("retry-after", "x-request-id", "ratelimit-remaining"))
    assert found["etag"]


def attempt(page: Page, url: str, **options: object) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(TRY, [url, options])
    return found


def read_errors(page: Page, api: str, token: str) -> None:
    key = {"X-API-Key": token, "Content-Type": "application/json"}
    invalid = attempt(page, f"{api}/qr/bulk/", method="POST", headers=key, body="{}")
    assert (invalid["status"], "invalid_request" in invalid["text"]) == (422, True)
    unknown = attempt(page, f"{api}/qr/bulk/", headers={"X-API-Key": "unknown"})
    assert (unknown["status"], "unauthorized" in unknown["text"]) == (401, True)
    one = '{"gtin": "9506000134352", "lot": "A", "format": "svg"}'
    image = attempt(page, f"{api}/qr/", method="POST", headers=key, body=one)
    assert (image["status"], "<svg" in image["text"]) == (200, True)
    assert attempt(page, f"{api}/openapi.json")["status"] == 200
    gone = attempt(page, f"{api}/qr/bulk/x/", method="DELETE", headers=key)
    assert gone["status"] == 422
    # Other headers, other paths and cookies are none of what is allowed.
    assert attempt(page, f"{api}/qr/bulk/", headers={**key, "Idempotency-Key": "1"}) == REFUSED
    assert attempt(page, f"{api}/keys/", headers=key) == REFUSED
    assert attempt(page, f"{api}/healthz") == REFUSED
    assert attempt(page, f"{api}/openapi.json", credentials="include") == REFUSED


def refuse(page: Page, api: str, token: str) -> None:
    key = {"X-API-Key": token}
    assert attempt(page, f"{api}/qr/bulk/", headers=key) == REFUSED
    assert attempt(page, f"{api}/qr/bulk/", method="POST", headers=key, body="{}") == REFUSED
    assert attempt(page, f"{api}/openapi.json") == REFUSED
