"""``/qr/bulk/``: accept requests, and list accepted jobs."""

from http import HTTPStatus
from urllib.parse import urlencode

import falcon
import msgspec

from api.http.item_limits import add_item_headers
from api.http.json_responses import respond_json
from api.http.large_bodies import LargeBodies
from api.http.negotiation import CSV, JSON, check_accepts
from api.http.problems import Violations, one_bad_value
from api.http.query import read_query, take_flag
from api.http.request_bodies import BodyReader
from api.intake.bulk_request import build_job_request
from api.intake.csv_items import read_csv
from api.intake.dry_run import dry_run
from api.intake.item_batch import EXTRA_PREFIX
from api.intake.json_items import read_json
from api.intake.serials_request import read_serials_query
from api.intake.validation import RequestLimits
from api.presenters import accepted
from api.resources.lists import respond_task_list
from api.resources.task import respond_accepted
from api.schemas.problems import Violation
from api.schemas.tasks import MAX_KEY_LENGTH, PARAMETERS, SERIALS_PARAMETERS, DryRun
from pipeline.service import (
    ApiKeys,
    Idempotency,
    ItemLimits,
    JobRequest,
    Jobs,
    Submission,
    WebhookSecrets,
    make_idempotency,
)

_DRY_RUN, _SERIALS = "dry_run", "serials"


class BulkCollection:
    """``POST`` and ``GET /qr/bulk/``."""

    def __init__(
        self,
        jobs: Jobs,
        submission: Submission,
        webhook_secrets: WebhookSecrets,
        *,
        api_keys: ApiKeys,
        limits: RequestLimits,
        item_limits: ItemLimits,
        bodies: BodyReader,
        large_bodies: LargeBodies,
        body_limit: int,
        prefix: str,
    ) -> None:
        self._jobs = jobs
        self._submission = submission
        self._webhook_secrets = webhook_secrets
        self._api_keys = api_keys
        self._limits = limits
        self._item_limits = item_limits
        self._bodies = bodies
        self._body_limit = body_limit
        self._prefix = prefix
        self._large_bodies = large_bodies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with a page of jobs, newest first."""
        respond_task_list(self._jobs, self._api_keys, self._prefix, req, resp)

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept a request before anything is rendered; with ``dry_run``, only validate it."""
        check_accepts(req, JSON)
        with self._large_bodies.arriving(req):
            request, idempotency = self._read(req)
            if isinstance(request, DryRun):
                respond_json(resp, HTTPStatus.OK, request)
                return
            job = self._submission.submit(
                request, req.context.key, idempotency, req.context.request_id
            )
        add_item_headers(req, resp, self._item_limits)
        if job.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        respond_accepted(
            resp, accepted(self._prefix, job.task_id, job.items, job.warnings, job.warnings_total)
        )

    def _read(self, req: falcon.Request) -> tuple[JobRequest | DryRun, Idempotency | None]:
        """Receive and validate a request.

        This is a method of its own so that the body is freed before the request is accepted.
        """
        media_type, body = self._bodies.read(req, self._body_limit, (JSON, CSV))
        with self._large_bodies.checked(req):
            return self._check(req, media_type, body)

    def _check(
        self, req: falcon.Request, media_type: str, body: bytes
    ) -> tuple[JobRequest | DryRun, Idempotency | None]:
        violations, limits = Violations(), self._limits.of_key(req.context.key)
        known = _parameters(req) if media_type == CSV else ()
        query = read_query(req, (*known, _DRY_RUN), violations)
        only_check = take_flag(query, _DRY_RUN, violations)
        if "serials" in query:
            parsed = read_serials_query(body, query, limits, violations)
        elif media_type == CSV:
            parsed = read_csv(body, query, limits, violations)
        else:
            parsed = read_json(body, limits, violations)
        if parsed.head.callback_url is not None:
            self._check_signable(req, violations)
        if only_check:
            return dry_run(parsed, limits, violations), None
        # The query of a CSV request is part of its content; the order of parameters is not.
        parameters = f"{CSV}?{urlencode(sorted(query.items()))}\n" if media_type == CSV else ""
        idempotency = _idempotency(req, body, parameters)
        request = build_job_request(parsed, limits, violations)
        if idempotency is not None:
            meaning = request.meaning_sha256()
            idempotency = msgspec.structs.replace(idempotency, meaning_sha256=meaning)
        return request, idempotency

    def _check_signable(self, req: falcon.Request, violations: Violations) -> None:
        if not self._webhook_secrets.exists(req.context.key.tenant):
            detail = (
                "This API key has no webhook secret to sign the webhook with. Create one with "
                "`qrmill keys webhook-secret` or POST /keys/self/webhook-secret/, or leave "
                "callback_url out."
            )
            violations.append(Violation("/callback_url", "no_webhook_secret", detail))


def _parameters(req: falcon.Request) -> tuple[str, ...]:
    """Return the query parameters that a request of the CSV form may have."""
    if _SERIALS not in req.params:
        return (*PARAMETERS, _SERIALS)
    extra = (name for name in req.params if name.startswith(EXTRA_PREFIX))
    return (*PARAMETERS, _SERIALS, *SERIALS_PARAMETERS, *extra)


def _idempotency(req: falcon.Request, body: bytes, parameters: str) -> Idempotency | None:
    key = req.get_header("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        detail = (
            f"The Idempotency-Key has {len(key)} characters. Send a key of 1 to {MAX_KEY_LENGTH} "
            "characters."
        )
        raise one_bad_value("", "malformed_key", detail)
    return make_idempotency(key, body, parameters)
