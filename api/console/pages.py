"""The console's pages: Jinja2 templates, filled in and sent with the headers that fence them in."""

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

from api.console.forms import issue_token
from api.schemas.states import ChunkState, State

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"
#: The console's own files, and of which type each is.
STATIC_TYPES = {"ops.css": "text/css", "ops.js": "text/javascript", "icon.svg": "image/svg+xml"}
#: Nothing but our own files, and no script or style in the page itself.
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
#: What a page may say after a change; its address carries the name alone.
NOTICES = {
    "retried": "The job runs again, for what it lacks.",
    "cancelled": "The job was cancelled.",
    "put-back": "Put back onto the queue: {count}.",
    "discarded": "Discarded: {count}.",
}
_KIB = 1024


class Pages:
    """Fills in the console's templates.

    Args:
        prefix: of the API's paths.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._templates = _templates()

    def respond(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        template: str,
        status: HTTPStatus = HTTPStatus.OK,
        **values: Any,  # noqa: ANN401 - what the template shows
    ) -> None:
        """Respond with a page, and a form token of its session if there is one."""
        session = req.context.get("session")
        common = {
            "prefix": self.prefix,
            "version": static_version(),
            "operator": req.context.get("key"),
            "form_token": issue_token(session) if session else "",
            "section": template.partition(".")[0],
            "notice": _notice(req),
        }
        resp.status = status.value
        resp.content_type = "text/html; charset=utf-8"
        resp.text = self._templates[template].render(common | values)


@cache
def _templates() -> dict[str, jinja2.Template]:
    """Return every template, compiled, so that no visitor waits for that."""
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
    environment.globals["symbols"] = STATE_SYMBOLS
    return {name: environment.get_template(name) for name in environment.list_templates()}


class StaticFile:
    """``GET /ops/static/{name}``: the pages' script and style, which hold nothing secret."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Respond with one of the files."""
        if name not in STATIC_TYPES:
            raise falcon.HTTPNotFound
        resp.content_type = STATIC_TYPES[name]
        resp.set_header("Cache-Control", "public, max-age=86400")
        resp.data = (_STATIC / name).read_bytes()

    on_head = on_get


#: A shape beside each state's word, so that no state is told by its colour alone.
STATE_SYMBOLS: Mapping[State | ChunkState, str] = {
    "pending": "○",
    "running": "◐",
    "staged": "■",
    "completed": "✓",
    "failed": "✕",
}


@cache
def static_version() -> str:
    """Return a name for the static files as they are, so that browsers keep no older ones."""
    contents = b"".join((_STATIC / name).read_bytes() for name in sorted(STATIC_TYPES))
    return hashlib.sha256(contents).hexdigest()[:12]


def iso_time(milliseconds: int) -> str:
    """Return a time since the epoch in ISO 8601, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def when(milliseconds: int) -> str:
    """Return a time since the epoch for people, in UTC; today's without the date."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    today = datetime.fromtimestamp(time.time(), UTC).date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def span(milliseconds: float) -> str:
    """Return a length of time for people, which no line's end takes apart."""
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
    """Return a number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"


def number(count: int) -> str:
    """Return a number with a thin space between its thousands."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _notice(req: falcon.Request) -> str:
    name, count = req.get_param("done") or "", req.get_param("count") or "0"
    # Only our own words, and a number: an address cannot put anything else onto the page.
    return NOTICES.get(name, "").format(count=count if count.isdecimal() else "0")
