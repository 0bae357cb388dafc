"""The two areas of pages: the operator console at ``/ops/``, and the portal at ``/jobs/``."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.service import Role, SessionKind

#: Paths that no browser interprets as another host.
_LOCAL = re.compile(r"/[A-Za-z0-9._~/?=&%:+-]*")
#: Segments that a browser removes from a path, even percent-encoded (WHATWG URL, "double-dot path
#: segment"), so that the path leads elsewhere.
_DOTS = frozenset({".", ".."})


class NavigationLink(NamedTuple):
    """A link at the top of every page.

    Attributes:
        section: name of the page, to mark the page that is shown.
        path: path without the API's prefix.
        label: text of the link.
    """

    section: str
    path: str
    label: str


class Area(NamedTuple):
    """Pages that share a sign-in.

    Attributes:
        path: path of the first page, without the API's prefix.
        jobs: path of the list of jobs; the pages of the jobs are below it.
        role: role of the API keys that may sign in.
        sessions: kind of the sessions; a session of another kind is never accepted.
        allowed: paths below which a sign-in may redirect.
        session_cookie: name of the cookie of a session.
        visit_cookie: name of the cookie that binds the sign-in form to the browser before a session
            exists.
        cookie_path: path of the cookies without TLS; empty for all paths below the API's prefix.
        title: heading of the sign-in form.
        key_label: label of the field for the API key.
        wrong_role: message to a key with another role.
        is_rated: whether each request counts against the rates of its API key.
        links: the navigation.
    """

    path: str
    jobs: str
    role: Role
    sessions: SessionKind
    allowed: tuple[str, ...]
    session_cookie: str
    visit_cookie: str
    cookie_path: str
    title: str
    key_label: str
    wrong_role: str
    is_rated: bool
    links: tuple[NavigationLink, ...]

    def local_path(self, text: str, prefix: str) -> str:
        """Return ``text`` if it is the path of a page of the area, else that of the first page.

        Args:
            text: a path with or without a query, which a client sent.
            prefix: path prefix of the API.
        """
        path = text.partition("?")[0]
        is_local = (
            _LOCAL.fullmatch(text)
            and _DOTS.isdisjoint(map(unquote, path.split("/")))
            and f"{path}/".startswith(tuple(f"{prefix}{each}/" for each in self.allowed))
        )
        return text if is_local else f"{prefix}{self.path}/"


CONSOLE = Area(
    path="/ops",
    jobs="/ops/jobs",
    role="operator",
    sessions="session",
    allowed=("/ops", "/dramatiq"),
    session_cookie="qrmill_session",
    visit_cookie="qrmill_visit",
    cookie_path="",
    title="Operator console",
    key_label="API key with the role operator",
    wrong_role="This API key has the role client. The console requires the role operator.",
    is_rated=False,
    links=(
        NavigationLink("overview", "/ops/", "Overview"),
        NavigationLink("jobs", "/ops/jobs", "Jobs"),
        NavigationLink("new-job", "/ops/new", "New job"),
        NavigationLink("dead-letters", "/ops/dead-letters", "Dead letters"),
        NavigationLink("dashboard", "/dramatiq/", "Dramatiq"),
    ),
)
PORTAL = Area(
    path="/jobs",
    jobs="/jobs",
    role="client",
    sessions="portal",
    allowed=("/jobs",),
    session_cookie="qrmill_portal_session",
    visit_cookie="qrmill_portal_visit",
    cookie_path="/jobs",
    title="QR codes for labels",
    key_label="API key",
    wrong_role="This API key has the role operator, which signs in at /ops/. Use a client's key.",
    is_rated=True,
    links=(
        NavigationLink("new-job", "/jobs/new", "New job"),
        NavigationLink("jobs", "/jobs/", "Jobs"),
    ),
)
