"""Middleware that gives every request an id and logs one line per response."""

import re
import time
import uuid

import falcon
import structlog

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: An API key up to its secret, and what else its segment of a path has.
_API_KEY = re.compile(r"(qrmill_[0-9a-z]{12}_)[^/]+")


class RequestLog:
    """Gives a request its id, and logs one line with its response.

    The line has the path and never the query, the headers or the body, so that it holds no secret.
    A whole API key in the path, where its id belongs, is cut off after the id.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Use the client's request id if it is a plain one, or make one."""
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
        """Log the line."""
        log.info(
            "request",
            method=req.method,
            path=_API_KEY.sub(r"\1…", req.path),
            status=int(resp.status_code),
            ms=round((time.perf_counter() - req.context.started) * 1000, 1),
            key=getattr(req.context.get("key"), "name", None),
        )
