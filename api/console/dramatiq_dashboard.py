"""``/dramatiq/``: Dramatiq's own dashboard, behind the console's sign-in. Works only with Redis.

``dramatiq-dashboard`` 0.4.0 is not among the dependencies. Its metadata requires Dramatiq < 2 and
redis-py < 5, although the dashboard also works with the newer releases used here. Therefore
``make dashboard`` installs the package without its dependencies.

The dashboard is a WSGI application without a sign-in. API keys and cookies are removed from a
request before the dashboard receives it; only the dashboard's own cookie is kept.
"""

import io
from collections.abc import Callable, Iterable
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import falcon
import structlog
from dramatiq.brokers.redis import RedisBroker

from api.console.forms import read_form_body
from api.console.pages import Pages
from api.console.sessions import RequiresSession
from api.http.problems import ProblemError
from api.http.redaction import redact_path
from api.http.request_bodies import BodyReader

log = structlog.get_logger(__name__)

#: The dashboard's cookie against cross-site request forgery.
_COOKIE = "__dd_csrf"
#: The dashboard's pages have inline styles and no scripts.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: Exceptions that the dashboard raises for an unknown address or a malformed form.
_WRONG_INPUT = (ValueError, KeyError, TypeError)

Wsgi = Callable[[dict[str, Any], Callable[..., None]], Iterable[bytes]]


class DramatiqDashboard(RequiresSession):
    """``/dramatiq`` and all paths below it."""

    own_forms = True

    def __init__(self, broker: RedisBroker | None, pages: Pages, bodies: BodyReader) -> None:
        super().__init__(pages)
        self._bodies = bodies
        self._app: Wsgi | None = None
        self._possible = broker is not None
        if self._possible and find_spec("dramatiq_dashboard") is not None:
            module = import_module("dramatiq_dashboard")
            self._app = module.DashboardApp(broker, f"{pages.prefix}/dramatiq")

    def on_get(self, req: falcon.Request, resp: falcon.Response, rest: str = "") -> None:
        """Show a page of the dashboard, or instructions for its installation."""
        cursor = req.get_param("cursor") or "0"
        if not cursor.isdecimal():  # the dashboard does not validate cursors
            detail = f"Invalid cursor {cursor!r}. Start at the dashboard's first page."
            raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_query", detail)
        self._pass_on(req, resp, rest, b"")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, rest: str = "") -> None:
        """Let the dashboard requeue or delete a message."""
        self._pass_on(req, resp, rest, read_form_body(self._bodies, req))

    def _pass_on(self, req: falcon.Request, resp: falcon.Response, rest: str, body: bytes) -> None:
        if self._app is None:
            self.pages.respond(
                req, resp, "no-dashboard.html", HTTPStatus.NOT_FOUND, possible=self._possible
            )
            return
        started: list[tuple[str, list[tuple[str, str]]]] = []
        try:
            environ = _environ(req, rest, body)
            chunks = self._app(environ, lambda *response: started.append(response))
            resp.data = b"".join(chunks)
        except _WRONG_INPUT as error:
            log.warning(
                "dashboard request refused", reason=type(error).__name__, path=redact_path(req.path)
            )
            detail = "The dashboard does not support this address or form."
            raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_query", detail) from None
        status, headers = started[0]
        resp.status = status
        resp.set_header("Content-Security-Policy", _POLICY)
        for name, value in headers:
            _set_header(req, resp, name.lower(), value)


def _environ(req: falcon.Request, rest: str, body: bytes) -> dict[str, Any]:
    """Return the WSGI environment for the dashboard, without the request's credentials."""
    cookie = next(iter(req.get_cookie_values(_COOKIE) or []), None)
    credentials = ("HTTP_COOKIE", "HTTP_X_API_KEY", "HTTP_AUTHORIZATION")
    environ = {name: value for name, value in req.env.items() if name not in credentials}
    environ |= {
        "PATH_INFO": f"/{rest}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    return environ | ({"HTTP_COOKIE": f"{_COOKIE}={cookie}"} if cookie else {})


def _set_header(req: falcon.Request, resp: falcon.Response, name: str, value: str) -> None:
    if name == "set-cookie":
        secure = "; Secure" if req.scheme == "https" else ""
        resp.append_header(name, f"{value}; SameSite=Strict{secure}")
    else:
        resp.set_header(name, value)
