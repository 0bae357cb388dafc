"""``/openapi.json`` and ``/docs``: the OpenAPI document, and Swagger UI to read it.

The files of Swagger UI come with the package ``offapi``, so that the page works without access to
the internet.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import falcon
import msgspec

from api.http.negotiation import JSON

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>qrmill API</title>
<link rel="stylesheet" href="{prefix}/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{prefix}/docs/swagger-ui-bundle.js"></script>
<script src="{prefix}/docs/start.js"></script>
</body>
</html>
"""
_START = "SwaggerUIBundle({{url: '{prefix}/openapi.json', dom_id: '#swagger-ui'}});\n"
#: File name in the URL -> file name in the package ``offapi``, and media type.
_FILES = {
    "swagger-ui-bundle.js": ("swagger_bundle.js", "text/javascript"),
    "swagger-ui.css": ("swagger_style.css", "text/css"),
}
#: Content-Security-Policy of the page. Swagger UI sets inline styles from its script, and its style
#: sheet has images as data URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class OpenApiDocument:
    """``GET /openapi.json``."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._encoded = msgspec.json.encode(document)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with the document."""
        resp.content_type = JSON
        resp.data = self._encoded

    on_head = on_get


class DocsPage:
    """``GET /docs``."""

    def __init__(self, prefix: str) -> None:
        self._page = _PAGE.format(prefix=prefix).encode()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with the page."""
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Security-Policy", _POLICY)
        resp.data = self._page

    on_head = on_get


class DocsFile:
    """``GET /docs/{name}``: the scripts and the style sheet of the page."""

    def __init__(self, prefix: str) -> None:
        self._start = _START.format(prefix=prefix).encode()
        spec = find_spec("offapi")  # not imported, because that reads all its files into memory
        if spec is None or spec.origin is None:
            raise RuntimeError("offapi is not installed; install qrmill's dependencies")
        self._folder = Path(spec.origin).parent
        self._contents: dict[str, bytes] = {}

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Respond with a file of the page.

        Raises:
            falcon.HTTPNotFound: the page has no file ``name``.
        """
        if name == "start.js":
            resp.content_type = "text/javascript"
            resp.data = self._start
            return
        if name not in _FILES:
            raise falcon.HTTPNotFound
        own_name, resp.content_type = _FILES[name]
        resp.set_header("Cache-Control", "public, max-age=86400")
        resp.data = self._read(own_name)

    on_head = on_get

    def _read(self, name: str) -> bytes:
        # Kept in memory: a client that reads slowly must not hold a copy of its own.
        if name not in self._contents:
            self._contents[name] = (self._folder / name).read_bytes()
        return self._contents[name]
