"""Middleware for cross-origin requests of browser applications (Fetch Standard, "CORS protocol").

Falcon's own ``CORSMiddleware`` does not fit: it responds to preflight requests only after
authentication, allows every requested header, covers every path and sets no ``Vary`` header.
"""

from http import HTTPStatus

import falcon

_METHODS = "GET, POST, DELETE"
_REQUEST_HEADERS = "X-API-Key, Authorization, Content-Type"
#: Response headers that scripts may read besides the safelisted ones, such as Content-Type.
_RESPONSE_HEADERS = (
    "ETag, Items-RateLimit-Limit, Items-RateLimit-Policy, Items-RateLimit-Remaining, "
    "Items-RateLimit-Reset, Location, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, "
    "RateLimit-Reset, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "X-Request-ID"
)
#: Seconds that a browser may keep the response to a preflight request; Chromium's maximum.
_MAX_AGE = "7200"


class CrossOrigin:
    """Middleware that permits cross-origin requests to some paths, without credentials.

    It must come before the authentication, because preflight requests have no API key.

    Args:
        origins: exact origins that are allowed.
        prefix: path prefix of the API.
    """

    def __init__(self, origins: frozenset[str], prefix: str) -> None:
        self._origins = origins
        self._paths = frozenset({f"{prefix}/qr", f"{prefix}/openapi.json"})
        self._below = f"{prefix}/qr/"

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond to a preflight request, which is neither authenticated nor counted."""
        if self._covers(req.path) and _is_preflight(req):
            resp.status = HTTPStatus.NO_CONTENT
            resp.complete = True

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Add the CORS headers to a response, including error responses."""
        if not self._covers(req.path):
            return
        resp.append_header("Vary", "Origin")
        origin = req.get_header("Origin")
        if origin not in self._origins:
            return
        resp.set_header("Access-Control-Allow-Origin", origin)
        if _is_preflight(req):
            resp.set_header("Access-Control-Allow-Methods", _METHODS)
            resp.set_header("Access-Control-Allow-Headers", _REQUEST_HEADERS)
            resp.set_header("Access-Control-Max-Age", _MAX_AGE)
        else:
            resp.set_header("Access-Control-Expose-Headers", _RESPONSE_HEADERS)

    def _covers(self, path: str) -> bool:
        return path in self._paths or path.startswith(self._below)


def _is_preflight(req: falcon.Request) -> bool:
    names = ("Origin", "Access-Control-Request-Method")
    return req.method == "OPTIONS" and all(req.get_header(name) for name in names)
