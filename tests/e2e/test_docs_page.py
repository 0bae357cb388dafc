"""The documentation page in a real browser that cannot reach anything but the service."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.embedded.running import RunningStack

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(BROWSER is None, reason="no chromium; `make debian-packages` installs it")
def test_the_page_shows_every_operation_without_the_internet(
    stack: RunningStack, tmp_path: Path
) -> None:
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=10000",
            # Whatever is not loopback cannot be resolved.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--enable-logging=stderr",
            "--dump-dom",
            stack.ready.docs_url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for operation in ("submitBulk", "getBulk", "createKey", "listKeys", "revokeKey", "readyz"):
        assert f"-{operation}" in done.stdout
    assert "X-API-Key" in done.stdout or "Authorize" in done.stdout
    assert ":CONSOLE" not in done.stderr, done.stderr
