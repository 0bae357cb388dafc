"""A visitor of console or portal: keeps cookies and sends the forms of pages, as a browser does."""

import html
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import falcon
from falcon.testing import Result, TestClient

_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
_HIDDEN = re.compile(r'name="(checked|submission)" value="([^"]+)"')
_FORM = "application/x-www-form-urlencoded"
_BOUNDARY = "----qrmillTestBoundary"


class Visitor:
    """Sends requests with the cookies that it was given.

    Attributes:
        cookies: by name; a test may change them.
    """

    def __init__(
        self,
        app: falcon.App[falcon.Request, falcon.Response],
        prefix: str = "",
        area: str = "/ops",
    ) -> None:
        self._client = TestClient(app)
        self._prefix = prefix
        self._area = area
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **options: object) -> Result:
        return self._sent("GET", path, **options)

    def post(self, path: str, fields: list[tuple[str, str]], **options: object) -> Result:
        headers = {"Content-Type": _FORM, **options.pop("headers", {})}  # type: ignore[dict-item]
        return self._sent("POST", path, body=urlencode(fields), headers=headers, **options)

    def token(self, page: str | None = None, **options: object) -> str:
        page = page or f"{self._area}/new"
        found = _TOKEN.search(self.get(page, **options).text)
        assert found, page
        return html.unescape(found[1])

    def change(self, path: str, *fields: tuple[str, str], **options: object) -> Result:
        """Send a form with a token of its own."""
        return self.post(path, [("form_token", self.token()), *fields], **options)

    def sign_in(self, key: str, **options: object) -> Result:
        path = f"{self._area}/sign-in"
        token = self.token(path)
        return self.post(path, [("form_token", token), ("key", key)], **options)

    def upload(
        self,
        rows: str | bytes = "",
        fields: Mapping[str, str] = {},
        *,
        file: bytes | None = None,
        file_name: str = "labels.csv",
        headers: Mapping[str, str] = {},
    ) -> Result:
        """Send the form of a new job; ``fields`` replace those of the form."""
        sent = {"form_token": self.token(), "gtin": "9506000134352", "format": "pdf", **fields}
        parts = [(f'name="{name}"', value.encode()) for name, value in sent.items()]
        parts.append(('name="rows"', rows.encode() if isinstance(rows, str) else rows))
        name = "" if file is None else file_name
        parts.append((f'name="file"; filename="{name}"', file or b""))
        body = b"".join(
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
            + content
            + b"\r\n"
            for head, content in parts
        )
        body += f"--{_BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        return self._sent("POST", f"{self._area}/new", body=body, headers={**kind, **headers})

    def create(self, rows: str, fields: Mapping[str, str] = {}) -> Result:
        """Check rows, and send the form of the result to create the job."""
        hidden = checked_fields(self.upload(rows, fields))
        return self.upload(rows, {**fields, **hidden, "step": "create"})

    def _sent(self, method: str, path: str, **options: object) -> Result:
        answer: Result = self._client.simulate_request(
            method,
            self._prefix + path,
            cookies=self.cookies,
            **options,
        )
        for name, cookie in answer.cookies.items():
            self.cookies[name] = cookie.value
        return answer


def checked_fields(page: Result) -> dict[str, str]:
    """Return the hidden fields with which a page offers to create a job."""
    return {name: html.unescape(value) for name, value in _HIDDEN.findall(page.text)}
