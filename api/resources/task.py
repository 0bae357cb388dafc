"""``/qr/bulk/{task_id}/``: a job's status, its cancellation and its retry."""

import hashlib
import time
from http import HTTPStatus

import falcon
import msgspec

from api.http.json_responses import respond_json
from api.http.negotiation import JSON, check_accepts
from api.http.parameters import canonical_task_id
from api.http.problems import not_found
from api.presenters import accepted, task_status
from api.resources.long_poll import poll_job
from api.schemas.tasks import Accepted
from pipeline.service import TERMINAL, DownloadUrls, Jobs, JobStatus

#: Seconds a client is asked to wait before the next poll.
_POLL_AFTER = "1"


def respond_accepted(resp: falcon.Response, accepted: Accepted) -> None:
    """Respond with 202 for a job that waits to be rendered."""
    resp.set_headers({"Location": accepted.poll_url, "Retry-After": _POLL_AFTER})
    respond_json(resp, HTTPStatus.ACCEPTED, accepted)


class BulkTask:
    """``GET`` and ``DELETE /qr/bulk/{task_id}/``."""

    def __init__(self, jobs: Jobs, downloads: DownloadUrls) -> None:
        self._jobs = jobs
        self._downloads = downloads

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Return the status of a job, with a newly signed download URL once it is completed."""
        check_accepts(req, JSON)
        job = poll_job(self._jobs, req, resp, canonical_task_id(task_id))
        if job.state not in TERMINAL:
            resp.set_header("Retry-After", _POLL_AFTER)
        lifetime = self._downloads.lifetime(job.bundle) if job.bundle else None
        etag = _etag(job, lifetime)
        resp.set_header("ETag", etag.dumps())  # Falcon's own property would make it strong
        # It may be kept, but not used without asking whether it still holds.
        resp.set_header("Cache-Control", "private, no-cache")
        if req.if_none_match and any(tag in {"*", etag} for tag in req.if_none_match):
            resp.status = HTTPStatus.NOT_MODIFIED.value
            return
        self._respond(resp, job, lifetime)

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Cancel a job in flight."""
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
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

    def __init__(self, jobs: Jobs, prefix: str) -> None:
        self._jobs = jobs
        self._prefix = prefix

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Render again the chunks that a failed job lacks."""
        check_accepts(req, JSON)
        canonical = canonical_task_id(task_id)
        job = self._jobs.retry(canonical, req.context.key)
        if job is None:
            not_found(canonical)
        respond_accepted(resp, accepted(self._prefix, job.task_id, job.items))


def _etag(job: JobStatus, lifetime: int | None) -> falcon.ETag:
    """Return the entity tag of a poll's response, without signing a URL.

    The tag is weak because each response has another download URL with the same meaning. It
    changes often enough that a client which gets 304 has a download URL that still works.

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
