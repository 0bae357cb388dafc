"""A visitor of the console: keeps cookies and sends the forms of its pages, as a browser does."""

import html
import re
from urllib.parse import urlencode

import falcon
from falcon.testing import Result, TestClient

_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
_FORM = "application/x-www-form-urlencoded"


class Visitor:
    """Sends requests with the cookies that it was given.

    Attributes:
        cookies: by name; a test may change them.
    """

    def __init__(self, app: falcon.App[falcon.Request, falcon.Response], prefix: str = "") -> None:
        self._client = TestClient(app)
        self._prefix = prefix
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **options: object) -> Result:
        return self._sent("GET", path, **options)

    def post(self, path: str, fields: list[tuple[str, str]], **options: object) -> Result:
        headers = {"Content-Type": _FORM, **options.pop("headers", {})}  # type: ignore[dict-item]
        return self._sent("POST", path, body=urlencode(fields), headers=headers, **options)

    def token(self, page: str = "/ops/jobs", **options: object) -> str:
        found = _TOKEN.search(self.get(page, **options).text)
        assert found, page
        return html.unescape(found[1])

    def change(self, path: str, *fields: tuple[str, str], **options: object) -> Result:
        """Send a form with a token of its own."""
        return self.post(path, [("form_token", self.token()), *fields], **options)

    def sign_in(self, key: str, **options: object) -> Result:
        token = self.token("/ops/sign-in")
        return self.post("/ops/sign-in", [("form_token", token), ("key", key)], **options)

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
