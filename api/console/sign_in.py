"""``/ops/sign-in`` and ``/ops/sign-out``: sign-in with an operator's API key, and sign-out."""

import ipaddress
import secrets
from http import HTTPStatus

import falcon
import structlog

from api.console.forms import FormFields, check_origin, issue_token, read_form
from api.console.pages import Pages
from api.console.sessions import COOKIE, ConsoleResource, RequiresSession, local_path, use_form
from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader
from api.http.trusted_proxies import TrustedProxies
from pipeline.service import SESSION_LIFETIME, ApiKeys, Sessions, SignInLimit

log = structlog.get_logger(__name__)

#: Cookie that binds the sign-in form to the browser, before a session exists.
_VISIT_COOKIE = "qrmill_visit"
_VISIT_SECONDS = 3600
_REFUSED = {
    HTTPStatus.UNAUTHORIZED: "This API key is unknown, mistyped or revoked.",
    HTTPStatus.FORBIDDEN: "This API key has the role client. The console requires the role "
    "operator.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts. Try again in one minute.",
}


class SignIn(ConsoleResource):
    """``GET`` and ``POST /ops/sign-in``.

    Args:
        sessions: sessions of operators.
        api_keys: verifies API keys.
        sign_in_limits: limits attempts per address.
        pages: renders the form.
        bodies: reads the form.
        proxies: proxies whose ``X-Forwarded-For`` is trusted.
    """

    def __init__(
        self,
        sessions: Sessions,
        api_keys: ApiKeys,
        sign_in_limits: SignInLimit,
        *,
        pages: Pages,
        bodies: BodyReader,
        proxies: TrustedProxies,
    ) -> None:
        self._sessions = sessions
        self._api_keys = api_keys
        self._sign_in_limits = sign_in_limits
        self._pages = pages
        self._bodies = bodies
        self._proxies = proxies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the sign-in form."""
        self._show(req, resp, HTTPStatus.OK, req.get_param("next") or "")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session if the form has an operator's key, and redirect to the page requested."""
        check_origin(req)
        form = read_form(self._bodies, req)
        back = local_path((form.get("next") or [""])[0], self._pages.prefix)
        visit = next(iter(req.get_cookie_values(_VISIT_COOKIE) or []), "")
        if not visit:
            detail = "The browser sent no cookie with the form. Allow cookies for this service."
            raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)
        address = client_address(req, self._proxies)
        refused, key_id = self._authenticate(address, visit, form)
        if refused is not None:
            log.warning("sign-in refused", status=refused.value, address=address)
            if refused is HTTPStatus.TOO_MANY_REQUESTS:
                resp.set_header("Retry-After", "60")
            self._show(req, resp, refused, back)
            return
        token = self._sessions.begin(key_id)
        log.info("signed in", key_id=key_id, address=address)
        _set_cookie(req, resp, self._pages.prefix, COOKIE, token, seconds=SESSION_LIFETIME)
        raise falcon.HTTPSeeOther(back)

    def _authenticate(
        self, address: str, visit: str, form: FormFields
    ) -> tuple[HTTPStatus | None, str]:
        """Return the status of a rejection, or None, and the key id."""
        # Before the form's check: clients choose the cookie, so they can sign any number of forms.
        if not self._sign_in_limits.allow(address):
            return HTTPStatus.TOO_MANY_REQUESTS, ""
        use_form(self._sessions, visit, form)
        key = self._api_keys.authenticate((form.get("key") or [""])[0].strip())
        if key is None:
            return HTTPStatus.UNAUTHORIZED, ""
        return (None if key.role == "operator" else HTTPStatus.FORBIDDEN), key.key_id

    def _show(
        self, req: falcon.Request, resp: falcon.Response, status: HTTPStatus, back: str
    ) -> None:
        visit = next(iter(req.get_cookie_values(_VISIT_COOKIE) or []), "")
        visit = visit or secrets.token_urlsafe(32)
        _set_cookie(req, resp, self._pages.prefix, _VISIT_COOKIE, visit, seconds=_VISIT_SECONDS)
        self._pages.respond(
            req,
            resp,
            "sign-in.html",
            status,
            form_token=issue_token(visit),
            next=local_path(back, self._pages.prefix),
            refused=_REFUSED.get(status, ""),
        )


class SignOut(RequiresSession):
    """``POST /ops/sign-out``."""

    def __init__(self, sessions: Sessions, pages: Pages) -> None:
        self._sessions = sessions
        self._pages = pages

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session on the server, and delete its cookie."""
        self._sessions.end(req.context.session)
        _set_cookie(req, resp, self._pages.prefix, COOKIE, "", seconds=0)
        raise falcon.HTTPSeeOther(f"{self._pages.prefix}/ops/sign-in")


def client_address(req: falcon.Request, proxies: TrustedProxies) -> str:
    """Return the address for which sign-in attempts are counted.

    Behind a trusted proxy, this is the last address of ``X-Forwarded-For``, which the proxy added.
    The addresses before it may be forged by the client.
    """
    address = req.remote_addr or ""
    forwarded = (req.get_header("X-Forwarded-For") or "").rpartition(",")[2].strip()
    if forwarded and proxies.trusts(address):
        try:
            return str(ipaddress.ip_address(forwarded))
        except ValueError:  # not an address: attempts are counted for the proxy
            pass
    return address


def _set_cookie(
    req: falcon.Request, resp: falcon.Response, prefix: str, name: str, value: str, *, seconds: int
) -> None:
    resp.set_cookie(
        name,
        value,
        max_age=seconds,
        path=prefix or "/",
        http_only=True,
        same_site="Strict",
        secure=req.scheme == "https",
    )
