"""Large request bodies: limits on those that arrive at once and on those that are checked at once.

A body that arrives slowly holds one of its tenant's places and none that another tenant needs. A
place to decode and check a body is taken when all of it has arrived.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import falcon

from api.http.places import Places
from api.http.problems import ProblemError

#: Size in bytes up to which a body counts as small, and seconds that a request with a large body
#: waits for a place.
_SMALL, _PATIENCE = 64 * 1024, 5
#: Number of large requests per tenant and process, from the first byte of the body to the response.
#: They bound the memory that a tenant's bodies take.
_ARRIVING = 16
#: Number of large bodies that a process decodes and checks at once, of all tenants and of one.
_CHECKED, _CHECKED_EACH = 16, 4


class LargeBodies:
    """The places of one process for large request bodies. A small body needs none.

    A compressed body counts as large, because its decompressed size is not known in advance.
    """

    def __init__(self) -> None:
        self._arriving = Places(None, _ARRIVING)
        self._checked = Places(_CHECKED, _CHECKED_EACH)

    @contextmanager
    def arriving(self, req: falcon.Request) -> Iterator[None]:
        """Hold one of the tenant's places for a request, before its body is read.

        Raises:
            ProblemError: 429 if the tenant has too many large requests at once.
        """
        if _is_small(req):
            yield
            return
        with self._arriving.hold(req.context.key.tenant, _PATIENCE) as found:
            if not found:
                raise _busy(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"This tenant already sends {_ARRIVING} large requests at once",
                )
            yield

    @contextmanager
    def checked(self, req: falcon.Request) -> Iterator[None]:
        """Hold a place to decode and check a body that has arrived.

        Raises:
            ProblemError: 503 if no place became free in time.
        """
        if _is_small(req):
            yield
            return
        with self._checked.hold(req.context.key.tenant, _PATIENCE) as found:
            if not found:
                raise _busy(
                    HTTPStatus.SERVICE_UNAVAILABLE, "Too many large requests are checked at once"
                )
            yield


def _is_small(req: falcon.Request) -> bool:
    length = req.content_length
    compressed = req.get_header("Content-Encoding") is not None
    return length is not None and length <= _SMALL and not compressed


def _busy(status: HTTPStatus, reason: str) -> ProblemError:
    return ProblemError(
        status,
        "busy",
        f"{reason}; nothing was accepted. Send the request again in {_PATIENCE} s.",
        headers={"Retry-After": str(_PATIENCE)},
    )
