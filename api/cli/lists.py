"""The commands ``qrmill list`` and ``qrmill chunks``."""

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import TaskId, Url, open_client
from api.cli.output import Json, print_document, print_message, print_rows
from api.schemas.states import State

if TYPE_CHECKING:
    from api.client import Filters


_TASK_COLUMNS = (
    *("task id", "status", "gtin", "items", "created", "finished", "error", "key"),
    *("tenant", "sent by"),
)
_CHUNK_COLUMNS = ("chunk", "items", "state", "attempts", "error", "detail")
_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]


def list_tasks(  # noqa: PLR0917 - typer makes an option of each
    state: Annotated[
        State | None, typer.Option("--status", help="Only tasks with this status.")
    ] = None,
    gtin: Annotated[str | None, typer.Option(help="Only tasks of this GTIN.")] = None,
    created_since: Annotated[
        datetime | None,
        typer.Option(
            formats=_FORMATS,
            metavar="TIME",
            help="Only tasks accepted at or after this time (ISO 8601; local time by default).",
        ),
    ] = None,
    created_before: Annotated[
        datetime | None,
        typer.Option(
            formats=_FORMATS,
            metavar="TIME",
            help="Only tasks accepted before this time (ISO 8601; local time by default).",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Only tasks of API keys with this name (operators only).")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            help="Only tasks of this tenant: its name, or the id of any of its API keys (operators "
            "only)."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of tasks.")] = 100,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    filters: Filters = {}
    if state is not None:
        filters["status"] = state
    if gtin is not None:
        filters["gtin"] = gtin
    if key is not None:
        filters["key"] = key
    if tenant is not None:
        filters["tenant"] = tenant
    if created_since is not None:
        filters["created_since"] = created_since.astimezone()
    if created_before is not None:
        filters["created_before"] = created_before.astimezone()
    with open_client(url) as client:
        found = client.list(**filters)
        if as_json:
            for task in islice(found, limit):
                print_document(task)
        else:
            print_rows(
                _TASK_COLUMNS,
                (
                    (
                        task.task_id,
                        task.status,
                        task.gtin,
                        f"{task.processed_items}/{task.total_items}",
                        task.created_at,
                        task.finished_at,
                        task.error_code,
                        task.key,
                        task.tenant,
                        task.sent_by,
                    )
                    for task in islice(found, limit)
                ),
            )
        if next(found, None) is not None:
            print_message(f"There are more than {limit} tasks; use --limit to list more.")


def chunks(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """List a task's chunks, each with its state, attempts and last error."""
    with open_client(url) as client:
        found = client.chunks(task_id)
        if as_json:
            for chunk in found:
                print_document(chunk)
        else:
            print_rows(
                _CHUNK_COLUMNS,
                (
                    (
                        chunk.index,
                        f"{chunk.first_item}-{chunk.last_item}",
                        chunk.state,
                        chunk.attempts,
                        chunk.error_code,
                        chunk.error,
                    )
                    for chunk in found
                ),
            )
