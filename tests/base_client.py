"""A client written from the base part of the HTTP contract alone.

It knows the header X-API-Key, the paths, the fields of the original API and its error envelope, and
nothing of what this service adds.
"""

from typing import Any, Self

import httpx2


class ServiceError(Exception):
    """An error response.

    Attributes:
        status: HTTP status of the response.
        code: ``error.code`` of the body.
        message: ``error.message``.
        details: ``error.details`` as pairs of field and message, or None.
        response: the response itself.
    """

    def __init__(self, response: httpx2.Response) -> None:
        error = response.json()["error"]
        self.response = response
        self.status: int = response.status_code
        self.code: str = error["code"]
        self.message: str = error["message"]
        rows = error["details"]
        self.details = rows and [(row["field"], row["message"]) for row in rows]
        super().__init__(f"{self.status} {self.code}: {self.message}")
        if error["status"] != self.status:
            raise ValueError(f"the envelope of a {self.status} has the status {error['status']}")


class BaseClient:
    """The API at ``url``, used with one key; None for no key."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {} if key is None else {"X-API-Key": key}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - any JSON
        """Send a request and return the JSON of its response.

        Raises:
            ServiceError: the status is 400 or more.
        """
        response = self._http.request(method, path, **options)
        if response.status_code >= 400:
            raise ServiceError(response)
        return response.json()

    def submit(self, gtin: str, items: list[dict[str, str]], **fields: object) -> dict[str, Any]:
        """Submit items and return the 202's body."""
        body = {"gtin": gtin, "items": items, **fields}
        accepted: dict[str, Any] = self.request("POST", "/qr/bulk/", json=body)
        return accepted

    def poll(self, poll_url: str) -> dict[str, Any]:
        """Return the status of a task."""
        status: dict[str, Any] = self.request("GET", poll_url)
        return status
