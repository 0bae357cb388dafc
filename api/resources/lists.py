"""Lists in pages: jobs, and the chunks of a job."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.http.json_responses import respond_json
from api.http.negotiation import JSON, check_accepts
from api.http.parameters import canonical_task_id, decode_cursor, encode_cursor
from api.http.problems import ProblemError, Violations, invalid, not_found
from api.http.query import decode_query
from api.presenters import chunk_response, task_summary
from api.resources.api_keys import unknown_tenant
from api.schemas.lists import (
    ChunkList,
    ChunksQuery,
    TaskList,
    TasksQuery,
)
from api.schemas.problems import Violation
from pipeline.service import ApiKeys, JobFilter, Jobs, UnknownTenantError, is_key_id
from render.errors import InvalidValueError, shown
from render.gs1.gtin import normalize_gtin

_Time = Annotated[datetime, Meta(tz=True)]


def respond_task_list(
    jobs: Jobs, api_keys: ApiKeys, prefix: str, req: falcon.Request, resp: falcon.Response
) -> None:
    """Respond to ``GET /qr/bulk/`` with a page of jobs, newest first.

    A client's key lists the jobs of its tenant; an operator's key lists the jobs of all tenants.

    Args:
        jobs: the jobs to list.
        api_keys: finds the tenant to list.
        prefix: prefix of the API's paths.
        req: request with the filters in its query.
        resp: response that receives the page.

    Raises:
        ProblemError: 406 if the client does not accept JSON; 403 if a client's key filters by key
            or tenant; 422 if a parameter is invalid.
    """
    check_accepts(req, JSON)
    violations = Violations()
    query = decode_query(req, TasksQuery, violations)
    for name in ("key", "tenant"):
        if getattr(query, name) is not UNSET and req.context.key.role != "operator":
            detail = (
                f"Only an operator's API key may use the parameter {name}. Leave it out: a "
                "client's key lists the tasks of its own tenant only."
            )
            raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", detail)
    after = None if query.cursor is UNSET else decode_cursor(query.cursor, violations)
    wanted = _filter(query, violations)
    if violations:
        raise invalid(violations)
    if query.tenant is not UNSET:
        wanted = msgspec.structs.replace(wanted, tenant=_tenant_id(query.tenant, api_keys))
    page = jobs.list(wanted, req.context.key, query.limit, after)
    rows = [task_summary(job, prefix) for job in page.jobs]
    cursor = None if page.next is None else encode_cursor(page.next)
    respond_json(resp, HTTPStatus.OK, TaskList(rows, cursor))


class TaskChunks:
    """``GET /qr/bulk/{task_id}/chunks/``."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Respond with a page of a job's chunks, in order of their index."""
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        violations = Violations()
        query = decode_query(req, ChunksQuery, violations)
        if violations:
            raise invalid(violations)
        # One chunk more than requested shows whether there is another page.
        found = self._jobs.chunks(canonical, req.context.key, query.cursor, query.limit + 1)
        if found is None:
            not_found(canonical)
        more = found[query.limit :]
        rows = [chunk_response(chunk) for chunk in found[: query.limit]]
        respond_json(resp, HTTPStatus.OK, ChunkList(rows, str(more[0].index) if more else None))

    on_head = on_get


def _filter(query: TasksQuery, violations: Violations) -> JobFilter:
    gtin = _gtin(query.gtin, violations)
    fields = {"state": query.status, "key_name": query.key, "gtin": gtin}
    return JobFilter(
        tenant=None,
        fields={name: value for name, value in fields.items() if value is not UNSET},
        since=_milliseconds("created_since", query.created_since, violations),
        before=_milliseconds("created_before", query.created_before, violations),
    )


def _tenant_id(text: str, api_keys: ApiKeys) -> str:
    """Return the id of a tenant.

    Raises:
        ProblemError: 422 if ``text`` names no tenant, or several.
    """
    try:
        return api_keys.find_tenant(text).tenant
    except UnknownTenantError as error:
        if is_key_id(text) and not error.candidates:  # the tenant's first key may be deleted
            return text
        raise unknown_tenant(text, error) from None


def _gtin(text: str | UnsetType, violations: Violations) -> str | UnsetType:
    try:
        return UNSET if text is UNSET else normalize_gtin(text)
    except InvalidValueError as error:
        violations.append(Violation("/gtin", error.code, error.detail))
        return UNSET


def _milliseconds(name: str, text: str | UnsetType, violations: Violations) -> int | None:
    if text is UNSET:
        return None
    try:
        return int(msgspec.convert(text, _Time).timestamp() * 1000)
    except msgspec.ValidationError:
        detail = (
            f"{shown(text)} is not accepted. The value must be an ISO 8601 time with its offset "
            "from UTC, such as 2026-11-23T08:00:00Z."
        )
        violations.append(Violation(f"/{name}", "time", detail))
        return None
