"""The demo's job: a generated request, submitted and polled over HTTP."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

GTIN = "09506000134352"
_SEED = 20_260_401
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789-/."
_POLL_SECONDS = 0.25  # 4 polls per second, below the default limit of 300 per minute
_JOB_SECONDS = 600.0


class DemoError(Exception):
    """Raised when a response or the bundle is not as documented. The message states the reason."""


def make_request(items: int) -> dict[str, Any]:
    """Return a bulk request of ``items`` items, the same at every call.

    100 consecutive items share a lot. Each item has a serial and an expiry date.
    """
    source = random.Random(_SEED)  # noqa: S311 - repeatable, nothing secret
    rows = [_item(source, index) for index in range(items)]
    return {"gtin": GTIN, "items": rows, "format": "png"}


def _item(source: random.Random, index: int) -> dict[str, str]:
    year, month, day = source.randint(27, 35), source.randint(1, 12), source.randint(1, 28)
    return {
        "lot": f"LOT-{index // 100:03}",
        "serial": "".join(source.choices(_LETTERS, k=source.randint(6, 20))),
        "expiry": f"{year}{month:02}{day:02}",
    }


class Job:
    """A job that the service has accepted."""

    def __init__(self, client: httpx2.Client, request: dict[str, Any]) -> None:
        """Submit the request.

        Raises:
            DemoError: the request was not accepted.
        """
        self._client = client
        response = client.post("qr/bulk/", json=request)
        if response.status_code != httpx2.codes.ACCEPTED:
            raise DemoError(f"the request was not accepted: {_describe(response)}")
        self._poll_url = client.base_url.join(response.json()["poll_url"])

    def follow(self, on_status: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Poll until the job is completed, and return its last status.

        Args:
            on_status: called with the status of every poll.

        Raises:
            DemoError: a poll or the job failed, or the job was not completed in time.
        """
        deadline = time.monotonic() + _JOB_SECONDS
        while time.monotonic() < deadline:
            response = self._client.get(self._poll_url)
            if response.is_error:
                raise DemoError(f"the poll failed: {_describe(response)}")
            status: dict[str, Any] = response.json()
            on_status(status)
            if status["status"] == "completed":
                return status
            if status["status"] == "failed":
                raise DemoError(f"the job failed: {status['error']}")
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"the job was not completed within {_JOB_SECONDS:.0f} s")


def download(url: str, path: Path) -> None:
    """Download a presigned URL into a file.

    Raises:
        DemoError: the server did not return 200.
    """
    with (
        httpx2.stream("GET", url, timeout=30, trust_env=False) as response,
        path.open("wb") as file,
    ):
        if response.status_code != httpx2.codes.OK:
            raise DemoError(f"the download failed with status {response.status_code}")
        for block in response.iter_bytes():
            file.write(block)


def _describe(response: httpx2.Response) -> str:
    """Return the status with the details of a problem document, or with the start of the body."""
    try:
        problem = response.json()
        details = [problem["detail"], *(row["detail"] for row in problem.get("errors", [])[:1])]
        return f"{response.status_code}: {' '.join(details)}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text[:200]}"
