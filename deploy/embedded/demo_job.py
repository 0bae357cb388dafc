"""The demo's job: a request from a seeded generator, sent and followed over HTTP."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

GTIN = "09506000134352"
_SEED = 20_260_401
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789-/."
_POLL_SECONDS = 0.25  # four a second stay under the default rate of 300 a minute
_JOB_SECONDS = 600.0


class DemoError(Exception):
    """Something did not go as promised; the message is the reason, in one sentence."""


def make_request(items: int) -> dict[str, Any]:
    """Return the same request at every call: lots of 100 items, a serial and an expiry each."""
    source = random.Random(_SEED)  # noqa: S311 - repeatable, nothing secret
    rows = [_item(source, index) for index in range(items)]
    return {"gtin": GTIN, "items": rows, "format": "png"}


def _item(source: random.Random, index: int) -> dict[str, str]:
    # Day 00 stands for the month's last day.
    year, month, day = source.randint(27, 35), source.randint(1, 12), source.randint(0, 28)
    return {
        "lot": f"LOT-{index // 100:03}",
        "serial": "".join(source.choices(_LETTERS, k=source.randint(6, 20))),
        "expiry": f"{year}{month:02}{day:02}",
    }


class Job:
    """A job that the service has accepted."""

    def __init__(self, client: httpx2.Client, request: dict[str, Any]) -> None:
        """Send the request.

        Raises:
            DemoError: it was not accepted.
        """
        self._client = client
        answer = client.post("qr/bulk/", json=request)
        if answer.status_code != httpx2.codes.ACCEPTED:
            raise DemoError(f"the request was answered {_words(answer)}")
        self._poll_url = client.base_url.join(answer.json()["poll_url"])

    def follow(self, told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Poll until the job is completed, telling each answer; return the last one.

        Raises:
            DemoError: the job failed or takes far too long.
        """
        deadline = time.monotonic() + _JOB_SECONDS
        while time.monotonic() < deadline:
            answer = self._client.get(self._poll_url)
            if answer.is_error:
                raise DemoError(f"the poll was answered {_words(answer)}")
            status: dict[str, Any] = answer.json()
            told(status)
            if status["status"] == "completed":
                return status
            if status["status"] == "failed":
                raise DemoError(f"the job failed: {status['error']}")
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"the job was not completed within {_JOB_SECONDS:.0f} s")


def download(url: str, path: Path) -> None:
    """Fetch a presigned URL into a file.

    Raises:
        DemoError: the server refused.
    """
    with httpx2.stream("GET", url, timeout=30, trust_env=False) as answer, path.open("wb") as file:
        if answer.status_code != httpx2.codes.OK:
            raise DemoError(f"the download was answered {answer.status_code}")
        for block in answer.iter_bytes():
            file.write(block)


def _words(answer: httpx2.Response) -> str:
    """Return what a problem document says, or the beginning of what else was answered."""
    try:
        problem = answer.json()
        details = [problem["detail"], *(row["detail"] for row in problem.get("errors", [])[:1])]
        return f"{answer.status_code}: {' '.join(details)}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}: {answer.text[:200]}"
