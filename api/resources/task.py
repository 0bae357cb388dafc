"""``/qr/bulk/{task_id}/``: status, cancellation, purge and retry of a job."""

import hashlib
import time
from http import HTTPStatus

import falcon
import msgspec

from api.http.item_limits import add_item_headers
from api.http.json_responses import respond_json
from api.http.negotiation import JSON, check_accepts
from api.http.parameters import canonical_task_id
from api.http.problems import Violations, invalid, not_found
from api.http.query import read_query, take_flag
from api.presenters import accepted, task_status
from api.resources.long_poll import poll_job
from api.schemas.tasks import Accepted
from pipeline.service import TERMINAL, DownloadUrls, ItemLimits, Jobs, JobStatus

#: ``Retry-After``: seconds that a client should wait before the next poll.
_POLL_AFTER = "1"
_PURGE = "purge"


def respond_accepted(resp: falcon.Response, accepted: Accepted) -> None:
    """Respond with 202 for an accepted job, with ``Location`` and ``Retry-After``."""
    resp.set_headers({"Location": accepted.poll_url, "Retry-After": _POLL_AFTER})
    respond_json(resp, HTTPStatus.ACCEPTED, accepted)


class BulkTask:
    """``GET`` and ``DELETE /qr/bulk/{task_id}/``."""

    def __init__(self, jobs: Jobs, downloads: DownloadUrls) -> None:
        self._jobs = jobs
        self._downloads = downloads

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Respond with a job's status, and sign a new download URL if the job is completed."""
        check_accepts(req, JSON)
        job = poll_job(self._jobs, req, resp, canonical_task_id(task_id))
        if job.state not in TERMINAL:
            resp.set_header("Retry-After", _POLL_AFTER)
        lifetime = self._downloads.lifetime(job.bundle) if job.bundle else None
        etag = _etag(job, lifetime)
        resp.set_header("ETag", etag.dumps())  # Falcon's property would make the tag strong
        # A cache may store the response, but must revalidate it before each use.
        resp.set_header("Cache-Control", "private, no-cache")
        if req.if_none_match and any(tag in {"*", etag} for tag in req.if_none_match):
            resp.status = HTTPStatus.NOT_MODIFIED.value
            return
        self._respond(resp, job, lifetime)

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Cancel a job in flight and respond with its status; with ``purge``, delete an ended job.

        Unknown parameters are errors, because a mistyped ``purge`` must not cancel the job.
        """
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        violations = Violations()
        purge = take_flag(read_query(req, (_PURGE,), violations), _PURGE, violations)
        if violations:
            raise invalid(violations)
        if purge:
            if not self._jobs.purge(canonical, req.context.key):
                not_found(canonical)
            resp.status = HTTPStatus.NO_CONTENT.value
            return
        job = self._jobs.cancel(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        self._respond(resp, job)

    def _respond(self, resp: falcon.Response, job: JobStatus, lifetime: int | None = None) -> None:
        bundle, downloads = job.bundle, self._downloads
        download = downloads.sign(job.task_id, bundle, lifetime=lifetime) if bundle else None
        respond_json(resp, HTTPStatus.OK, task_status(job, download))


class BulkRetry:
    """``POST /qr/bulk/{task_id}/retry/``."""

    def __init__(self, jobs: Jobs, item_limits: ItemLimits, prefix: str) -> None:
        self._jobs = jobs
        self._item_limits = item_limits
        self._prefix = prefix

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Render the missing chunks of a failed job again."""
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        job = self._jobs.retry(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        add_item_headers(req, resp, self._item_limits)
        respond_accepted(resp, accepted(self._prefix, job.task_id, job.items))


def _etag(job: JobStatus, lifetime: int | None) -> falcon.ETag:
    """Return the entity tag of a status response, without signing a download URL.

    The tag is weak because responses with the same tag may differ in the signature of the download
    URL. The tag changes before such a URL expires, so a client that receives a 304 can use the URL
    that it already has.

    Args:
        job: status of the job.
        lifetime: seconds for which a download URL that is signed now is valid; None if the job
            has no bundle.
    """
    window = url_window(lifetime, int(time.time())) if lifetime else (0, 0)
    digest = hashlib.sha256(msgspec.json.encode((job, window))).hexdigest()
    tag = falcon.ETag(digest[:32])
    tag.is_weak = True
    return tag


def url_window(seconds: int, now: int) -> tuple[int, int]:
    """Return the current time window: its length in seconds, and its number since the epoch.

    A URL that any process signs within the window works until the window ends. The length is the
    largest power of two that is at most half of ``seconds``. While the signing credentials approach
    their expiry, ``seconds`` decreases, but such a length rarely changes.

    Args:
        seconds: number of seconds for which a URL that is signed now is valid.
        now: current time, in seconds since the epoch.
    """
    length = 1 << max(0, seconds.bit_length() - 2)
    return length, now // length
