"""Lists: query parameters, rows and pages."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.schemas.states import ChunkState, State
from api.schemas.tasks import (
    CREATED_AT,
    ERROR_CODE_EXAMPLE,
    ERROR_EXAMPLE,
    FINISHED_AT,
    GTIN_EXAMPLE,
    TASK_ID_EXAMPLE,
    PollUrl,
    ProcessedItems,
    Status,
    TaskId,
    TotalItems,
)
from render.image import ImageFormat

CURSOR_EXAMPLE = "MTc5NTQyMDgwMDEyMC43ZDJhNGYwZS02YzFiLTRhMzktOWQwZS0yZjVjOGIxYTdlNjM="
_CURSOR = "The `next_cursor` of the previous page; leave it out for the first page."
_NEXT = "Cursor to send as `cursor` for the next page; null on the last page."
_LIMIT = "Maximum number of rows in the page."


def _time_filter(description: str) -> Meta:
    return Meta(
        description=f"{description} ISO 8601 with an offset from UTC.",
        examples=["2026-11-23T08:00:00Z"],
        extra_json_schema={"format": "date-time"},
    )


class TasksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters and page of a list of tasks.

    A parameter that is left out is UNSET and not None, because None would also accept the text
    "null".
    """

    status: Annotated[
        State | UnsetType,
        Meta(description="Only tasks with this status.", examples=["completed"]),
    ] = UNSET
    gtin: Annotated[
        str | UnsetType, Meta(description="Only tasks of this GTIN.", examples=[GTIN_EXAMPLE])
    ] = UNSET
    created_since: Annotated[
        str | UnsetType, _time_filter("Only tasks that were created at this time or later.")
    ] = UNSET
    created_before: Annotated[
        str | UnsetType, _time_filter("Only tasks that were created before this time.")
    ] = UNSET
    key: Annotated[
        str | UnsetType,
        Meta(
            description="Only tasks of the API keys with this name. For operators only.",
            examples=["print shop"],
        ),
    ] = UNSET
    tenant: Annotated[
        str | UnsetType,
        Meta(
            description="Only tasks of this tenant: its id, the id of any of its API keys, or its "
            "name. For operators only.",
            examples=["4f9k2m7q1x8z"],
        ),
    ] = UNSET
    limit: Annotated[int, Meta(ge=1, le=200, description=_LIMIT, examples=[50])] = 50
    cursor: Annotated[str | UnsetType, Meta(description=_CURSOR, examples=[CURSOR_EXAMPLE])] = UNSET


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Task in a list."""

    task_id: TaskId
    status: Status
    gtin: Annotated[
        str,
        Meta(
            description="GTIN of all items, padded to 14 digits (GTIN-14).",
            examples=[f"0{GTIN_EXAMPLE}"],
        ),
    ]
    format: Annotated[ImageFormat, Meta(description="File format of the images.", examples=["png"])]
    size: Annotated[
        int,
        Meta(
            description="Side of a PNG in pixels; ignored for the other formats, and with "
            "`xdim_mm`.",
            examples=[400],
        ),
    ]
    processed_items: ProcessedItems
    total_items: TotalItems
    error: Annotated[
        str | None,
        Meta(description="Why the task failed; null unless failed.", examples=[ERROR_EXAMPLE]),
    ]
    error_code: Annotated[
        str | None,
        Meta(
            description="Stable name of `error`, for programs; null unless failed.",
            examples=[ERROR_CODE_EXAMPLE],
        ),
    ]
    created_at: Annotated[str, CREATED_AT]
    finished_at: Annotated[str | None, FINISHED_AT]
    key: Annotated[
        str,
        Meta(description="Name of the API key that submitted the task.", examples=["print shop"]),
    ]
    poll_url: PollUrl
    tenant: Annotated[
        str,
        Meta(description="Id of the tenant that the task belongs to.", examples=["4f9k2m7q1x8z"]),
    ] = ""
    sent_by: Annotated[
        str,
        Meta(description="Id of the API key that submitted the task.", examples=["4f9k2m7q1x8z"]),
    ] = ""


class TaskList(msgspec.Struct, frozen=True):
    """Page of tasks, newest first.

    A page that is not the last one may have fewer rows than `limit`, or none.
    """

    tasks: Annotated[
        list[TaskSummary],
        Meta(
            description="The tasks of this page, newest first.",
            examples=[
                [
                    {
                        "task_id": TASK_ID_EXAMPLE,
                        "status": "completed",
                        "gtin": f"0{GTIN_EXAMPLE}",
                        "format": "png",
                        "size": 400,
                        "processed_items": 1000,
                        "total_items": 1000,
                        "error": None,
                        "error_code": None,
                        "created_at": "2026-11-23T08:00:00.120000+00:00",
                        "finished_at": "2026-11-23T08:00:01.020000+00:00",
                        "key": "print shop",
                        "tenant": "4f9k2m7q1x8z",
                        "sent_by": "4f9k2m7q1x8z",
                        "poll_url": f"/qr/bulk/{TASK_ID_EXAMPLE}/",
                    }
                ]
            ],
        ),
    ]
    next_cursor: Annotated[str | None, Meta(description=_NEXT, examples=[CURSOR_EXAMPLE])]


class ChunksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Page of a list of chunks."""

    limit: Annotated[int, Meta(ge=1, le=1000, description=_LIMIT, examples=[200])] = 200
    cursor: Annotated[int, Meta(ge=0, le=1_000_000, description=_CURSOR, examples=[200])] = 0


class ChunkResponse(msgspec.Struct, frozen=True, kw_only=True):
    """State of a chunk: consecutive items that are rendered together."""

    index: Annotated[int, Meta(ge=0, description="Index of the chunk, from 0.", examples=[1])]
    first_item: Annotated[
        int,
        Meta(
            ge=1,
            description="Index of the chunk's first item, from 1, as in the manifest.",
            examples=[501],
        ),
    ]
    last_item: Annotated[
        int,
        Meta(
            ge=1,
            description="Index of the chunk's last item, from 1, as in the manifest.",
            examples=[1000],
        ),
    ]
    state: Annotated[
        ChunkState,
        Meta(
            description="`pending`: not started, or requeued for a retry. `running`: being "
            "rendered. `staged`: rendered and stored until the bundle is built. `failed`: failed "
            "permanently.",
            examples=["staged"],
        ),
    ]
    attempts: Annotated[
        int, Meta(ge=0, description="Number of attempts that were started.", examples=[1])
    ]
    error: Annotated[
        str | None,
        Meta(
            description="Error of the last failed attempt; null if no attempt has failed, or once "
            "the chunk is staged.",
            examples=[ERROR_EXAMPLE],
        ),
    ]
    error_code: Annotated[
        str | None,
        Meta(
            description="Stable name of `error`, for programs; null if `error` is null.",
            examples=[ERROR_CODE_EXAMPLE],
        ),
    ]


class ChunkList(msgspec.Struct, frozen=True):
    """Page of a task's chunks, in order of their index."""

    chunks: Annotated[
        list[ChunkResponse],
        Meta(
            description="The chunks of this page, in order of their index.",
            examples=[
                [
                    {
                        "index": 0,
                        "first_item": 1,
                        "last_item": 500,
                        "state": "staged",
                        "attempts": 1,
                        "error": None,
                        "error_code": None,
                    }
                ]
            ],
        ),
    ]
    next_cursor: Annotated[str | None, Meta(description=_NEXT, examples=["200"])]
