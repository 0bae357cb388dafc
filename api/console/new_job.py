"""``/ops/new`` and ``/jobs/new``: a job of an uploaded or pasted spreadsheet, checked first.

Nothing is stored between the check and the creation of a job: the page of the check contains the
rows, in the field where they were pasted, and the digest of what was checked. What was changed
since is checked again before a job is created.
"""

import re
import secrets
import time
from http import HTTPStatus
from typing import get_args

import falcon
import msgspec

from api.console.forms import check_token
from api.console.pages import Pages
from api.console.row_check import RowCheck
from api.console.row_form import SETTINGS, RowForm
from api.console.row_templates import has_workbooks
from api.console.sessions import RequiresSession
from api.console.uploads import MOST_BYTES, read_upload
from api.http.error_handlers import backlog_full, idempotency_conflict, unavailable
from api.http.item_limits import over_item_limit
from api.http.large_bodies import LargeBodies
from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader
from api.intake.validation import RequestLimits
from api.schemas.tasks import DEFAULT_DPI, DEFAULT_SIZE, DEFAULT_XDIM_MM
from pipeline.service import (
    BacklogFullError,
    IdempotencyError,
    ItemLimitError,
    Submission,
    UnavailableError,
    make_idempotency,
)
from render.image import ImageFormat

#: Names of settings and rows in the list of what was found, by pointer.
_LABELS = {
    "/gtin": "GTIN",
    "/format": "Format",
    "/xdim_mm": "X-dimension",
    "/dpi": "Resolution",
    "/size": "Size",
    "/items": "Rows",
}
_FORMATS = get_args(ImageFormat)
_DEFAULTS = {"format": "pdf", "xdim_mm": str(DEFAULT_XDIM_MM)}
#: Number of characters from which the page does not show the rows in a field to edit them.
_MOST_EDITABLE = 256 * 1024
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")


class NewJobPage(RequiresSession):
    """``GET`` and ``POST …/new``.

    Args:
        submission: accepts jobs.
        limits: limits on requests.
        large_bodies: places for large uploads.
        bodies: reads uploads.
        pages: the pages of the area.
        body_limit: maximum size of a request body, in bytes.
    """

    own_forms = True  # a check changes nothing, and a job has an Idempotency-Key in its form

    def __init__(
        self,
        submission: Submission,
        limits: RequestLimits,
        large_bodies: LargeBodies,
        *,
        bodies: BodyReader,
        pages: Pages,
        body_limit: int,
    ) -> None:
        super().__init__(pages)
        self._submission = submission
        self._limits = limits
        self._large_bodies = large_bodies
        self._bodies = bodies
        self._limit = min(MOST_BYTES, body_limit)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the empty form."""
        self._show(req, resp, HTTPStatus.OK, settings=_DEFAULTS)

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the rows and show the result; create the job if it was checked as it is."""
        with self._large_bodies.arriving(req):
            upload = read_upload(self._bodies, req, self._limit)
            check_token(req.context.session, upload.fields)
            with self._large_bodies.checked(req):
                self._process(req, resp, RowForm(upload, self._limits.max_items))

    def _process(self, req: falcon.Request, resp: falcon.Response, rows: RowForm) -> None:
        wants_job = rows.field("step") == "create"
        is_checked = rows.field("checked") == rows.digest()
        failure, nonce = None, rows.field("submission")
        if wants_job and is_checked and _NONCE.fullmatch(nonce):
            failure = self._create(req, rows, nonce)
            if failure.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
                nonce = secrets.token_urlsafe(16)
        else:
            nonce = secrets.token_urlsafe(16)
        status = failure.status if failure else HTTPStatus.OK
        resp.set_headers(failure.headers if failure else {})
        self._show(
            req,
            resp,
            status,
            settings=rows.settings,
            text=rows.text,
            check=rows.check(self._limits.of_key(req.context.key)),
            checked=rows.digest(),
            submission=nonce,
            failure=failure.detail if failure else "",
            has_changed=wants_job and not failure,
        )

    def _create(self, req: falcon.Request, rows: RowForm, nonce: str) -> ProblemError:
        """Create the job and redirect to its page; return the problem if it was not accepted.

        Raises:
            HTTPSeeOther: redirects to the job, or to the list of jobs while another request of the
                same form creates it.
        """
        key = f"{self.pages.area.sessions} {nonce}"
        try:
            request = rows.request(self._limits.of_key(req.context.key))
            idempotency = msgspec.structs.replace(
                make_idempotency(key, rows.text.encode(), rows.parameters()),
                meaning_sha256=request.meaning_sha256(),
            )
            job = self._submission.submit(
                request, req.context.key, idempotency, req.context.request_id
            )
        except IdempotencyError as error:
            if error.busy:
                raise falcon.HTTPSeeOther(f"{self.pages.jobs}?done=sent-twice") from None
            return idempotency_conflict(error)
        except (BacklogFullError, ItemLimitError, UnavailableError, ProblemError) as error:
            return _problem(error)
        raise falcon.HTTPSeeOther(f"{self.pages.jobs}/{job.task_id}?done=created")

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        status: HTTPStatus,
        **values: object,
    ) -> None:
        empty = {
            "text": "",
            "check": None,
            "checked": "",
            "submission": "",
            "failure": "",
            "has_changed": False,
        }
        values = empty | values
        text, check = str(values["text"]), values["check"]
        self.pages.respond(
            req,
            resp,
            "new-job.html",
            status,
            **values,
            formats=_FORMATS,
            labels=_LABELS,
            default_dpi=DEFAULT_DPI,
            default_xdim=DEFAULT_XDIM_MM,
            default_size=DEFAULT_SIZE,
            max_items=self._limits.max_items,
            limit=self._limit,
            has_workbooks=has_workbooks(),
            is_editable=len(text) <= _MOST_EDITABLE,
            wrong=_wrong_settings(check) if isinstance(check, RowCheck) else {},
        )


def _problem(
    error: BacklogFullError | ItemLimitError | UnavailableError | ProblemError,
) -> ProblemError:
    """Return the problem of a job that was not accepted."""
    if isinstance(error, BacklogFullError):
        return backlog_full(error)
    if isinstance(error, ItemLimitError):
        return over_item_limit(error, time.time())
    return unavailable(error, "POST") if isinstance(error, UnavailableError) else error


def _wrong_settings(check: RowCheck) -> dict[str, str]:
    """Return the first error of each setting."""
    errors = {f"/{name}": name for name in SETTINGS}
    return {
        errors[error.pointer]: error.detail
        for error in reversed(check.result.errors)
        if error.pointer in errors
    }
