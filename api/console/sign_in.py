"""``/ops/sign-in`` and ``/ops/sign-out``: an operator's key opens a session."""

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

#: Binds the sign-in's form to the browser that asked for it, before there is a session.
_VISIT_COOKIE = "qrmill_visit"
_VISIT_SECONDS = 3600
_REFUSED = {
    HTTPStatus.UNAUTHORIZED: "That is not a key of this service, or it is mistyped or revoked.",
    HTTPStatus.FORBIDDEN: "That key is a client's. The console needs a key with the role operator.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts. Try again in a minute.",
}


class SignIn(ConsoleResource):
    """``GET`` and ``POST /ops/sign-in``.

    Args:
        sessions: of operators.
        api_keys: the known keys.
        sign_in_limits: counts attempts.
        pages: writes the form.
        bodies: reads the form.
        proxies: trusted about the client's address.
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
        """Show the form."""
        self._show(req, resp, HTTPStatus.OK, req.get_param("next") or "")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session for an operator's key."""
        check_origin(req)
        form = read_form(self._bodies, req)
        back = local_path((form.get("next") or [""])[0], self._pages.prefix)
        visit = next(iter(req.get_cookie_values(_VISIT_COOKIE) or []), "")
        if not visit:
            detail = "The browser sent no cookie with the form. Allow cookies of this service."
            raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)
        address = client_address(req, self._proxies)
        refused, key_id = self._judge(address, visit, form)
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

    def _judge(self, address: str, visit: str, form: FormFields) -> tuple[HTTPStatus | None, str]:
        # First of all: with a cookie of one's own choice, forms without number can be signed.
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
        """End the session, here and in the browser."""
        self._sessions.end(req.context.session)
        _set_cookie(req, resp, self._pages.prefix, COOKIE, "", seconds=0)
        raise falcon.HTTPSeeOther(f"{self._pages.prefix}/ops/sign-in")


def client_address(req: falcon.Request, proxies: TrustedProxies) -> str:
    """Return the address that attempts are counted for.

    Behind a proxy of ours that is what the proxy says, the last of ``X-Forwarded-For``; what stands
    before it could be anybody's invention.
    """
    address = req.remote_addr or ""
    forwarded = (req.get_header("X-Forwarded-For") or "").rpartition(",")[2].strip()
    if forwarded and proxies.trusts(address):
        try:
            return str(ipaddress.ip_address(forwarded))
        except ValueError:  # no address: counted as what it came from
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
