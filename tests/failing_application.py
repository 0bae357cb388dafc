"""A WSGI application that fails in ways that only gunicorn sees; run by test_raw_requests.py."""

from collections.abc import Callable, Iterable


def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Fail, before any byte of the response is sent."""
    if environ["PATH_INFO"] == "/raises":
        raise RuntimeError("words that no client may read")
    if environ["PATH_INFO"] == "/header":
        start_response("200 OK", [("X-Header", "words that\nno client may read")])
    start_response("200 OK", [("Content-Length", "0")])
    return []
