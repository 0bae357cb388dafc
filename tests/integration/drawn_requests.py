"""Requests drawn from a seed: any route, method, parameter, header and body, or damaged bytes."""

import gzip
import json
import random
import uuid
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from tests.integration.hostile_bodies import GTIN, hostile

_METHODS = (
    "GET",
    "POST",
    "DELETE",
    "HEAD",
    "PUT",
    "PATCH",
    "OPTIONS",
    "WEBSOCKET",
    "TRACE",
    "BREW",
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: What follows it is a request of its own, if the connection is kept alive; else it is discarded.
_WRONG_LENGTH = "Content-Length: 1"
_FORM = "application/x-www-form-urlencoded"
_ODD = (
    *("", "0", "-1", "1e9", "9" * 30, "null", "true", "a,b", "*", "%00", "%2e%2e", "..", "%ff"),
    *(
        "%zz",
        "ü",
        "\t",
        "x" * 3000,
        "'\"><script>",
        "{}",
        "[1]",
        "\\",
        "2027-01-01",
        "%F0%9F%8E%81",
    ),
)
_PARAMETERS = (
    *("limit", "cursor", "status", "gtin", "dry_run", "purge", "wait", "serials", "format", "size"),
    *("link_base", "callback_url", "version", "xdim_mm", "dpi", "strict", "charset", "pages"),
    *("first", "state", "q", "next", "done", "count", "tenant", "key", "lot", "created_after", "a"),
)
_HEADERS = {
    "Accept": ("*/*", "text/html", "application/json;q=0", "image/png", "a", "application/xml"),
    "Content-Type": ("application/json", "text/csv", _FORM, "text/plain; charset=x", "a/b", ""),
    "Content-Encoding": ("gzip", "identity", "br", "gzip, gzip", ""),
    "Idempotency-Key": ("order 1", "order 2", "x" * 300, "\x7f", ""),
    "Prefer": ("wait=0", "wait=-1", "wait=x", "respond-async", ";;="),
    "If-None-Match": ("*", '"a"', 'W/"b", "c"', "x"),
    "Range": ("bytes=0-3", "bytes=9-1", "x"),
    "Origin": ("https://example.com", "null", "x"),
    "Sec-Fetch-Site": ("same-origin", "cross-site", "x"),
    "Cookie": ("qrmill_session=a; qrmill_visit=b", "a", "=;=", "qrmill_visit=" + "v" * 500),
    "Expect": ("100-continue", "100-continue", "100-continue"),
    "X-Request-ID": ("a", "\x01", "x" * 500, "é"),
    "X-Forwarded-For": ("10.0.0.9", "::1, x", "unknown"),
    "X-Forwarded-Proto": ("https", "http", "x"),
    "X-Forwarded-Prefix": ("/a", "//", "\t"),
    "SCRIPT_NAME": ("/qr", "/ops"),
    "X-HTTP-Method-Override": ("DELETE", "PUT"),
    "X-Refresh": ("1", "x"),
}


class Route(NamedTuple):
    """A path with its parameters in braces, and the methods that it has."""

    path: str
    methods: Sequence[str]


class Ids(NamedTuple):
    """Ids to put into paths: those that requests may change, and those that they may only read."""

    changed: Sequence[str]
    read: Sequence[str]


class Drawn(NamedTuple):
    """A request's bytes, without the header fields of its caller.

    Attributes:
        intact: it has neither damaged bytes nor the length of another body.
    """

    method: str
    data: bytes
    intact: bool


class Draw:
    """Draws one request.

    Args:
        seed: of this request.
        tasks, api_keys: ids to put into the path.
        own_lot: lot of the items of a valid request.
        form_token: token of a form that the caller may send.
    """

    def __init__(
        self, seed: int, tasks: Ids, api_keys: Ids, *, own_lot: str, form_token: str
    ) -> None:
        self._chosen = random.Random(f"request {seed}")
        self._seed, self._lot, self._token = seed, own_lot, form_token
        self._tasks, self._api_keys = tasks, api_keys

    def request(self, routes: Sequence[Route], credentials: Sequence[str]) -> Drawn:
        """Return a request to one of the routes, with these header lines."""
        chosen = self._chosen
        route = chosen.choice(routes)
        known = chosen.random() < 0.8
        method = chosen.choice(route.methods if known else _METHODS)
        media_type, body = self._body() if method not in SAFE or self._rarely() else ("", b"")
        headers = [*credentials, "Host: localhost", "Connection: close"]
        headers += [f"Content-Type: {media_type}"] if media_type else []
        encoded = bool(body) and self._rarely()
        headers += ["Content-Encoding: gzip"] if encoded else []
        body = gzip.compress(body, 1) if encoded else body
        framing, sent = self._framing(body)
        headers += framing
        headers += [self._header() for _ in range(chosen.choice((0, 0, 1, 2, 5)))]
        chosen.shuffle(headers)
        line = f"{method} {self._path(route.path, method)}{self._query()} HTTP/1.1"
        head = "\r\n".join([line, *headers, "", ""]).encode("utf-8", "replace")
        if chosen.random() < 0.15:
            return Drawn(method, self._damaged(head + sent), intact=False)
        return Drawn(method, head + sent, intact=framing != [_WRONG_LENGTH])

    def _rarely(self) -> bool:
        return self._chosen.random() < 0.1

    def _path(self, path: str, method: str) -> str:
        for name, ids in (("{task_id}", self._tasks), ("{key_id}", self._api_keys)):
            path = path.replace(name, self._id(ids, method))
        path = path.replace("{number:int}", self._chosen.choice(("0", "1", "999", "-1", "x")))
        odd = self._chosen.choice(("ops.css", "qrmill.js", "queues/render", *_ODD))
        path = path.replace("{name}", odd).replace("{rest:path}", odd)
        end = self._chosen.choice(("", "/", "/", "/", "//", "/..", "/%2e", ";a", "%20", "/" + odd))
        # Characters that end a request line would damage each such request in the same way.
        return quote(path + (end if self._rarely() else "/"), safe="/%;{}[]'\"<>\\*,")

    def _id(self, ids: Ids, method: str) -> str:
        if self._rarely():
            return self._chosen.choice((str(uuid.UUID(int=self._seed)), "self", "import", *_ODD))
        found = self._chosen.choice([*ids.changed, *(ids.read if method in SAFE else ())])
        return found.upper() if self._chosen.random() < 0.03 else found

    def _query(self) -> str:
        chosen = self._chosen
        if chosen.random() < 0.5:
            return ""
        pairs = [
            (chosen.choice(_PARAMETERS), chosen.choice((*_ODD, "pending", "5", GTIN, "random:3:6")))
            for _ in range(chosen.randrange(1, 4))
        ]
        if chosen.random() < 0.7:
            return f"?{urlencode(pairs)}"
        raw = "&".join(f"{name}={value}" for name, value in pairs)
        return "?" + quote(raw, safe="%&=+*,[]{}'\"<>\\")

    def _header(self) -> str:
        name = self._chosen.choice([*_HEADERS])
        return f"{name}: {self._chosen.choice((*_HEADERS[name], self._chosen.choice(_ODD)))}"

    def _body(self) -> tuple[str, bytes]:
        kind = self._chosen.random()
        if kind < 0.4:
            sent = hostile(self._seed)
            return sent.media_type, sent.body
        if kind < 0.7:
            fields = [("form_token", self._token), ("key", "x"), ("task_id", "x"), ("id", "1")]
            return _FORM, urlencode(self._chosen.sample(fields, 3)).encode()
        return "application/json", json.dumps(self._valid()).encode()

    def _valid(self) -> dict[str, object]:
        chosen, item = self._chosen, {"lot": self._lot, "serial": str(self._seed)}
        bodies: list[dict[str, object]] = [
            {"gtin": GTIN, "items": [item], "format": chosen.choice(("svg", "png"))},
            {"gtin": GTIN, **item, "format": "svg"},
            {"name": f"drawn {self._seed}", "role": chosen.choice(("client", "operator"))},
            {"days": chosen.choice((0, 7))},
        ]
        return chosen.choice(bodies)

    def _framing(self, body: bytes) -> tuple[list[str], bytes]:
        """Return header lines that say how long the body is, and what is sent of it."""
        kind = self._chosen.random()
        if kind < 0.08:
            whole = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return ["Transfer-Encoding: chunked"], whole + b"0\r\n\r\n"
        if kind < 0.12:
            return [_WRONG_LENGTH], body
        if kind < 0.2:
            return [f"Content-Length: {self._chosen.choice((10**5, 10**12))}"], body
        return ([f"Content-Length: {len(body)}"] if body or self._rarely() else []), body

    def _damaged(self, data: bytes) -> bytes:
        chosen, damaged = self._chosen, bytearray(data)
        for _ in range(chosen.randrange(1, 5)):
            at = chosen.randrange(len(damaged) + 1)
            rest = chosen.choice((0, 1, 1, 2, 40))
            new = (b"", b"\0", b"\r\n", b"\n", b"\r", b" ", b":", b"\xff", chosen.randbytes(3))
            damaged[at : at + rest] = chosen.choice((*new, data[:at]))
        return bytes(damaged)
