"""``/qr/bulk/{task_id}/``: say how far a job is, cancel it, render again what it lacks."""

import hashlib
import re
import time
from http import HTTPStatus

import falcon
import msgspec

from api.http.bodies import JSON, POLL_AFTER, answer_accepted, answer_json
from api.http.negotiation import check_accepts
from api.http.parameters import canonical_task_id
from api.http.problems import not_found
from api.presenters import iso
from api.schemas.tasks import BundleAnswer, CallbackAnswer, Chunks, TaskStatus
from pipeline.service import TERMINAL, Bundle, JobService, JobStatus

#: Seconds that a poll waits at most, whatever its client prefers.
_LONGEST_WAIT = 30
#: The preference ``wait`` (RFC 7240, section 4.3) among others in one header.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


class BulkTask:
    """``GET`` and ``DELETE /qr/bulk/{task_id}/``."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Say how far a job is; sign a download URL when it is completed."""
        check_accepts(req, JSON)
        job = self._look(req, resp, canonical_task_id(task_id))
        if job.state not in TERMINAL:
            resp.set_header("Retry-After", POLL_AFTER)
        lifetime = self._service.downloads.lifetime(job.bundle) if job.bundle else None
        etag = _etag(job, lifetime)
        resp.set_header("ETag", etag.dumps())  # Falcon's own property would make it strong
        # It may be kept, but not used without asking whether it still holds.
        resp.set_header("Cache-Control", "private, no-cache")
        if req.if_none_match and any(tag in {"*", etag} for tag in req.if_none_match):
            resp.status = HTTPStatus.NOT_MODIFIED.value
            return
        answer_json(resp, HTTPStatus.OK, self._task_status(job, lifetime))

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Cancel a job in flight."""
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        job = self._service.cancel(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        answer_json(resp, HTTPStatus.OK, self._task_status(job))

    def _look(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> JobStatus:
        """Return the job at once, or when it has ended if the client prefers to wait for that."""
        seconds = preferred_wait(req.get_header("Prefer") or "")
        if seconds:
            job, waited = self._service.await_end(task_id, req.context.key, seconds)
            if waited:
                resp.set_header("Preference-Applied", f"wait={seconds}")
        else:
            job = self._service.status(task_id, req.context.key)
        return job or not_found(task_id)

    def _task_status(self, job: JobStatus, lifetime: int | None = None) -> TaskStatus:
        bundle, downloads = job.bundle, self._service.downloads
        download = downloads.sign(job.task_id, bundle, lifetime=lifetime) if bundle else None
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
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        job = self._service.retry(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        answer_accepted(resp, self._prefix, job.task_id, job.items)


def _etag(job: JobStatus, lifetime: int | None) -> falcon.ETag:
    """Return the tag of a poll's answer; it costs no signing.

    It is weak: a download URL is signed anew each time without another meaning. It changes often
    enough for a client that is told 304 to have one that still works.

    Args:
        job: what is known of the job.
        lifetime: seconds that a download URL works which is signed now; None without a bundle.
    """
    window = url_window(lifetime, int(time.time())) if lifetime else (0, 0)
    digest = hashlib.sha256(msgspec.json.encode((job, window))).hexdigest()
    tag = falcon.ETag(digest[:32])
    tag.is_weak = True
    return tag


def url_window(seconds: int, now: int) -> tuple[int, int]:
    """Return a window of time in which every URL works until its end.

    Whichever process signed it in that window, for however long: the length is a power of two of at
    most half of ``seconds``, and part of what is returned. So it does not change with each second
    that the credentials, whose end is the URL's, come nearer to theirs.

    Args:
        seconds: that a URL works which is signed now.
        now: in seconds since the epoch.
    """
    length = 1 << max(0, seconds.bit_length() - 2)
    return length, now // length


def preferred_wait(prefer: str) -> int:
    """Return the seconds that a ``Prefer`` header asks to wait, at most 30; 0 for none.

    What is malformed is no preference (RFC 7240, section 2).
    """
    match = _WAIT.search(prefer)
    return min(int(match[1]), _LONGEST_WAIT) if match else 0


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
