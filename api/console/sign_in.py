"""``…/sign-in`` and ``…/sign-out``: sign-in to an area with an API key, and sign-out."""

import secrets
from http import HTTPStatus

import falcon
import structlog

from api.console.cookies import read_cookie, set_cookie
from api.console.forms import FormFields, check_origin, check_token, issue_token, read_form
from api.console.pages import Pages
from api.console.sessions import ConsoleResource, RequiresSession, use_form
from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader
from api.http.trusted_proxies import TrustedProxies, network_of
from pipeline.service import SESSION_LIFETIME, ApiKeys, Sessions, SignInLimit

log = structlog.get_logger(__name__)

_VISIT_SECONDS = 3600
_REFUSED = {
    HTTPStatus.UNAUTHORIZED: "This API key is unknown, mistyped or revoked.",
    HTTPStatus.TOO_MANY_REQUESTS: "This API key is wrong, and so were many before it. Check it, or "
    "ask an operator for a key.",
}


class SignIn(ConsoleResource):
    """``GET`` and ``POST …/sign-in``.

    Args:
        sessions: sessions of all areas.
        api_keys: verifies API keys.
        sign_in_limits: limits wrong attempts per client network.
        pages: the pages of the area; renders the form.
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
        super().__init__(pages)
        self._sessions = sessions
        self._api_keys = api_keys
        self._sign_in_limits = sign_in_limits
        self._bodies = bodies
        self._proxies = proxies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the sign-in form."""
        self._show(req, resp, HTTPStatus.OK, req.get_param("next") or "")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session if the key has the area's role, and redirect to the page requested."""
        check_origin(req)
        form = read_form(self._bodies, req)
        area, prefix = self.pages.area, self.pages.prefix
        back = area.local_path((form.get("next") or [""])[0], prefix)
        visit = read_cookie(req, area.visit_cookie, prefix)
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
        token = self._sessions.begin(area.sessions, key_id)
        log.info("signed in", key_id=key_id, address=address)
        set_cookie(
            req, resp, area.session_cookie, prefix, token, area=area, seconds=SESSION_LIFETIME
        )
        raise falcon.HTTPSeeOther(back)

    def _authenticate(
        self, address: str, visit: str, form: FormFields
    ) -> tuple[HTTPStatus | None, str]:
        """Return the status of a rejection, or None, and the key id."""
        check_token(visit, form)
        key = self._api_keys.authenticate((form.get("key") or [""])[0].strip())
        if key is not None and key.role == self.pages.area.role:
            # Only now: clients choose the cookie, so they can sign any number of forms.
            use_form(self._sessions, visit, form)
            return None, key.key_id
        if not self._sign_in_limits.count_wrong(network_of(address)):
            return HTTPStatus.TOO_MANY_REQUESTS, ""
        return (HTTPStatus.UNAUTHORIZED if key is None else HTTPStatus.FORBIDDEN), ""

    def _show(
        self, req: falcon.Request, resp: falcon.Response, status: HTTPStatus, back: str
    ) -> None:
        area, prefix = self.pages.area, self.pages.prefix
        visit = read_cookie(req, area.visit_cookie, prefix) or secrets.token_urlsafe(32)
        set_cookie(req, resp, area.visit_cookie, prefix, visit, area=area, seconds=_VISIT_SECONDS)
        refused = area.wrong_role if status is HTTPStatus.FORBIDDEN else _REFUSED.get(status, "")
        self.pages.respond(
            req,
            resp,
            "sign-in.html",
            status,
            form_token=issue_token(visit),
            next=area.local_path(back, prefix),
            refused=refused,
        )


class SignOut(RequiresSession):
    """``POST …/sign-out``."""

    def __init__(self, sessions: Sessions, pages: Pages) -> None:
        super().__init__(pages)
        self._sessions = sessions

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session on the server, and delete its cookie."""
        area, prefix = self.pages.area, self.pages.prefix
        self._sessions.end(area.sessions, req.context.session)
        set_cookie(req, resp, area.session_cookie, prefix, "", area=area, seconds=0)
        raise falcon.HTTPSeeOther(f"{self.pages.home}/sign-in")


def client_address(req: falcon.Request, proxies: TrustedProxies) -> str:
    """Return the address of the client, for the log and for the limit on wrong attempts."""
    return proxies.client(req.remote_addr or "", req.get_header("X-Forwarded-For") or "")
