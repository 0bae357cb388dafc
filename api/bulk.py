"""``/qr/bulk/``: accept a request, and say how far a job is."""

from http import HTTPStatus

import falcon

from api.body import answer_json, read_json_body
from api.middleware import check_accepts
from api.problems import ProblemError, Violation, not_found
from api.schemas import Accepted, BundleAnswer, CallbackAnswer, Chunks, TaskStatus, iso
from api.validation import Rules, invalid, parse_bulk
from pipeline.service import (
    TERMINAL,
    Bundle,
    Idempotency,
    JobService,
    JobStatus,
    make_idempotency,
    parse_task_id,
)

#: Seconds a client is asked to wait before the next poll.
_RETRY_AFTER = "1"
_MOST_KEY_LENGTH = 255


class BulkCollection:
    """``POST /qr/bulk/``."""

    def __init__(self, service: JobService, rules: Rules, body_limit: int, prefix: str) -> None:
        self._service = service
        self._rules = rules
        self._body_limit = body_limit
        self._prefix = prefix

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept a request, before anything is rendered."""
        body = read_json_body(req, self._body_limit)
        request = parse_bulk(body, self._rules)
        if request.callback_url:
            self._check_signable(req)
        accepted = self._service.submit(request, req.context.key, _idempotency(req, body))
        if accepted.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        answer_accepted(resp, self._prefix, accepted.task_id, accepted.items)

    def _check_signable(self, req: falcon.Request) -> None:
        if not self._service.webhook_secrets.exists(req.context.key.key_id):
            detail = (
                "This key has no webhook secret to sign callbacks with. Make one with "
                "`qrmill keys webhook-secret`, or POST /keys/self/webhook-secret/."
            )
            raise invalid([Violation("/callback_url", "no_webhook_secret", detail)])


class BulkTask:
    """``GET`` and ``DELETE /qr/bulk/{task_id}/``."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Say how far a job is; sign a download URL when it is completed."""
        check_accepts(req, "application/json")
        canonical = _canonical(task_id)
        job = self._service.status(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        if job.state not in TERMINAL:
            resp.set_header("Retry-After", _RETRY_AFTER)
        answer_json(resp, HTTPStatus.OK, self._task_status(job))

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Cancel a job in flight."""
        check_accepts(req, "application/json")
        canonical = _canonical(task_id)
        job = self._service.cancel(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        answer_json(resp, HTTPStatus.OK, self._task_status(job))

    def _task_status(self, job: JobStatus) -> TaskStatus:
        bundle = job.bundle
        download = self._service.download(job.task_id, bundle) if bundle else None
        return TaskStatus(
            task_id=job.task_id,
            status=job.state,
            download_url=download.url if download else None,
            expires_at=iso(download.expires_at) if download else None,
            items=job.items if bundle else None,
            error=job.error,
            error_code=job.error_code,
            processed_items=job.processed_items,
            total_items=job.items,
            progress_percent=round(100 * job.processed_items / job.items, 1),
            chunks=Chunks(job.chunks, job.staged, job.failed),
            created_at=iso(job.created_at / 1000),
            finished_at=iso(job.finished_at / 1000) if job.finished_at else None,
            bundle=_bundle_answer(bundle) if bundle else None,
            callback=_callback_answer(job) if job.callback_url else None,
        )


class BulkRetry:
    """``POST /qr/bulk/{task_id}/retry/``."""

    def __init__(self, service: JobService, prefix: str) -> None:
        self._service = service
        self._prefix = prefix

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Render again what a failed job lacks."""
        check_accepts(req, "application/json")
        canonical = _canonical(task_id)
        job = self._service.retry(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        answer_accepted(resp, self._prefix, job.task_id, job.items)


def answer_accepted(resp: falcon.Response, prefix: str, task_id: str, items: int) -> None:
    """Answer 202 for a job that waits to be rendered."""
    poll_url = f"{prefix}/qr/bulk/{task_id}/"
    resp.set_headers({"Location": poll_url, "Retry-After": _RETRY_AFTER})
    answer_json(resp, HTTPStatus.ACCEPTED, Accepted(task_id, "pending", items, poll_url))


def _idempotency(req: falcon.Request, body: bytes) -> Idempotency | None:
    key = req.get_header("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MOST_KEY_LENGTH:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "malformed_key",
            f"An Idempotency-Key has 1 to {_MOST_KEY_LENGTH} characters; this one {len(key)}.",
        )  # fmt: skip
    return make_idempotency(key, body)


def _bundle_answer(bundle: Bundle) -> BundleAnswer:
    return BundleAnswer(bundle.bytes, bundle.sha256, iso(bundle.expires_at))


def _callback_answer(job: JobStatus) -> CallbackAnswer:
    due, delivered = job.callback_due_at, job.callback_delivered_at
    return CallbackAnswer(
        state=job.callback_state or "pending",
        attempts=job.callback_attempts,
        last_error=job.callback_error,
        next_attempt_at=iso(due / 1000) if due else None,
        delivered_at=iso(delivered / 1000) if delivered else None,
    )


def _canonical(task_id: str) -> str:
    try:
        return parse_task_id(task_id)
    except ValueError:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "malformed_task_id",
            f"{task_id!r} is not a task id: a UUID such as 7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63.",
        ) from None  # fmt: skip
