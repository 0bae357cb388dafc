"""Long polls: a GET with ``Prefer: wait=N`` (RFC 7240) waits up to N seconds for the job's end."""

import re

import falcon

from api.http.problems import not_found
from api.schemas.tasks import MAX_WAIT
from pipeline.service import Jobs, JobStatus

#: The preference ``wait`` (RFC 7240, section 4.3), possibly among others in the same header.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


def poll_job(jobs: Jobs, req: falcon.Request, resp: falcon.Response, task_id: str) -> JobStatus:
    """Return the status of a job; if the client requests a wait, first wait for the job's end.

    Args:
        jobs: the accepted jobs.
        req: request, which may have a ``Prefer`` header.
        resp: response that receives ``Preference-Applied`` if the preference was honoured.
        task_id: task id in canonical form.

    Raises:
        ProblemError: 404 if the job does not exist or the request's API key may not read it.
    """
    seconds = preferred_wait(req.get_header("Prefer") or "")
    if seconds:
        job, waited = jobs.wait(task_id, req.context.key, seconds)
        if waited:
            resp.set_header("Preference-Applied", f"wait={seconds}")
    else:
        job = jobs.status(task_id, req.context.key)
    return job or not_found(task_id)


def preferred_wait(prefer: str) -> int:
    """Return the wait in seconds that a ``Prefer`` header requests, at most :data:`MAX_WAIT`.

    Returns 0 if the header has no such preference. A malformed preference is ignored (RFC 7240,
    section 2).
    """
    match = _WAIT.search(prefer)
    return min(int(match[1]), MAX_WAIT) if match else 0
