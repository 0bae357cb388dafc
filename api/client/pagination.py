"""Lists in the client: pages are requested one at a time, when their first row is needed."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypedDict, TypeVar

from .transport import Api, decode
from .wire_types import ChunkList, State, TaskList

#: Maximum number of rows per page that the API permits.
TASKS_PER_PAGE, CHUNKS_PER_PAGE = 200, 1000

Page = TypeVar("Page", TaskList, ChunkList)
Row = TypeVar("Row")


class Filters(TypedDict, total=False):
    """Filters of a list of tasks; every filter is optional.

    Attributes:
        status: only tasks in this state.
        gtin: only tasks of this GTIN.
        created_since: only tasks accepted at or after this time, which has a time zone.
        created_before: only tasks accepted before this time, which has a time zone.
        key: for operators, only tasks of API keys of this name.
        tenant: for operators, only tasks of this tenant: its id, the id of any of its API keys, or
            its name.
    """

    status: State
    gtin: str
    created_since: datetime
    created_before: datetime
    key: str
    tenant: str


def encode_filters(filters: Filters) -> dict[str, str]:
    """Return ``filters`` as query parameters."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in filters.items()
    }


def iterate_rows(
    api: Api,
    path: str,
    query: dict[str, str],
    kind: type[Page],
    rows_of: Callable[[Page], Iterable[Row]],
) -> Iterator[Row]:
    """Yield the rows of every page; request a page when its first row is needed.

    Args:
        api: sends the requests.
        path: path of the list.
        query: query parameters of every request.
        kind: type of a page.
        rows_of: returns the rows of a page.

    Raises:
        ApiError: the request for a page was rejected.
        UnreachableError: the API did not respond.
    """
    cursor: str | None = ""
    while cursor is not None:
        position = {"cursor": cursor} if cursor else {}
        page = decode(api.send("GET", path, params=query | position), kind)
        yield from rows_of(page)
        cursor = page.next_cursor
