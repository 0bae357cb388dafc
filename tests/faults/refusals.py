"""What a client is told while a server is away."""

import time

import httpx2

from tests.faults.scene import Scene

#: Seconds within which the API has to say that it cannot accept.
_REFUSAL_SECONDS = 3.0


def ask_and_be_refused(scene: Scene, server: str, seconds: float) -> None:
    """Send requests for ``seconds`` (less in a short run); each has to be refused in time."""
    with scene.load.client() as client:
        for _ in scene.every(0.5, seconds):
            _ask(client, scene, server)


def _ask(client: httpx2.Client, scene: Scene, server: str) -> None:
    begin = time.monotonic()
    body = {"gtin": "9506000134352", "items": [{"lot": "AWAY"}]}
    try:
        status = client.post("/qr/bulk/", json=body).status_code
    except httpx2.TransportError as error:
        scene.wrong.append(f"a POST with {server} away: {error!r}")
        return
    seconds = time.monotonic() - begin
    if status != httpx2.codes.SERVICE_UNAVAILABLE or seconds > _REFUSAL_SECONDS:
        scene.wrong.append(f"a POST with {server} away was answered {status} after {seconds:.1f} s")
