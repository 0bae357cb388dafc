"""Following: every accepted order is polled to its end, and what was made is downloaded."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from deploy.embedded.process import wait_until
from tests.faults.load import Load
from tests.faults.orders import Order

_POLL_SECONDS = 0.3
_ANSWER_SECONDS = 10
_TERMINAL = {"completed", "failed"}


class Follower:
    """Polls the open orders of a load, all of them every now and then.

    Args:
        load: whose orders.
        directory: where bundles are kept.
    """

    def __init__(self, load: Load, directory: Path) -> None:
        self.polls: Counter[str] = Counter()
        self._load, self._directory = load, directory
        self._polling = threading.Event()
        self._polling.set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower")

    @contextmanager
    def running(self) -> Iterator["Follower"]:
        """Follow until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Poll no order until the end of the block, because others do."""
        self._polling.clear()
        try:
            yield
        finally:
            self._polling.set()

    def wait_all_ended(self, seconds: float) -> bool:
        """Wait until no order is open."""
        return wait_until(lambda: not self._load.open_orders(), seconds, 0.1)

    def _run(self) -> None:
        with self._load.client(_ANSWER_SECONDS) as client:
            while not self._stop.wait(_POLL_SECONDS):
                for order in self._load.open_orders():
                    if self._polling.is_set():
                        self.polls[self.poll(client, order)] += 1

    def poll(self, client: httpx2.Client, order: Order) -> str:
        """Poll an order, note its end, and return the response's status or the error's name."""
        try:
            answer = _get(client, order)
        except httpx2.TransportError as error:
            return type(error).__name__
        if answer.status_code == httpx2.codes.NOT_FOUND:
            order.unknown = True
        if answer.is_success and answer.json()["status"] in _TERMINAL:
            order.ended_at = time.monotonic()
            order.status = answer.json()
        return str(answer.status_code)

    def look(self, order: Order) -> dict[str, Any]:
        """Return what a poll says now."""
        with self._load.client(_ANSWER_SECONDS) as client:
            answer = _get(client, order).raise_for_status()
        polled: dict[str, Any] = answer.json()
        return polled

    def download(self, order: Order) -> None:
        """Download an order's bundle by a URL that is signed now, and keep the first one."""
        url = self.look(order)["download_url"]
        content = httpx2.get(url, timeout=60, trust_env=False)
        content.raise_for_status()
        order.downloads.append(hashlib.sha256(content.content).hexdigest())
        if order.bundle is None:
            order.bundle = self._directory / f"{order.marker}.zip"
            order.bundle.write_bytes(content.content)


def _get(client: httpx2.Client, order: Order) -> httpx2.Response:
    return client.get(f"/qr/bulk/{order.task_id}/", headers={"X-API-Key": order.api_key})
