"""``/ops/jobs/{task_id}`` and ``/jobs/{task_id}``: one job and its actions."""

from http import HTTPStatus

import falcon

from api.console.pages import Pages
from api.console.sessions import RequiresSession
from api.http.parameters import canonical_task_id
from api.http.problems import ProblemError, not_found
from pipeline.service import (
    DownloadUrls,
    Health,
    Jobs,
    JobStatus,
    ObjectMissingError,
    Preview,
    Sample,
    StoreUnavailableError,
    UnreadableError,
)
from render.image import MEDIA_TYPES

_CHUNKS = 200
#: Scripts in an image may not run, and the image may not load anything.
_IMAGE_POLICY = "default-src 'none'; style-src 'none'; sandbox"
_STORE_UNAVAILABLE = "The object store is unavailable."
_REQUEST_GONE = "The request is no longer in the object store."


class JobPage(RequiresSession):
    """``GET …/{task_id}``."""

    def __init__(self, jobs: Jobs, preview: Preview, health: Health, pages: Pages) -> None:
        super().__init__(pages)
        self._jobs = jobs
        self._preview = preview
        self._health = health

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Show the job, and in the console a page of its chunks."""
        job = find_job(self._jobs, req, task_id)
        first = req.get_param_as_int("first", min_value=0, max_value=1_000_000, default=0)
        chunks = None
        if self.pages.area.role == "operator":
            chunks = self._jobs.chunks(job.task_id, req.context.key, first, _CHUNKS)
        samples, without = self._samples(req, job)
        self.pages.respond(
            req,
            resp,
            "job.html",
            job=job,
            chunks=chunks or (),
            first=first,
            page=_CHUNKS,
            samples=samples,
            without_samples=without,
        )

    on_head = on_get

    def _samples(self, req: falcon.Request, job: JobStatus) -> tuple[list[Sample], str]:
        """Return the first symbols; if there are none, an empty list and the reason.

        A refresh by the page's script needs no symbols, because the page already shows them.
        """
        if req.get_header("X-Refresh"):
            return [], ""
        health = self._health.latest()
        unavailable = {part.name for part in health if part.milliseconds is None}
        if "s3" in unavailable:  # a request to S3 could hang, and the page with it
            return [], _STORE_UNAVAILABLE
        try:
            return self._preview.first(job.task_id), ""
        except ObjectMissingError:
            return [], _REQUEST_GONE
        except UnreadableError:
            return [], "The request in the object store is damaged."
        except StoreUnavailableError:
            return [], _STORE_UNAVAILABLE


class SymbolImage(RequiresSession):
    """``GET …/{task_id}/symbols/{number}``."""

    def __init__(self, jobs: Jobs, preview: Preview, pages: Pages) -> None:
        super().__init__(pages)
        self._jobs = jobs
        self._preview = preview

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str, number: int) -> None:
        """Respond with one of the first symbols, counted from 1."""
        job = find_job(self._jobs, req, task_id)
        try:
            samples = self._preview.first(job.task_id)
        except ObjectMissingError:
            raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", _REQUEST_GONE) from None
        if not 1 <= number <= len(samples):
            raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", f"There is no symbol {number}.")
        sample = samples[number - 1]
        resp.content_type = MEDIA_TYPES[sample.format]
        resp.set_header("Content-Security-Policy", _IMAGE_POLICY)
        resp.set_header("Cache-Control", "private, max-age=3600")
        resp.data = sample.image


class JobAction(RequiresSession):
    """``POST …/{task_id}/retry`` and ``…/cancel``."""

    def __init__(self, jobs: Jobs, pages: Pages, action: str) -> None:
        super().__init__(pages)
        self._act, self._done = {
            "retry": (jobs.retry, "retried"),
            "cancel": (jobs.cancel, "cancelled"),
        }[action]

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Retry or cancel the job, and redirect to its page."""
        canonical = canonical_task_id(task_id)
        if self._act(canonical, req.context.key) is None:
            not_found(canonical)
        raise falcon.HTTPSeeOther(f"{self.pages.jobs}/{canonical}?done={self._done}")


class DownloadRedirect(RequiresSession):
    """``GET …/{task_id}/download``: redirects to a newly presigned URL of the bundle."""

    def __init__(self, jobs: Jobs, downloads: DownloadUrls, pages: Pages) -> None:
        super().__init__(pages)
        self._jobs = jobs
        self._downloads = downloads

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """Presign a URL, and redirect the browser to it."""
        job = find_job(self._jobs, req, task_id)
        if job.bundle is None:
            detail = f"The job is {job.state}; there is no bundle to download."
            raise ProblemError(HTTPStatus.CONFLICT, "not_possible", detail)
        raise falcon.HTTPSeeOther(self._downloads.sign(job.task_id, job.bundle).url)


def find_job(jobs: Jobs, req: falcon.Request, task_id: str) -> JobStatus:
    """Return the job with the given task id.

    Raises:
        ProblemError: 422 if the task id is malformed; 404 if no job has it.
    """
    canonical = canonical_task_id(task_id)
    return jobs.status(canonical, req.context.key) or not_found(canonical)
