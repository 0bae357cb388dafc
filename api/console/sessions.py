"""Session checks for all pages of the console and the portal, and for Dramatiq's dashboard.

The check depends on the resource that a request was routed to, not on its path, so that no spelling
of a path bypasses the check. Every :class:`RequiresSession` resource needs a session of its own
area. Every request that changes something must also submit a form of the same session, and each
form is accepted once.
"""

from http import HTTPStatus
from urllib.parse import quote

import falcon
import msgspec

from api.console.cookies import read_cookie
from api.console.forms import FormFields, check_origin, check_token, read_form
from api.console.pages import HEADERS, Pages
from api.http.authentication import count_request
from api.http.problems import MEDIA_TYPE, ProblemError
from api.http.redaction import redact_path
from api.http.request_bodies import BodyReader
from api.schemas.problems import Problem
from pipeline.service import ApiKeys, RateLimits, Sessions
from render.errors import truncated

_SAFE_METHODS = frozenset({"GET", "HEAD"})


class ConsoleResource:
    """A resource of the console or the portal; its error responses are HTML pages.

    Args:
        pages: the pages of the area that the resource belongs to.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages


class RequiresSession(ConsoleResource):
    """A resource that needs a session of its area.

    Attributes:
        own_forms: True if the resource checks submitted forms itself; False if the middleware does.
    """

    own_forms = False


class NotFoundPage(RequiresSession):
    """Any path below those of an area that has no page."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        """Respond with 404.

        Raises:
            ProblemError: 404.
        """
        detail = f"There is no page {truncated(redact_path(req.path))}."
        raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail)


class SessionMiddleware:
    """Falcon middleware that checks sessions and forms, and shows errors as HTML pages."""

    def __init__(
        self, sessions: Sessions, api_keys: ApiKeys, rate_limits: RateLimits, bodies: BodyReader
    ) -> None:
        self._sessions = sessions
        self._api_keys = api_keys
        self._rate_limits = rate_limits
        self._bodies = bodies

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """Check the session of a request for a resource that requires one.

        Raises:
            HTTPSeeOther: redirects a GET without a session to the sign-in.
            ProblemError: 401 for a change without a session; 403 or 409 for an invalid form; 429
                if the key is over a rate limit that applies to the area.
        """
        if not isinstance(resource, ConsoleResource):
            return
        resp.set_headers(HEADERS)
        if not isinstance(resource, RequiresSession):
            return
        self._find_session(req, resp, resource.pages)
        if req.method not in _SAFE_METHODS:
            check_origin(req)
            if not resource.own_forms:
                req.context.form = read_form(self._bodies, req)
                use_form(self._sessions, req.context.session, req.context.form)

    def _find_session(self, req: falcon.Request, resp: falcon.Response, pages: Pages) -> None:
        area = pages.area
        token = read_cookie(req, area.session_cookie, pages.prefix)
        key_id = self._sessions.find(area.sessions, token) if token else None
        key = self._api_keys.working(key_id) if key_id else None
        if key is not None and key.role == area.role:
            req.context.session, req.context.key = token, key
            if area.is_rated:
                count_request(self._rate_limits, req, resp)
            return
        if req.method not in _SAFE_METHODS:
            detail = "You are not signed in, or your session has ended. Sign in and try again."
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "signed_out", detail)
        back = quote(req.relative_uri, safe="")
        raise falcon.HTTPSeeOther(f"{pages.home}/sign-in?next={back}")

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Replace a problem response with an HTML page."""
        if isinstance(resource, ConsoleResource) and resp.content_type == MEDIA_TYPE and resp.data:
            problem = msgspec.json.decode(resp.data, type=Problem)
            status = HTTPStatus(problem.status)
            resp.data = None
            resource.pages.respond(req, resp, "error.html", status, problem=problem)


def use_form(sessions: Sessions, session: str, form: FormFields) -> None:
    """Check that a form belongs to this session, and mark it as sent.

    Raises:
        ProblemError: 403 if the form belongs to another session or has expired; 409 if the form was
            already sent.
    """
    nonce = check_token(session, form)
    if not sessions.use_form(nonce):
        detail = "This form was already sent, and was not processed again. Open the page again."
        raise ProblemError(HTTPStatus.CONFLICT, "form_sent_before", detail)
