"""``/qr/bulk/``: accept a request, and list what was accepted."""

from http import HTTPStatus

import falcon

from api.body import read_json_body
from api.lists import TaskLists
from api.problems import ProblemError
from api.tasks import answer_accepted
from api.validation import Rules, parse_bulk
from pipeline.service import Idempotency, JobService, make_idempotency

_MOST_KEY_LENGTH = 255


class BulkCollection:
    """``POST`` and ``GET /qr/bulk/``."""

    def __init__(self, service: JobService, rules: Rules, body_limit: int, prefix: str) -> None:
        self._service = service
        self._rules = rules
        self._body_limit = body_limit
        self._prefix = prefix
        self._lists = TaskLists(service, prefix)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List jobs, the newest first."""
        self._lists.answer(req, resp)

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept a request, before anything is rendered."""
        body = read_json_body(req, self._body_limit)
        request = parse_bulk(body, self._rules)
        accepted = self._service.submit(
            request, req.context.key, _idempotency(req, body), req.context.request_id
        )
        if accepted.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        answer_accepted(resp, self._prefix, accepted.task_id, accepted.items)


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
