"""The console in a real browser that can reach nothing but this machine.

Screenshots are kept in ``test-output/console``.
"""

import hashlib
import http.client
import re
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.service import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.chromium import (
    NEEDS_CHROMIUM,
    Gallery,
    running_api,
    running_chromium,
    watched_page,
)
from tests.integration.conftest import StartWorker
from tests.integration.test_console_sign_in import PATHS
from tests.waiting import wait_for

pytestmark = NEEDS_CHROMIUM
OUTPUT = Path(__file__).parents[2] / "test-output" / "console"
GALLERY = Gallery(OUTPUT)
DRAWN = "[...document.images].every((image) => image.complete && image.naturalWidth > 0)"


@pytest.fixture
def url(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The address of the API under gunicorn, as in production."""
    with running_api(settings, tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with watched_page(browser, url) as opened:
        yield opened


def submit(url: str, token: str, items: int, form: str, **fields: object) -> str:
    body = {
        "gtin": "9506000134352",
        "format": form,
        "items": [{"lot": "LOT-7", "serial": f"A{n:04}"} for n in range(items)],
        **fields,
    }
    headers = {"X-API-Key": token}
    answer = httpx2.post(f"{url}/qr/bulk/", json=body, headers=headers, trust_env=False)
    return str(answer.json()["task_id"])


def sign_in(page: Page, key: str) -> None:
    page.goto("/ops/")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_an_operator_follows_a_job_and_mends_another(
    *,
    page: Page,
    url: str,
    bucket: Bucket,
    token: str,
    operator_token: str,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    page.goto("/ops/jobs")
    GALLERY.look_at(page, "sign-in")
    page.goto("/ops/")
    good, bad = submit(url, token, 120, "png"), submit(url, token, 75, "svg")
    request = bucket.get(keys.request_object(bad))
    bucket.delete(keys.request_object(bad))
    sign_in(page, operator_token)
    page.goto(f"/ops/jobs/{good}")
    status = page.get_by_role("status")
    expect(status).to_have_text("○ pending")
    page.evaluate("window.notReloaded = true")
    start_worker()
    expect(status).to_have_text("✓ completed")
    assert page.evaluate("window.notReloaded")
    expect(page.get_by_role("img", name="Symbol 6")).to_be_visible()
    expect(page.get_by_text("verified", exact=True)).to_be_visible()
    GALLERY.look_at(page, "job-completed")

    page.get_by_role("link", name="Jobs").click()
    GALLERY.look_at(page, "jobs")
    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=bad).click()
    page.get_by_role("link", name="Chunk 3: failed").click()
    expect(page.locator("#chunk-3")).to_contain_text("object_missing")
    GALLERY.look_at(page, "job-failed")
    page.get_by_role("link", name="Dead letters").click()
    expect(page.get_by_role("checkbox")).to_have_count(9)  # eight, and one for all of them
    page.get_by_text("Message and traceback").first.click()
    page.get_by_text("Select all").click()
    expect(page.locator("[name=letter]").last).to_be_checked()
    GALLERY.look_at(page, "dead-letters")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("alive")).to_be_visible()
    GALLERY.look_at(page, "overview")

    bucket.put(keys.request_object(bad), request, "application/json")
    page.goto(f"/ops/jobs/{bad}")
    page.get_by_role("button", name="Re-run").click()
    expect(page.get_by_text("The job was restarted")).to_be_visible()
    expect(page.get_by_role("link", name="Download ZIP")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download ZIP").click()
    download.value.save_as(tmp_path / "bundle.zip")
    sha256 = hashlib.sha256((tmp_path / "bundle.zip").read_bytes()).hexdigest()
    expect(page.get_by_text(sha256)).to_be_visible()
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert len(bundle.namelist()) == 75 + 2


def test_pages_live_on_without_losing_what_the_operator_does(
    page: Page, url: str, token: str, operator_token: str
) -> None:
    sign_in(page, operator_token)
    page.goto(f"/ops/jobs/{submit(url, token, 5, 'svg')}")
    wait_for(lambda: page.evaluate(DRAWN), "the symbols", pause=0.1)
    expect(page.get_by_role("img")).to_have_count(5)
    page.get_by_text("Cancel\u2026").click()
    page.get_by_role("button", name="Cancel this job").focus()
    with page.expect_response(lambda answer: "x-refresh" in answer.request.headers):
        pass
    expect(page.get_by_role("button", name="Cancel this job")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The job was cancelled.")).to_be_visible()
    live = page.get_by_role("button", name="Live")
    live.click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    if find_spec("dramatiq_dashboard") is not None:
        page.get_by_role("link", name="Dramatiq").click()
        expect(page.get_by_role("link", name="render", exact=True)).to_be_visible()
        page.screenshot(path=OUTPUT / "dashboard.png")
        page.goto("/ops/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="console")).to_be_visible()
    page.goto("/ops/jobs")
    expect(page.get_by_label("API key")).to_be_focused()
    work_without_javascript(page, url, token, operator_token)
    let_no_path_in(url)


def test_a_job_for_print_shows_its_size_and_its_symbols(
    page: Page, url: str, token: str, operator_token: str
) -> None:
    sign_in(page, operator_token)
    fields = {"xdim_mm": 0.55, "version": 7, "datamerge": True}
    for form in ("pdf", "eps"):
        page.goto(f"/ops/jobs/{submit(url, token, 5, form, **fields)}")
        wait_for(lambda: page.evaluate(DRAWN), "the symbols", pause=0.1)
        expect(page.get_by_role("img")).to_have_count(5)
        text = "X-dimension 0.55 mm, version 7 or higher, with datamerge.csv"
        expect(page.get_by_text(f"{form.upper()}, {text}")).to_be_visible()
    GALLERY.look_at(page, "job-print")
    page.get_by_role("link", name="Jobs").click()
    GALLERY.look_at(page, "jobs-print")


def test_an_operator_creates_a_job(page: Page, operator_token: str) -> None:
    sign_in(page, operator_token)
    page.get_by_role("link", name="New job").click()
    page.get_by_label("GTIN").fill("9506000134352")
    page.get_by_label("Or rows").fill("lot,serial\nLOT-7,A0001\nLOT-7,\nNULL,A0003\n")
    page.get_by_label("Format").select_option("png")
    expect(page.get_by_role("button", name="Create job of 3 labels")).to_be_visible()
    expect(page.get_by_role("region", name="Warnings")).to_contain_text("A, lot")
    GALLERY.look_at(page, "new-job")
    page.get_by_role("button", name="Create job of 3 labels").press("Enter")
    expect(page.get_by_text("The job was created.")).to_be_visible()
    expect(page).to_have_url(re.compile("/ops/jobs/[0-9a-f-]{36}"))


def let_no_path_in(url: str) -> None:
    """As the server of production takes them from the wire, in forms that no client would send."""
    paths = [path for path in PATHS if path.isprintable()]
    paths += ["/ops?/../", "//dramatiq", "/ops/#", "/ops/%00", "/dramatiq/%2F", f"{url}/ops/"]
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for path in paths:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", "127.0.0.1")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status in {303, 400, 401, 404}, path
        text = answer.read().decode()
        assert "Dramatiq Dashboard" not in text, path
        assert "Backlog" not in text, path
    connection.close()


def work_without_javascript(page: Page, url: str, token: str, operator_token: str) -> None:
    assert page.context.browser is not None
    plain = page.context.browser.new_context(base_url=url, java_script_enabled=False).new_page()
    sign_in(plain, operator_token)
    plain.goto(f"/ops/jobs/{submit(url, token, 5, 'png')}")
    plain.get_by_text("Cancel\u2026").click()
    plain.get_by_role("button", name="Cancel this job").click()
    expect(plain.get_by_text("The job was cancelled.")).to_be_visible()
    plain.get_by_role("button", name="Re-run").click()
    expect(plain.get_by_text("The job was restarted")).to_be_visible()
    plain.context.close()
    # Behind a proxy on this machine that ends TLS, as gunicorn tells it to the application.
    behind = {"X-Forwarded-Proto": "https"}
    answer = httpx2.get(f"{url}/ops/sign-in", headers=behind, trust_env=False)
    assert "; Secure" in answer.headers["set-cookie"]
