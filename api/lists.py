"""Lists: a key's jobs, and the chunks of a job, a page at a time."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.body import answer_json
from api.list_schemas import ChunkAnswer, ChunkList, ChunksQuery, TaskList, TasksQuery, TaskSummary
from api.middleware import check_accepts
from api.problems import ProblemError, not_found
from api.query import decode_query, invalid_query
from api.schemas import iso
from api.tasks import canonical_task_id
from pipeline.service import ChunkStatus, JobFilter, JobService, JobStatus, Position
from render.errors import InvalidValueError
from render.gtin import normalize_gtin

_Moment = Annotated[datetime, Meta(tz=True)]
_POSITION = re.compile(r"(\d{1,15})\.([0-9a-f-]{36})")


class TaskLists:
    """``GET /qr/bulk/``: an operator may look at the jobs of all keys."""

    def __init__(self, service: JobService, prefix: str) -> None:
        self._service = service
        self._prefix = prefix

    def answer(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a page of jobs, the newest first."""
        check_accepts(req, "application/json")
        query = decode_query(req, TasksQuery)
        if query.key is not UNSET and req.context.key.role != "operator":
            detail = "A client's list has its own tasks alone; leave the parameter key out."
            raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", detail)
        after = None if query.cursor is UNSET else decode_cursor(query.cursor)
        page = self._service.list_jobs(_filter(query), req.context.key, query.limit, after)
        rows = [self._summary(job) for job in page.jobs]
        cursor = None if page.next is None else encode_cursor(page.next)
        answer_json(resp, HTTPStatus.OK, TaskList(rows, cursor))

    def _summary(self, job: JobStatus) -> TaskSummary:
        return TaskSummary(
            task_id=job.task_id,
            status=job.state,
            gtin=job.gtin,
            format=job.format,
            size=job.size,
            processed_items=job.processed_items,
            total_items=job.items,
            error=job.error,
            error_code=job.error_code,
            created_at=iso(job.created_at / 1000),
            finished_at=iso(job.finished_at / 1000) if job.finished_at else None,
            key=job.key_name,
            poll_url=f"{self._prefix}/qr/bulk/{job.task_id}/",
        )


class TaskChunks:
    """``GET /qr/bulk/{task_id}/chunks/``."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Answer with a page of chunks, in their order."""
        check_accepts(req, "application/json")
        canonical = canonical_task_id(task_id)
        query = decode_query(req, ChunksQuery)
        # One more than asked for tells whether there is another page.
        found = self._service.list_chunks(canonical, req.context.key, query.cursor, query.limit + 1)
        if found is None:
            not_found(canonical)
        more = found[query.limit :]
        rows = [_chunk_answer(chunk) for chunk in found[: query.limit]]
        answer_json(resp, HTTPStatus.OK, ChunkList(rows, str(more[0].index) if more else None))

    on_head = on_get


def encode_cursor(position: Position) -> str:
    """Return a position in a list as clients get it."""
    return urlsafe_b64encode(f"{position.created_at}.{position.task_id}".encode()).decode()


def decode_cursor(cursor: str) -> Position:
    """Return the position that :func:`encode_cursor` made ``cursor`` of.

    Raises:
        ProblemError: 422, it made none such.
    """
    try:
        match = _POSITION.fullmatch(urlsafe_b64decode(cursor.encode()).decode())
    except (binascii.Error, UnicodeError):
        match = None
    if match is None:
        detail = f"{cursor!r} is not a cursor; use a list's next_cursor, or none for its start."
        raise invalid_query(detail)
    return Position(int(match[1]), match[2])


def _filter(query: TasksQuery) -> JobFilter:
    fields = {"state": query.status, "key_name": query.key, "gtin": _gtin(query.gtin)}
    return JobFilter(
        key_id=None,
        fields={name: value for name, value in fields.items() if value is not UNSET},
        since=_milliseconds("created_since", query.created_since),
        before=_milliseconds("created_before", query.created_before),
    )


def _gtin(text: str | UnsetType) -> str | UnsetType:
    try:
        return UNSET if text is UNSET else normalize_gtin(text)
    except InvalidValueError as error:
        raise invalid_query(f"The query parameter gtin: {error.detail}") from None


def _milliseconds(name: str, text: str | UnsetType) -> int | None:
    if text is UNSET:
        return None
    try:
        return int(msgspec.convert(text, _Moment).timestamp() * 1000)
    except msgspec.ValidationError:
        detail = f"The query parameter {name} is {text!r}: it is a time with its offset, "
        raise invalid_query(detail + "such as 2026-11-23T08:00:00Z.") from None


def _chunk_answer(chunk: ChunkStatus) -> ChunkAnswer:
    return ChunkAnswer(
        index=chunk.index,
        first_item=chunk.first_item,
        last_item=chunk.last_item,
        state=chunk.state,
        attempts=chunk.attempts,
        error=chunk.error,
        error_code=chunk.error_code,
    )
