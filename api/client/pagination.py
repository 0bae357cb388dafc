"""Lists of the client: rows of as many pages as are looked at, one request a page."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Literal, TypedDict, TypeVar

from api.client.transport import Api, decode
from api.schemas.lists import ChunkList, TaskList

#: Most rows of a page that the API gives.
TASKS_A_PAGE, CHUNKS_A_PAGE = 200, 1000

Page = TypeVar("Page", TaskList, ChunkList)
Row = TypeVar("Row")


class Filters(TypedDict, total=False):
    """Which tasks are listed; all without.

    Attributes:
        status: only tasks in this state.
        gtin: only tasks of this GTIN.
        created_since: only tasks that were accepted then or later; with a time zone.
        created_before: only tasks that were accepted earlier; with a time zone.
        key: for operators, only tasks of the API keys of this name.
    """

    status: Literal["pending", "running", "completed", "failed"]
    gtin: str
    created_since: datetime
    created_before: datetime
    key: str


def parameters(filters: Filters) -> dict[str, str]:
    """Return the query that says what ``filters`` do."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in filters.items()
    }


def rows(
    api: Api,
    path: str,
    query: dict[str, str],
    kind: type[Page],
    of: Callable[[Page], Iterable[Row]],
) -> Iterator[Row]:
    """Yield the rows of every page, each page when its first row is asked for.

    Args:
        api: answers with pages.
        path: of the list.
        query: of each request.
        kind: of a page.
        of: returns a page's rows.

    Raises:
        ApiError, UnreachableError: a page was refused, or cannot be asked for.
    """
    cursor: str | None = ""
    while cursor is not None:
        here = {"cursor": cursor} if cursor else {}
        page = decode(api.send("GET", path, params=query | here), kind)
        yield from of(page)
        cursor = page.next_cursor
