"""``/healthz`` and ``/readyz``: health checks for load balancers and supervisors, without a key."""

from http import HTTPStatus

import falcon

from api.http.json_responses import respond_json
from api.schemas.tasks import Health as HealthResponse
from pipeline.service import Health


class Healthz:
    """``GET /healthz``: liveness of the process."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with 200."""
        respond_json(resp, HTTPStatus.OK, HealthResponse("ok", []))

    on_head = on_get


class Readyz:
    """``GET /readyz``: readiness of Redis, the buckets and the broker."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with 200 if every backend is available; else with 503 and their names."""
        down = self._health.unready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if down else HTTPStatus.OK
        respond_json(resp, status, HealthResponse("unavailable" if down else "ok", down))

    on_head = on_get
