"""Long polls: ``Prefer: wait=N`` (RFC 7240) holds a poll until the job ends, at most 30 seconds."""

import re

import falcon

from api.http.problems import not_found
from pipeline.service import Jobs, JobStatus

#: Seconds that a poll waits at most, whatever its client prefers.
_LONGEST_WAIT = 30
#: The preference ``wait`` (RFC 7240, section 4.3) among others in one header.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


def poll_job(jobs: Jobs, req: falcon.Request, resp: falcon.Response, task_id: str) -> JobStatus:
    """Return a job at once, or when it has ended if the client prefers to wait for that.

    Args:
        jobs: knows the job.
        req: may have a ``Prefer`` header.
        resp: gets ``Preference-Applied`` if the preference was honoured.
        task_id: canonical.

    Raises:
        ProblemError: 404, the request's key may see no such job.
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
    """Return the seconds that a ``Prefer`` header asks to wait, at most 30; 0 for none.

    A malformed preference is ignored (RFC 7240, section 2).
    """
    match = _WAIT.search(prefer)
    return min(int(match[1]), _LONGEST_WAIT) if match else 0
