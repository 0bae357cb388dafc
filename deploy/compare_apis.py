"""``python -m deploy.compare_apis ORIGINAL_URL NEW_URL``: show where two APIs respond differently.

The module replays examples of the base part of the HTTP contract against both APIs. It compares
statuses, headers, and the shapes of JSON bodies: the names and types of their members. It creates
a few small tasks in each API.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpx2

_GTIN = "9506000134352"
#: Headers whose values are compared, and headers of which only the presence is.
_VALUES = ("content-type", "cache-control", "allow", "ratelimit-policy")
_PRESENCE = (
    *("location", "retry-after", "etag", "www-authenticate", "ratelimit-limit"),
    *("ratelimit-remaining", "ratelimit-reset"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
)
#: Members whose values are compared too, because programs decide by them.
_DECISIVE = ("status", "code")
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
#: Seconds to wait for the end of a task, and between two polls.
_PATIENCE, _PAUSE = 120.0, 1.0


class Example(NamedTuple):
    """One request; ``body`` is sent as JSON unless there is ``content``."""

    name: str
    method: str = "POST"
    path: str = "/qr/bulk/"
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = {}


class Exchange(NamedTuple):
    """What is compared of a response: its status, some headers, and the shape of its JSON."""

    status: int
    headers: Mapping[str, str]
    shape: Mapping[str, str]


class Comparison(NamedTuple):
    """How the new API's response differs from the original's.

    Attributes:
        differences: what a client of the original API may notice.
        additions: members and headers that only the new API has.
    """

    differences: list[str]
    additions: list[str]


def _bulk(name: str, **fields: object) -> Example:
    request = {"gtin": _GTIN, "items": [{"lot": "LOT-7", "serial": "A0001", "expiry": "271231"}]}
    return Example(name, body=request | fields)


_TASK = Example("task of the first request", "GET")
_SYMBOL = Example("single PNG", path="/qr/", body={"gtin": _GTIN, "serial": "A0001"})
_JSON = {"Content-Type": "application/json"}
EXAMPLES = (
    _bulk("PNG"),
    _TASK,
    _bulk("SVG", format="svg"),
    _bulk("defaults written out", format="png", size=400),
    _bulk("items without values", items=[{}, {}]),
    _bulk("GTIN with separators", gtin="950-6000 134352"),
    _bulk("GTIN-8", gtin="96385074"),
    _bulk("GTIN-12", gtin="614141000036"),
    _bulk("GTIN-14", gtin="09506000134352"),
    _bulk("expiry with day 00", items=[{"expiry": "270200"}]),
    _bulk("lot with a slash", items=[{"lot": "L/1"}]),
    _bulk("lot with a character outside set 82", items=[{"lot": "L#1"}]),
    _bulk("wrong check digit", gtin="9506000134353"),
    _bulk("GTIN of zeros", gtin="0000000000000"),
    _bulk("no items", items=[]),
    _bulk("lot of 21 characters", items=[{"lot": "x" * 21}]),
    _bulk("blank in a serial", items=[{"serial": "1"}, {"serial": "a b"}]),
    _bulk("number as a serial", items=[{"serial": 1}]),
    _bulk("expiry that is no date", items=[{"expiry": "271301"}]),
    _bulk("unknown field", colour="red"),
    _bulk("unknown field of an item", items=[{"colour": "red"}]),
    _bulk("unknown format", format="gif"),
    _bulk("size below the limit", size=49),
    _bulk("size above the limit", size=2001),
    Example("no fields", body={}),
    Example("array as the body", body=[]),
    Example("no JSON", content=b"{", headers=_JSON),
    Example("text as the body", content=b"{}", headers={"Content-Type": "text/plain"}),
    Example("unknown key", headers={"X-API-Key": "unknown"}, body={}),
    Example("empty key", headers={"X-API-Key": ""}, body={}),
    Example("unknown task", "GET", f"/qr/bulk/{uuid.UUID(int=0, version=4)}/"),
    Example("malformed task id", "GET", "/qr/bulk/17/"),
    Example("unknown path", "GET", "/qr/nothing/"),
    Example("method that is not allowed", "PUT"),
    Example("HTML only", path="/qr/", body={"gtin": _GTIN}, headers={"Accept": "text/html"}),
    _SYMBOL,
    _SYMBOL._replace(name="single PNG, unchanged"),
    Example("single SVG", path="/qr/", body={"gtin": _GTIN, "format": "svg", "size": 50}),
    Example("single symbol, invalid", path="/qr/", body={"gtin": "1", "lot": "a b"}),
)


def replay(http: httpx2.Client) -> Iterator[tuple[str, Exchange]]:
    """Send every example and yield its name with the response.

    Args:
        http: client whose base URL is the API's with its prefix, and that sends an API key.

    Raises:
        httpx2.HTTPError: the API does not respond.
        TimeoutError: a task has not ended in time.
    """
    poll_url, etag = "", ""
    for example in EXAMPLES:
        if example == _TASK:
            # Without a task, the path of the list gives a response to compare.
            response = _await_task(http, poll_url or "/qr/bulk/")
        else:
            own = {"If-None-Match": etag} if example.name.endswith("unchanged") else {}
            response = http.request(
                example.method,
                example.path,
                json=example.body,
                content=example.content,
                headers={**example.headers, **own},
            )
        if response.status_code == httpx2.codes.ACCEPTED and not poll_url:
            poll_url = urljoin(str(http.base_url), response.json()["poll_url"])
        etag = response.headers.get("ETag", "")
        yield example.name, summarize(response)


def _await_task(http: httpx2.Client, poll_url: str) -> httpx2.Response:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        response = http.get(poll_url)
        if not response.is_success or response.json().get("status") not in {"pending", "running"}:
            return response
        time.sleep(_PAUSE)
    raise TimeoutError(f"the task at {poll_url} has not ended within {_PATIENCE:.0f} s")


def summarize(response: httpx2.Response) -> Exchange:
    """Return what is compared of a response."""
    headers = {name: response.headers[name] for name in _VALUES if name in response.headers}
    headers |= {name: "present" for name in _PRESENCE if name in response.headers}
    if "json" not in headers.get("content-type", "") or not response.content:
        return Exchange(response.status_code, headers, {})
    try:
        return Exchange(response.status_code, headers, dict(shape(response.json())))
    except ValueError:
        return Exchange(response.status_code, headers, {"": "not JSON"})


def shape(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the type of each value in JSON; of an array, its last item counts."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from shape(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, "array"
        for item in value:
            yield from shape(item, f"{path}[]")
    elif path.rpartition(".")[2] in _DECISIVE:
        yield path, json.dumps(value)
    else:
        yield path, _TYPES[type(value)]


def compare(original: Exchange, new: Exchange) -> Comparison:
    """Compare the responses of both APIs to the same request."""
    found = Comparison([], [])
    if original.status != new.status:
        found.differences.append(f"status: {original.status}, new {new.status}")
    for what in ("headers", "shape"):
        ours, theirs = getattr(new, what), getattr(original, what)
        for name in sorted({*ours, *theirs}):
            before, now = theirs.get(name), ours.get(name)
            label = f"header {name}" if what == "headers" else f"member {name or '(whole body)'}"
            if before is None:
                found.additions.append(f"{label}: {now}")
            elif before != now:
                found.differences.append(f"{label}: {before}, new {now or 'absent'}")
    return found


def report(original: httpx2.Client, new: httpx2.Client, *, show_additions: bool) -> bool:
    """Replay the examples against both APIs and print the result; return whether they agree."""
    differing = 0
    for (name, theirs), (_, ours) in zip(replay(original), replay(new), strict=True):
        found = compare(theirs, ours)
        differing += bool(found.differences)
        lines = [f"{'DIFFERS' if found.differences else 'same':8}{theirs.status}  {name}"]
        lines += [f"          {each}" for each in found.differences]
        if show_additions:
            lines += [f"        + {each}" for each in found.additions]
        sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.write(f"{differing} of {len(EXAMPLES)} examples differ\n")
    return not differing


def main() -> None:
    """Compare two APIs; exit with status 1 if they differ, and 2 if one does not respond."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.compare_apis",
        description="Replay the examples of the base contract against two APIs. Their API keys are "
        "in the environment: ORIGINAL_API_KEY and NEW_API_KEY.",
    )
    parser.add_argument("original_url", help="URL of the original API, with its path prefix")
    parser.add_argument("new_url", help="URL of the new API, with its path prefix")
    parser.add_argument("--additions", action="store_true", help="show what only the new API has")
    arguments = parser.parse_args()
    keys = [os.environ.get(name) for name in ("ORIGINAL_API_KEY", "NEW_API_KEY")]
    if not all(keys):
        parser.error("set ORIGINAL_API_KEY and NEW_API_KEY to the API keys")
    original, new = (
        httpx2.Client(base_url=url, headers={"X-API-Key": str(key)}, timeout=60)
        for url, key in zip((arguments.original_url, arguments.new_url), keys, strict=True)
    )
    try:
        with original, new:
            agree = report(original, new, show_additions=arguments.additions)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        parser.exit(2, f"An API does not respond: {error}\n")
    sys.exit(not agree)


if __name__ == "__main__":
    main()
