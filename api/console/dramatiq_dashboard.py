"""``/dramatiq/``: Dramatiq's own dashboard, behind the console's sign-in. It reads Redis alone.

``dramatiq-dashboard`` 0.4.0 is not among the dependencies: it asks for older releases than it needs
of Dramatiq and redis-py, so it is installed by itself (``make dashboard``). It is a WSGI
application without a sign-in, which is called here with nothing but its own cookie.
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
from api.http.request_bodies import BodyReader

log = structlog.get_logger(__name__)

#: The cookie by which the dashboard protects its forms.
_COOKIE = "__dd_csrf"
#: Its pages hold their style, and no script.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: What it raises when an address or a form is not one of its own.
_WRONG_INPUT = (ValueError, KeyError, TypeError)

Wsgi = Callable[[dict[str, Any], Callable[..., None]], Iterable[bytes]]


class DramatiqDashboard(RequiresSession):
    """``/dramatiq`` and all below."""

    own_forms = True

    def __init__(self, broker: RedisBroker | None, pages: Pages, bodies: BodyReader) -> None:
        self._pages = pages
        self._bodies = bodies
        self._app: Wsgi | None = None
        self._possible = broker is not None
        if self._possible and find_spec("dramatiq_dashboard") is not None:
            module = import_module("dramatiq_dashboard")
            self._app = module.DashboardApp(broker, f"{pages.prefix}/dramatiq")

    def on_get(self, req: falcon.Request, resp: falcon.Response, rest: str = "") -> None:
        """Show one of the dashboard's pages, or how it is installed."""
        cursor = req.get_param("cursor") or "0"
        if not cursor.isdecimal():  # of which the dashboard knows nothing
            detail = f"{cursor!r} is not a cursor of the dashboard; start at its first page."
            raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_query", detail)
        self._pass_on(req, resp, rest, b"")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, rest: str = "") -> None:
        """Requeue or delete a message, as the dashboard does it."""
        self._pass_on(req, resp, rest, read_form_body(self._bodies, req))

    def _pass_on(self, req: falcon.Request, resp: falcon.Response, rest: str, body: bytes) -> None:
        if self._app is None:
            self._pages.respond(
                req, resp, "no-dashboard.html", HTTPStatus.NOT_FOUND, possible=self._possible
            )
            return
        started: list[tuple[str, list[tuple[str, str]]]] = []
        try:
            environ = _environ(req, rest, body)
            chunks = self._app(environ, lambda *response: started.append(response))
            resp.data = b"".join(chunks)
        except _WRONG_INPUT as error:
            log.warning("dashboard request refused", reason=type(error).__name__, path=req.path)
            detail = "The dashboard cannot do anything with this address or form."
            raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_query", detail) from None
        status, headers = started[0]
        resp.status = status
        resp.set_header("Content-Security-Policy", _POLICY)
        for name, value in headers:
            _set_header(req, resp, name.lower(), value)


def _environ(req: falcon.Request, rest: str, body: bytes) -> dict[str, Any]:
    cookie = next(iter(req.get_cookie_values(_COOKIE) or []), None)
    foreign = ("HTTP_COOKIE", "HTTP_X_API_KEY", "HTTP_AUTHORIZATION")
    environ = {name: value for name, value in req.env.items() if name not in foreign}
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
