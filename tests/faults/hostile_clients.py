"""``python -m tests.faults.hostile_clients PORT``: hostile clients of an API, until SIGTERM.

API keys are read from standard input, so that they are in no list of processes. At the end the
program prints, as JSON, how often each kind of client met which status or error.
"""

import asyncio
import gzip
import itertools
import json
import secrets
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx2

from tests.faults.orders import GTIN
from tests.faults.slow_clients import SLOW_CLIENTS, hold
from tests.huge_bodies import HUGE_BODIES

_SOURCE = "127.0.0.8"
#: Outcome of a response that is larger than a problem may be.
LARGE = "a response of 64 KiB or more"
_LARGEST_RESPONSE = 64 * 1024
#: Receivers of webhooks: seconds before the response, and its status.
_RECEIVERS = {"slow": (60.0, 204), "failing": (0.0, 500), "stalling": (9.0, 503)}


class Keys(NamedTuple):
    """API keys of hostile tenants: the limits that one meets would protect from the other kinds."""

    floods: str
    names: str
    uploads: str


class Hostile:
    """The clients that send whole requests.

    Args:
        url: URL of the API.
        keys: keys of the tenants.
        outcomes: counts statuses and errors by kind of client.
    """

    def __init__(self, url: str, keys: Keys, outcomes: defaultdict[str, Counter[str]]) -> None:
        transport = httpx2.AsyncHTTPTransport(local_address=_SOURCE, retries=0)
        self._client = httpx2.AsyncClient(
            base_url=url, transport=transport, timeout=30, trust_env=False
        )
        self._keys = keys
        self._outcomes = outcomes

    async def create_webhook_secret(self) -> None:
        response = await self._client.post(
            "/keys/self/webhook-secret/", headers={"X-API-Key": self._keys.floods}
        )
        response.raise_for_status()

    async def send_huge_names(self) -> None:
        """Send gzip bodies of a few kilobytes that become 5 MB, about two per second."""
        made = [(kind, gzip.compress(make(), 1)) for kind, make in HUGE_BODIES.values()]
        for media_type, body in itertools.cycle(made):
            headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
            headers["X-API-Key"] = self._keys.names
            query = f"?gtin={GTIN}" if media_type == "text/csv" else ""
            response = await self._request("huge names", f"/qr/bulk/{query}", headers, body)
            if response is not None and len(response.content) >= _LARGEST_RESPONSE:
                self._outcomes["huge names"][LARGE] += 1
            await asyncio.sleep(0.4)

    async def flood(self, name: str, body: dict[str, Any], pause: float, urls: list[str]) -> None:
        """Send jobs, whatever the response, each with the next of the callback URLs."""
        headers = {"Content-Type": "application/json", "X-API-Key": self._keys.floods}
        sent = [json.dumps({**body, "callback_url": url}).encode() for url in urls]
        for content in itertools.cycle(sent):
            await self._request(name, "/qr/bulk/", headers, content)
            await asyncio.sleep(pause)

    async def try_unknown_keys(self) -> None:
        """Send a request with a key that does not exist, about 40 times per second."""
        while True:
            headers = {"X-API-Key": f"qrmill_{secrets.token_hex(24)}"}
            await self._request("unknown keys", "/qr/bulk/", headers, None)
            await asyncio.sleep(0.02)

    async def _request(
        self, name: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> httpx2.Response | None:
        method = "GET" if body is None else "POST"
        try:
            response = await self._client.request(method, path, headers=headers, content=body)
        except httpx2.TransportError as error:
            self._outcomes[name][type(error).__name__] += 1
            return None
        self._outcomes[name][str(response.status_code)] += 1
        return response


@asynccontextmanager
async def receiver(delay: float, status: int, counts: Counter[str]) -> AsyncIterator[str]:
    """Run a webhook receiver, and yield its URL."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts["received"] += 1
        with suppress(asyncio.CancelledError, OSError):
            await reader.read(65536)
            await asyncio.sleep(delay)
            writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def _items(count: int) -> list[dict[str, str]]:
    return [{"lot": "FLOOD", "serial": f"{number:05}"} for number in range(count)]


def _behaviours(
    port: int,
    keys: Keys,
    hostile: Hostile,
    outcomes: defaultdict[str, Counter[str]],
    urls: list[str],
) -> list[Coroutine[Any, Any, None]]:
    large = {"gtin": GTIN, "items": _items(5000)}
    heavy = {"gtin": GTIN, "items": _items(500), "format": "png", "size": 2000}
    small = {"gtin": GTIN, "items": _items(1), "format": "svg"}
    return [
        *(
            hold(kind, port, keys.uploads, outcomes[name])
            for name, kind in SLOW_CLIENTS.items()
            for _ in range(kind.number)
        ),
        hostile.send_huge_names(),
        hostile.flood("jobs of 5000", large, 0.5, urls),
        hostile.flood("jobs of 500, PNG 2000", heavy, 0.2, urls),
        hostile.flood("jobs of 1", small, 0.5, urls),
        *(hostile.try_unknown_keys() for _ in range(3)),
    ]


async def run(port: int, keys: Keys) -> dict[str, Counter[str]]:
    """Run all clients until SIGTERM; return what they met."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    hostile = Hostile(f"http://127.0.0.1:{port}", keys, outcomes)
    await hostile.create_webhook_secret()
    async with AsyncExitStack() as receivers:
        urls = [
            await receivers.enter_async_context(receiver(*each, outcomes[f"receiver, {name}"]))
            for name, each in _RECEIVERS.items()
        ]
        running = _behaviours(port, keys, hostile, outcomes, urls)
        tasks = [asyncio.ensure_future(each) for each in running]
        ended = asyncio.ensure_future(stop.wait())
        # No client ends by itself: one that does has failed, and its error ends the program.
        await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes


if __name__ == "__main__":
    met = asyncio.run(
        run(int(sys.argv[1]), Keys(*(sys.stdin.readline().strip() for _ in Keys._fields)))
    )
    sys.stdout.write(json.dumps(met))
