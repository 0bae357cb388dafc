"""Chromium, and the API under gunicorn for it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

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
