"""Removal of API keys from texts that are logged or sent: paths, and values that may be keys.

A key of the service is recognized by its prefix. An imported one can be any text of 32 visible
ASCII characters or more, and slashes in it make it several segments of a path. A path therefore
keeps only the segments that hardly any random text resembles: short ones of lower-case letters and
digits, which include key ids, and task ids where a task id belongs.
"""

import re

_TASK_ID = r"(?<=/bulk/|/jobs/)[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
#: A segment that is kept, or a key of the service, of which the part with its id is kept.
_SEGMENT = re.compile(
    r"(?<=/)(?:(?P<key>qrmill_[0-9a-z]{12}_)[^/]+"
    rf"|(?P<kept>[a-z0-9._-]{{1,31}}|{_TASK_ID})(?=/|$)|[^/]+)"
)
#: Shortest text that can be an imported key, in characters.
_SHORTEST_KEY = 32
_HIDDEN = "…"


def redact_path(path: str) -> str:
    """Return a path without the segments that may be, or be a part of, an API key."""
    return _SEGMENT.sub(lambda match: match["kept"] or f"{match['key'] or ''}{_HIDDEN}", path)


def may_be_api_key(text: str) -> bool:
    """Return whether ``text`` may be an API key, so that no message may quote it."""
    return text.startswith("qrmill_") or (
        len(text) >= _SHORTEST_KEY and text.isascii() and text.isprintable() and " " not in text
    )
