"""The portal in a real browser that can reach nothing but this machine.

Screenshots are kept in ``test-output/portal``.
"""

import io
import re
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from pipeline.service import Settings
from tests.integration.chromium import (
    DEADLINE,
    NEEDS_CHROMIUM,
    Gallery,
    running_api,
    running_chromium,
    watched_page,
)
from tests.integration.conftest import StartWorker

pytestmark = NEEDS_CHROMIUM
GALLERY = Gallery(Path(__file__).parents[2] / "test-output" / "portal")
PRINTING = (Path(__file__).parents[2] / "deploy" / "printing.md").read_text("utf-8")
GTIN = "9506000134352"
#: Row 3 has the serial number of row 2, row 4 a character outside set 82, row 5 no real date.
BAD = (
    "lot,serial,expiry\n"
    "LOT-7,A0001,271231\n"
    "LOT-7,A0001,271231\n"
    "LOT-7,Ä0003,271231\n"
    "LOT-7,A0004,271341\n"
)
#: The rows of the page for people who print, as a spreadsheet copies them.
(GOOD,) = [
    textwrap.dedent(rows).rstrip(" ")
    for rows in re.findall(r"<!-- rows -->\n *```text\n(.*?)```", PRINTING, re.DOTALL)
]
#: What a browser does with files that are dropped.
DROP = """([text, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, {type: "text/csv"}));
  const target = document.querySelector(".drop");
  const options = {dataTransfer: data, bubbles: true, cancelable: true};
  for (const kind of ["dragover", "drop"]) target.dispatchEvent(new DragEvent(kind, options));
}"""


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
    with watched_page(browser, url, ["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def sign_in(page: Page, key: str) -> None:
    page.goto("/jobs/new")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New job")).to_be_visible()


def expect_findings_of_bad_rows(page: Page) -> None:
    expect(page.get_by_role("status")).to_contain_text("2 errors")
    expect(page.get_by_role("status")).to_contain_text("1 warning")
    errors = page.get_by_role("region", name="Errors").get_by_role("row")
    expect(errors).to_have_count(3)
    expect(errors.nth(1)).to_contain_text("4")
    expect(errors.nth(1)).to_contain_text("B, serial")
    expect(errors.nth(1)).to_contain_text("'Ä0003'")
    expect(errors.nth(2)).to_contain_text("5")
    expect(errors.nth(2)).to_contain_text("C, expiry")
    warnings = page.get_by_role("region", name="Warnings").get_by_role("row")
    expect(warnings.nth(1)).to_contain_text("3")
    expect(warnings.nth(1)).to_contain_text("B, serial")
    expect(warnings.nth(1)).to_contain_text("the same as that of row 2")
    expect(page.get_by_role("button", name="Create job")).to_have_count(0)
    rows = page.get_by_role("region", name="First rows").get_by_role("row")
    expect(rows).to_have_count(5)
    expect(rows.nth(3)).to_contain_text("✕ Ä0003")


def expect_symbols(page: Page) -> None:
    """The symbols are drawn in their size: at 96 dpi, a millimetre has 3.78 CSS pixels."""
    symbols = page.get_by_role("img", name="Symbol")
    expect(symbols).to_have_count(3)
    expect(page.get_by_text("20.5 mm").first).to_be_visible()
    box = symbols.first.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(41 * 0.5 * 96 / 25.4, abs=0.5)
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(symbols.first.screenshot())).convert("L"))
    assert found[0].text == f"https://id.gs1.org/01/0{GTIN}/10/LOT-7/21/A0001?17=271231"


def expect_download(page: Page, path: Path) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="Download ZIP").click()
    download.value.save_as(path)
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        names = bundle.namelist()
        assert [name for name in names if name.endswith(".pdf")] == [
            f"0000{number}_LOT-7_A000{number}.pdf" for number in (1, 2, 3)
        ]
        assert "LOT-7,A0003,271231" in bundle.read("manifest.csv").decode()
        document = pypdfium2.PdfDocument(bundle.read("00003_LOT-7_A0003.pdf"))
    side = 72 * 20.5 / 25.4  # points
    assert document[0].get_size() == pytest.approx((side, side), abs=0.01)
    drawn = document[0].render(scale=4).to_pil().convert("L")
    assert zxingcpp.read_barcodes(drawn)[0].text.endswith("/21/A0003?17=271231")


def test_a_client_goes_from_a_spreadsheet_to_the_bundle(
    page: Page, token: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    page.goto("/jobs/")
    GALLERY.look_at(page, "sign-in")
    sign_in(page, token)
    GALLERY.look_at(page, "new-job")
    with page.expect_download() as template:
        page.get_by_role("link", name="Download a template").click()
    assert "lot,serial,expiry" in template.value.path().read_text()

    page.evaluate("window.notReloaded = true")
    page.get_by_label("GTIN").fill(GTIN)
    page.get_by_label("X-dimension").fill("0,5")  # as many people write it
    page.evaluate(DROP, [BAD, "labels.csv"])
    expect_findings_of_bad_rows(page)
    expect(page.locator("#result")).to_be_focused()
    assert page.evaluate("window.notReloaded")
    GALLERY.look_at(page, "bad-rows")

    rows = page.get_by_label("Or rows")
    expect(rows).to_have_value(BAD)  # those of the file, to be corrected
    page.evaluate("text => navigator.clipboard.writeText(text)", GOOD)
    rows.press("ControlOrMeta+a")
    rows.press("ControlOrMeta+v")
    expect(page.get_by_role("status")).to_contain_text("✓ No errors")
    expect_symbols(page)
    GALLERY.look_at(page, "good-rows")

    page.get_by_label("GTIN").fill("9506000134353")
    page.get_by_label("GTIN").press("Tab")
    expect(page.get_by_label("GTIN")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Format")).to_be_focused()
    expect(page.locator("#gtin-hint")).to_contain_text("check digit")
    page.get_by_label("GTIN").fill(GTIN)
    page.get_by_label("GTIN").press("Tab")
    create = page.get_by_role("button", name="Create job of 3 labels")
    create.dblclick()
    expect(page.get_by_text("The job was created.")).to_be_visible()
    status = page.get_by_role("status").filter(has_text="pending")
    expect(status).to_be_visible()
    page.evaluate("window.notReloaded = true")
    start_worker()
    expect(page.get_by_text("✓ completed")).to_be_visible()
    assert page.evaluate("window.notReloaded")
    GALLERY.look_at(page, "completed")
    expect_download(page, tmp_path / "bundle.zip")
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("row")).to_have_count(2)  # the headings, and one job
    GALLERY.look_at(page, "jobs")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()


def test_the_same_without_javascript_and_with_the_keyboard_alone(
    browser: Browser, url: str, token: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    context = browser.new_context(
        base_url=url, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.set_default_timeout(DEADLINE)
    sign_in(page, token)
    page.get_by_label("CSV file").set_input_files(
        FilePayload(name="labels.csv", mimeType="text/csv", buffer=BAD.encode())
    )
    page.get_by_label("GTIN").fill(GTIN)
    page.get_by_label("X-dimension").fill("0.5")
    page.get_by_label("X-dimension").press("Enter")
    expect_findings_of_bad_rows(page)
    assert page.url.endswith("/jobs/new#result")

    page.get_by_label("Or rows").fill(GOOD)
    page.get_by_role("button", name="Check").press("Enter")
    expect_symbols(page)
    page.get_by_label("X-dimension").fill("0.6")
    page.get_by_role("button", name="Create job").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("have changed since they were checked")
    page.get_by_label("X-dimension").fill("0.5")
    page.get_by_role("button", name="Check").press("Enter")
    expect_symbols(page)
    page.get_by_role("button", name="Create job").dblclick()
    start_worker()
    page.wait_for_url(re.compile(r"/jobs(/[-0-9a-f]+)?\?done="))  # of the second request
    page.goto("/jobs/")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("row").last.get_by_role("link").press("Enter")
    expect(page.get_by_text("0 of 3 items").or_(page.get_by_text("3 of 3 items"))).to_be_visible()
    while page.get_by_text("✓ completed").count() == 0:
        page.reload()
    expect_download(page, tmp_path / "bundle.zip")
    context.close()


def peak_mib() -> float:
    """The highest memory that a process of the API has had so far, in MiB."""
    peaks = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):  # a process of the browser has ended
            if "gunicorn" in " ".join(process.cmdline()):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    return max(peaks)


@pytest.mark.long
def test_many_rows_are_checked_in_little_memory_and_the_page_says_what_it_shows(
    browser: Browser, settings: Settings, tmp_path: Path, token: str
) -> None:
    most = 100_000
    many = msgspec.structs.replace(settings, max_items=most)
    good = "".join(f"LOT-{n % 90},SERIAL-{n:08},271231\n" for n in range(most))
    head, files = "lot,serial,expiry\n", []
    for name, rows in (
        ("good", head + good),
        ("bad", head + good.replace("SERIAL", "SÉRIAL")),
        ("more", head + good + "LOT-1,ONE-MORE,271231\n"),
    ):
        files.append(tmp_path / f"{name}.csv")
        files[-1].write_text(rows)
    with running_api(many, tmp_path) as url:
        page = browser.new_context(base_url=url).new_page()
        page.set_default_timeout(4 * DEADLINE)
        sign_in(page, token)
        page.get_by_label("GTIN").fill(GTIN)
        before = peak_mib()
        texts = []
        for file in files:
            page.get_by_label("CSV file").set_input_files(file)
            expect(page.locator("#result .headline")).to_be_visible(timeout=4 * DEADLINE)
            texts.append(page.locator("#result").inner_text())
            assert len(page.locator("#result").inner_html()) < 200_000
            page.evaluate("document.querySelector('#result').replaceChildren()")
        plain = (text.replace("\N{NARROW NO-BREAK SPACE}", "") for text in texts)
        good_text, bad_text, more_text = plain
        assert "✓ No errors" in good_text
        assert "Create job of 100000 labels" in good_text
        assert "10 of 100000" in good_text
        assert "100000 errors" in bad_text
        assert "the first 100 are listed" in bad_text
        assert "more than 100000 items" in more_text
        assert "100000 rows counted, as many as a job may have" in more_text
        expect(page.get_by_text("too many to edit them here")).to_be_visible()
        size = files[0].stat().st_size / 2**20
        assert peak_mib() - before < 25 * size
        page.get_by_label("CSV file").set_input_files(files[0])
        page.get_by_role("button", name="Create job").click()
        expect(page.get_by_text("0 of 100\N{NARROW NO-BREAK SPACE}000 items")).to_be_visible()
        page.context.close()
