"""The load: requests sent over HTTP, each until it is accepted or its time is over."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from deploy.embedded.process import wait_until
from tests.faults.orders import SIZES, Order, make_order

_SENDERS = 4
_RETRY_SECONDS = 0.5
_REFUSED_FOR_NOW = {409, 429, 500, 502, 503, 504}


class Load:
    """Sends orders and keeps them.

    Args:
        url, api_key: of the API.
        prefix: begins the marker of every order, so that no two runs share one.
    """

    def __init__(self, url: str, api_key: str, prefix: str) -> None:
        self.orders: list[Order] = []
        self.slowest_refusal = 0.0
        self._url, self._api_key, self._prefix = url, api_key, prefix
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def client(self, timeout: float = 30) -> httpx2.Client:
        headers = {"X-API-Key": self._api_key}
        return httpx2.Client(base_url=self._url, headers=headers, timeout=timeout, trust_env=False)

    def open_orders(self) -> list[Order]:
        return [order for order in [*self.orders] if order.open]

    def posts(self) -> Counter[str]:
        """Return how often a POST was answered with what."""
        return Counter(post for order in [*self.orders] for post in order.posts)

    def submit(self, count: int, sizes: Iterable[int] = SIZES, seconds: float = 60) -> None:
        """Send ``count`` orders side by side, each again until it is accepted."""
        chosen = itertools.islice(itertools.cycle(sizes), count)
        orders = [self.new_order(items) for items in chosen]
        with ThreadPoolExecutor(_SENDERS) as pool:
            for done in [pool.submit(self.send, order, seconds) for order in orders]:
                done.result()

    def keep_busy(
        self, stop: threading.Event, *, in_flight: int, sizes: Iterable[int] = SIZES, most: int
    ) -> None:
        """Send orders until ``stop``, so that ``in_flight`` are always open; at most ``most``."""
        endless = itertools.cycle(sizes)
        deadline = time.monotonic() + 1200
        while not stop.wait(0.05) and time.monotonic() < deadline:
            if len(self.open_orders()) < in_flight and len(self.orders) < most:
                self.send(self.new_order(next(endless)), 30)

    def send(self, order: Order, seconds: float) -> bool:
        """Send an order until it is accepted, with one idempotency key; False if it never is."""
        with self.client() as client:
            return wait_until(lambda: self.attempt(client, order), seconds, _RETRY_SECONDS)

    def post(self, client: httpx2.Client, order: Order) -> httpx2.Response:
        """Send an order once."""
        headers = {"Idempotency-Key": order.idempotency_key, "X-API-Key": order.api_key}
        return client.post("/qr/bulk/", json=order.body, headers=headers)

    def attempt(self, client: httpx2.Client, order: Order) -> bool:
        """Send an order once; return whether it was accepted, and note the outcome in it."""
        begin = time.monotonic()
        try:
            answer = self.post(client, order)
        except httpx2.TransportError as error:
            order.posts.append(type(error).__name__)
            return False
        order.posts.append(str(answer.status_code))
        if answer.status_code == httpx2.codes.ACCEPTED:
            order.accepted_at = time.monotonic()
            order.task_id = answer.json()["task_id"]
            return True
        with self._lock:
            self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - begin)
        assert answer.status_code in _REFUSED_FOR_NOW, answer.text
        return False

    def new_order(self, items: int, api_key: str | None = None) -> Order:
        """Return a new order, of the load's own tenant unless there is another key."""
        with self._lock:
            number = next(self._numbers)
            order = make_order(number, items, self._prefix, more_fields=number % 5 == 3)
            order.api_key = api_key or self._api_key
            self.orders.append(order)
        return order
