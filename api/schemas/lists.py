"""What goes over the wire in lists: their query parameters and their rows."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.schemas.states import ChunkState, State
from render.image import ImageFormat

_CURSOR = "Where to go on: next_cursor of the page before; left out for the first page"
_MORE = "Send it as cursor for the next page; null on the last one"

Moment = Annotated[
    str | UnsetType,
    Meta(
        description="ISO 8601 with offset",
        examples=["2026-11-23T08:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


class TasksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks are listed.

    What is left out is unset and not null, which the word "null" in a query would be.
    """

    status: Annotated[State | UnsetType, Meta(description="Only tasks in this state")] = UNSET
    gtin: Annotated[str | UnsetType, Meta(description="Only tasks of this GTIN")] = UNSET
    created_since: Moment = UNSET
    created_before: Moment = UNSET
    key: Annotated[
        str | UnsetType, Meta(description="Operators: only tasks of the API keys of this name")
    ] = UNSET
    limit: Annotated[int, Meta(ge=1, le=200, description="Most rows of a page")] = 50
    cursor: Annotated[str | UnsetType, Meta(description=_CURSOR)] = UNSET


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a list."""

    task_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    status: State
    gtin: Annotated[str, Meta(description="GTIN-14")]
    format: ImageFormat
    size: Annotated[int, Meta(description="Side of a PNG in pixels")]
    processed_items: Annotated[int, Meta(description="Items rendered so far")]
    total_items: int
    error: Annotated[str | None, Meta(description="Why it failed; null unless failed")]
    error_code: Annotated[str | None, Meta(description="The same, for programs")]
    created_at: Annotated[str, Meta(description="ISO 8601")]
    finished_at: Annotated[str | None, Meta(description="ISO 8601; null in flight")]
    key: Annotated[str, Meta(description="Name of the API key that sent it")]
    poll_url: Annotated[str, Meta(description="Where to ask how far it is")]


class TaskList(msgspec.Struct, frozen=True):
    """Tasks, the newest first. A page before the last one may be short, even empty."""

    tasks: list[TaskSummary]
    next_cursor: Annotated[str | None, Meta(description=_MORE)]


class ChunksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chunks are listed."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="Most rows of a page")] = 200
    cursor: Annotated[int, Meta(ge=0, le=1_000_000, description=_CURSOR)] = 0


class ChunkResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How far a chunk is."""

    index: Annotated[int, Meta(ge=0, description="Of the chunk, counted from 0")]
    first_item: Annotated[int, Meta(ge=1, description="Counted from 1, as in the manifest")]
    last_item: Annotated[int, Meta(ge=1, description="Counted from 1, as in the manifest")]
    state: Annotated[ChunkState, Meta(description="pending: not begun, or put back")]
    attempts: Annotated[int, Meta(ge=0, description="Times it was begun")]
    error: Annotated[str | None, Meta(description="What its last failed attempt ended with")]
    error_code: Annotated[str | None, Meta(description="The same, for programs")]


class ChunkList(msgspec.Struct, frozen=True):
    """A task's chunks, in their order."""

    chunks: list[ChunkResponse]
    next_cursor: Annotated[str | None, Meta(description=_MORE)]
