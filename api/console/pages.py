"""Pages of console and portal: Jinja2 templates, sent with restrictive security headers."""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import falcon
import jinja2

from api.console.areas import Area
from api.console.forms import issue_token
from api.console.image_text import image_files, image_side, image_size
from api.schemas.states import ChunkState, State

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"
#: Static files of the pages, with their media types.
STATIC_TYPES = {"ops.css": "text/css", "ops.js": "text/javascript", "icon.svg": "image/svg+xml"}
#: Only the service's own files may be loaded; inline scripts and styles are blocked.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Notices that a page can show after a change, by the name that the address contains.
NOTICES = {
    "retried": "The job was restarted; only what is missing is rendered.",
    "cancelled": "The job was cancelled.",
    "created": "The job was created.",
    "sent-twice": "The form was sent twice, and creates one job: it is in this list once it is "
    "accepted.",
    "requeued": "Dead letters requeued: {count}.",
    "discarded": "Dead letters discarded: {count}.",
}
_KIB = 1024


class Pages:
    """Renders the pages of an area.

    Args:
        area: the area.
        prefix: prefix of the API's paths.

    Attributes:
        home: path of the area's first page, without a trailing slash.
        jobs: path of the area's list of jobs, without a trailing slash.
    """

    def __init__(self, area: Area, prefix: str) -> None:
        self.area = area
        self.prefix = prefix
        self.home = f"{prefix}{area.path}"
        self.jobs = f"{prefix}{area.jobs}"
        self._templates = _templates()

    def respond(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        template: str,
        status: HTTPStatus = HTTPStatus.OK,
        **values: Any,  # noqa: ANN401 - variables of the template
    ) -> None:
        """Respond with a page, which contains a form token if the request has a session."""
        session = req.context.get("session")
        common = {
            "prefix": self.prefix,
            "area": self.area,
            "home": self.home,
            "jobs_path": self.jobs,
            "version": static_version(),
            "user": req.context.get("key"),
            "form_token": issue_token(session) if session else "",
            "section": template.partition(".")[0],
            "notice": _notice(req),
        }
        resp.status = status.value
        resp.content_type = "text/html; charset=utf-8"
        resp.text = self._templates[template].render(common | values)


@cache
def _templates() -> dict[str, jinja2.Template]:
    """Return every template by name, compiled in advance so that no request waits for it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {"when": when, "span": span, "size": size, "number": number, "iso": iso_time}
    )
    environment.filters.update(
        {"image_files": image_files, "image_size": image_size, "side": image_side}
    )
    environment.globals["symbols"] = STATE_SYMBOLS
    environment.globals["marks"] = MARK_SYMBOLS
    return {name: environment.get_template(name) for name in environment.list_templates()}


class StaticFile:
    """``GET …/static/{name}``: scripts and styles of the pages, served without a session."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Respond with a static file."""
        if name not in STATIC_TYPES:
            raise falcon.HTTPNotFound
        resp.content_type = STATIC_TYPES[name]
        resp.set_header("Cache-Control", "public, max-age=86400")
        resp.data = (_STATIC / name).read_bytes()

    on_head = on_get


#: Symbol shown next to each state, so that states are not distinguished by colour alone.
STATE_SYMBOLS: Mapping[State | ChunkState, str] = {
    "pending": "○",
    "running": "◐",
    "staged": "■",
    "completed": "✓",
    "failed": "✕",
}
#: Symbol shown next to a cell in which something was found.
MARK_SYMBOLS = {"error": "✕", "warning": "⚠"}


@cache
def static_version() -> str:
    """Return a hash of the static files, so that browsers do not use cached older versions."""
    contents = b"".join((_STATIC / name).read_bytes() for name in sorted(STATIC_TYPES))
    return hashlib.sha256(contents).hexdigest()[:12]


def iso_time(milliseconds: int) -> str:
    """Return a timestamp, in milliseconds since the epoch, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def when(milliseconds: int) -> str:
    """Return a timestamp, in milliseconds since the epoch, in UTC; without the date if today."""
    timestamp = datetime.fromtimestamp(milliseconds / 1000, UTC)
    today = datetime.fromtimestamp(time.time(), UTC).date()
    return timestamp.strftime("%H:%M:%S" if timestamp.date() == today else "%Y-%m-%d %H:%M")


def span(milliseconds: float) -> str:
    """Return a readable duration with no-break spaces, for example ``1 min 05 s``."""
    return _span(milliseconds).replace(" ", "\N{NO-BREAK SPACE}")


def _span(milliseconds: float) -> str:
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def size(count: float) -> str:
    """Return a readable number of bytes, for example ``5.0 MiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"


def number(count: int) -> str:
    """Return a number with a narrow no-break space as the thousands separator."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _notice(req: falcon.Request) -> str:
    name, count = req.get_param("done") or "", req.get_param("count") or "0"
    # A fixed text and a number, so that an address cannot put arbitrary text on the page.
    return NOTICES.get(name, "").format(count=count if count.isdecimal() else "0")
