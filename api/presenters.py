"""Conversion of the pipeline's types to API responses; does not import Falcon."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from api.schemas.api_keys import KeyResponse, NewKeyResponse, RotatedKeyResponse
from api.schemas.lists import ChunkResponse, TaskSummary
from api.schemas.problems import RequestWarning
from api.schemas.tasks import (
    Accepted,
    BundleResponse,
    CallbackResponse,
    Chunks,
    SymbolCount,
    TaskStatus,
)
from pipeline.service import ApiKey, Bundle, ChunkStatus, JobStatus, poll_url
from pipeline.service import RequestWarning as StoredWarning
from render.image import Dimensions, ErrorCorrection

_Schema = TypeVar("_Schema", bound=msgspec.Struct)


def accepted(
    prefix: str,
    task_id: str,
    items: int,
    warnings: Sequence[StoredWarning] = (),
    warnings_total: int = 0,
) -> Accepted:
    """Return the body of the 202 response for an accepted job.

    Args:
        prefix: prefix of the API's paths.
        task_id: task id in canonical form.
        items: number of items in the request.
        warnings: the listed warnings about the request.
        warnings_total: number of warnings, including unlisted ones.
    """
    listed = [*map(request_warning, warnings)]
    return Accepted(task_id, "pending", items, poll_url(prefix, task_id), listed, warnings_total)


def request_warning(warning: StoredWarning) -> RequestWarning:
    """Return a warning about a request."""
    return _present(RequestWarning, warning)


def symbol_count(
    version: int, error_correction: ErrorCorrection, count: int, size: Dimensions
) -> SymbolCount:
    """Return the number and the size of the symbols of one version and error correction level."""
    return _present(
        SymbolCount, size, version=version, error_correction=error_correction, count=count
    )


def task_status(job: JobStatus, download: tuple[str, int] | None) -> TaskStatus:
    """Return the response for the status of a job.

    Args:
        job: status of the job in the ledger.
        download: URL of the bundle and the time when the URL expires, in seconds since the epoch;
            None unless the job is completed.
    """
    url, expires_at = download or (None, None)
    return _present(
        TaskStatus,
        job,
        status=job.state,
        download_url=url,
        expires_at=_iso_or_none(expires_at),
        items=job.items if job.bundle else None,
        total_items=job.items,
        progress_percent=round(100 * job.processed_items / job.items, 1),
        chunks=Chunks(job.chunks, job.staged, job.failed),
        created_at=iso(job.created_at / 1000),
        finished_at=_iso_of_ms(job.finished_at),
        bundle=_bundle(job.bundle) if job.bundle else None,
        callback=_callback(job) if job.callback_url else None,
    )


def task_summary(job: JobStatus, prefix: str) -> TaskSummary:
    """Return a job as a row of a list.

    Args:
        job: status of the job in the ledger.
        prefix: prefix of the API's paths.
    """
    return _present(
        TaskSummary,
        job,
        status=job.state,
        total_items=job.items,
        created_at=iso(job.created_at / 1000),
        finished_at=_iso_of_ms(job.finished_at),
        key=job.key_name,
        tenant=job.key_id,
        sent_by=job.sent_by or job.key_id,
        poll_url=poll_url(prefix, job.task_id),
    )


def chunk_response(chunk: ChunkStatus) -> ChunkResponse:
    """Return a chunk as a row of a list."""
    return _present(ChunkResponse, chunk)


def key_response(key: ApiKey, last_used: str | None) -> KeyResponse:
    """Return an API key without its secret.

    Args:
        key: the key.
        last_used: day of the key's last use, ISO 8601; None if it was never used.
    """
    return _present(KeyResponse, key, last_used_at=last_used, **_key_times(key))


def new_key_response(key: ApiKey, token: str) -> NewKeyResponse:
    """Return a new API key with its token, which no other response contains."""
    return _present(NewKeyResponse, key, api_key=token, last_used_at=None, **_key_times(key))


def rotated_key_response(key: ApiKey, token: str, former: KeyResponse) -> RotatedKeyResponse:
    """Return a new API key with its token, and the key that it replaces."""
    return _present(RotatedKeyResponse, new_key_response(key, token), former=former)


def iso(seconds: float) -> str:
    """Return a time as ISO 8601 with offset, in UTC.

    Args:
        seconds: the time in seconds since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _present(schema: type[_Schema], source: object, **others: Any) -> _Schema:  # noqa: ANN401 - any field
    """Create a ``schema`` from ``others``; attributes of ``source`` fill the remaining fields."""
    names = [name for name in schema.__struct_fields__ if name not in others]
    return schema(**{name: getattr(source, name) for name in names}, **others)


def _bundle(bundle: Bundle) -> BundleResponse:
    return _present(BundleResponse, bundle, expires_at=iso(bundle.expires_at))


def _callback(job: JobStatus) -> CallbackResponse:
    return CallbackResponse(
        state=job.callback_state or "pending",
        attempts=job.callback_attempts,
        last_error=job.callback_error,
        next_attempt_at=_iso_of_ms(job.callback_due_at),
        delivered_at=_iso_of_ms(job.callback_delivered_at),
    )


def _key_times(key: ApiKey) -> dict[str, str | None]:
    return {
        "created_at": iso(key.created_at),
        "revoked_at": _iso_or_none(key.revoked_at),
        "expires_at": _iso_or_none(key.expires_at),
    }


def _iso_of_ms(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds / 1000)


def _iso_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
