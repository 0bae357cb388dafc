"""Chromium, the API under gunicorn for it, and a judge of pages that keeps screenshots."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.service import Settings
from pipeline.settings import variable

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; `make debian-packages` installs it"
)
DEADLINE = 30_000  # milliseconds
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run a browser that can reach nothing but this machine."""
    expect.set_options(timeout=DEADLINE)
    with sync_playwright() as playwright:
        # Whatever is not loopback cannot be resolved.
        rule = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", rule]
        )
        yield found
        found.close()


@contextmanager
def running_api(settings: Settings, directory: Path) -> Iterator[str]:
    """Run the API under gunicorn, as in production; yields its address."""
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    environ = {variable(name): str(value) for name, value in values.items() if value is not None}
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    url = f"{address}{settings.api_prefix}"
    part = service_parts.api(port, url, directory, os.environ | environ)
    process = start_and_wait(part, directory)
    yield url
    process.stop()


@contextmanager
def watched_page(browser: Browser, url: str, permissions: Sequence[str] = ()) -> Iterator[Page]:
    """Open a page; at its end, nothing was wrong in it and no request went to another host."""
    context = browser.new_context(base_url=url, viewport=WIDE, permissions=permissions)
    opened = context.new_page()
    opened.set_default_timeout(DEADLINE)
    wrong: list[str] = []
    hosts: set[str] = set()
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or request.url))
    yield opened
    context.close()
    assert wrong == []
    assert hosts == {"127.0.0.1"}


class Gallery(NamedTuple):
    """Screenshots of pages.

    Attributes:
        output: folder of the screenshots.
    """

    output: Path

    def look_at(self, page: Page, name: str) -> None:
        """Judge a page in both colour schemes and at both widths, and keep what it looked like."""
        self.output.mkdir(parents=True, exist_ok=True)
        rules: dict[str, object] = {}  # all of them; what is dark differs in its colours alone
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, size in (("1280", WIDE), ("390", PHONE)):
                page.set_viewport_size(size)
                page.screenshot(path=self.output / f"{name}-{scheme}-{width}.png", full_page=True)
                over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert over <= 0, f"{name} is {over} px wider than a screen of {width}"
            found = Axe().run(page, options=rules).response["violations"]
            reported = [(rule["id"], rule["impact"], rule["nodes"][0]["html"]) for rule in found]
            assert not [row for row in reported if row[1] in {"serious", "critical"}], (
                name,
                scheme,
                reported,
            )
            rules = {"runOnly": ["color-contrast"]}
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)
