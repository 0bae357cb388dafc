"""``/keys/``: operators make, list and revoke API keys."""

from http import HTTPStatus

import falcon
import msgspec

from api.body import answer_json, read_json_body
from api.decoding import decode_fields, invalid
from api.key_schemas import KeyAnswer, KeyList, NewKeyAnswer, NewKeyRequest, key_fields
from api.middleware import check_accepts
from api.problems import ProblemError, Violations
from pipeline.service import JobService, UnknownApiKeyError

_BODY_LIMIT = 4096  # bytes


def require_operator(req: falcon.Request) -> None:
    """Check that the request's key is an operator's.

    Raises:
        ProblemError: 403.
    """
    if req.context.key.role != "operator":
        raise ProblemError(
            HTTPStatus.FORBIDDEN, "forbidden", "This needs a key with the role operator."
        )


class KeyCollection:
    """``POST /keys/`` and ``GET /keys/``."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a key; its token is in this answer and nowhere else."""
        require_operator(req)
        violations = Violations()
        body = read_json_body(req, _BODY_LIMIT)
        fields = decode_fields(body, NewKeyRequest, "", violations)
        if violations:
            raise invalid(violations)
        made = self._service.api_keys.create(**msgspec.structs.asdict(NewKeyRequest(**fields)))
        answer = NewKeyAnswer(api_key=made.token, **key_fields(made.key))
        answer_json(resp, HTTPStatus.CREATED, answer)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List every key, revoked ones too."""
        check_accepts(req, "application/json")
        require_operator(req)
        found = [KeyAnswer(**key_fields(key)) for key in self._service.api_keys.list()]
        answer_json(resp, HTTPStatus.OK, KeyList(found))

    on_head = on_get


class Key:
    """``DELETE /keys/{key_id}/``."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoke a key, for good."""
        check_accepts(req, "application/json")
        require_operator(req)
        try:
            key = self._service.api_keys.revoke(key_id)
        except UnknownApiKeyError:
            detail = f"There is no key {key_id!r}; GET /keys/ lists them."
            raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail) from None
        answer_json(resp, HTTPStatus.OK, KeyAnswer(**key_fields(key)))
