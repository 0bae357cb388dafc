"""Middleware that assigns an id to every request and logs one line per response."""

import re
import time
import uuid

import falcon
import structlog

from api.http.redaction import redact_path

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Middleware that assigns a request id and logs one line per response.

    The line contains the path but never the query, the headers or the body, so that no secret is
    logged. The line does not show the parts of a path that may be an API key.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Use the client's ``X-Request-ID`` if it is well-formed; otherwise create an id."""
        given = req.get_header("X-Request-ID") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        req.context.request_id = request_id
        req.context.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        resp.set_headers(
            {
                "X-Request-ID": request_id,
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            }
        )

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Log the method, path, status and duration of a request."""
        log.info(
            "request",
            method=req.method,
            path=redact_path(req.path),
            status=int(resp.status_code),
            ms=round((time.perf_counter() - req.context.started) * 1000, 1),
            key=getattr(req.context.get("key"), "name", None),
        )
