"""JSON responses."""

from http import HTTPStatus

import falcon
import msgspec

from api.http.negotiation import JSON


def respond_json(resp: falcon.Response, status: HTTPStatus, body: msgspec.Struct) -> None:
    """Respond with ``status`` and ``body`` as JSON."""
    resp.status = status.value
    resp.content_type = JSON
    resp.data = msgspec.json.encode(body)
