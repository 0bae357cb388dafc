"""Middleware that assigns an id to every request and logs one line per response."""

import re
import time
import uuid

import falcon
import structlog

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: A path segment that begins with an API key. The group ends before the key's secret.
_API_KEY = re.compile(r"(qrmill_[0-9a-z]{12}_)[^/]+")


class RequestLog:
    """Middleware that assigns a request id and logs one line per response.

    The line contains the path but never the query, the headers or the body, so that no secret is
    logged. If the path contains a whole API key in place of a key's id, the line shows only the
    part up to the id.
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
            path=_API_KEY.sub(r"\1…", req.path),
            status=int(resp.status_code),
            ms=round((time.perf_counter() - req.context.started) * 1000, 1),
            key=getattr(req.context.get("key"), "name", None),
        )
