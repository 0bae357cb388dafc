"""``/keys/``: API keys, which operators manage, and webhook secrets."""

from http import HTTPStatus

import falcon
import msgspec

from api.http.json_decoding import decode_fields
from api.http.json_responses import respond_json
from api.http.negotiation import JSON, check_accepts
from api.http.problems import ProblemError, Violations, invalid, operator_required
from api.http.request_bodies import BodyReader
from api.presenters import iso, key_response, new_key_response
from api.schemas.api_keys import KeyList, NewKeyRequest, WebhookSecretResponse
from pipeline.service import ApiKeys, UnknownApiKeyError, WebhookSecrets

_BODY_LIMIT = 4096  # bytes


def require_operator(req: falcon.Request) -> None:
    """Check that the API key of a request has the role operator.

    Raises:
        ProblemError: 403 if the key has another role.
    """
    if req.context.key.role != "operator":
        raise operator_required()


class KeyCollection:
    """``POST /keys/`` and ``GET /keys/``."""

    def __init__(self, api_keys: ApiKeys, bodies: BodyReader) -> None:
        self._api_keys = api_keys
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a key and respond with its token, which no other response contains."""
        require_operator(req)
        violations = Violations()
        body = self._bodies.read_json(req, _BODY_LIMIT)
        fields = decode_fields(body, NewKeyRequest, "", violations)
        if violations:
            raise invalid(violations)
        made = self._api_keys.create(**msgspec.structs.asdict(NewKeyRequest(**fields)))
        respond_json(resp, HTTPStatus.CREATED, new_key_response(made.key, made.token))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List every key, including revoked ones."""
        check_accepts(req, JSON)
        require_operator(req)
        found = [key_response(key) for key in self._api_keys.list()]
        respond_json(resp, HTTPStatus.OK, KeyList(found))

    on_head = on_get


class KeyResource:
    """``DELETE /keys/{key_id}/``."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._api_keys = api_keys

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoke a key permanently."""
        check_accepts(req, JSON)
        require_operator(req)
        try:
            key = self._api_keys.revoke(key_id)
        except UnknownApiKeyError:
            raise _no_such_key(key_id) from None
        respond_json(resp, HTTPStatus.OK, key_response(key))


class KeyWebhookSecret:
    """``POST /keys/{key_id}/webhook-secret/``; the id ``self`` stands for the request's own key."""

    def __init__(self, api_keys: ApiKeys, webhook_secrets: WebhookSecrets) -> None:
        self._api_keys = api_keys
        self._webhook_secrets = webhook_secrets

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Create a webhook secret and respond with it; no other response contains it."""
        check_accepts(req, JSON)
        own = req.context.key.key_id
        if key_id not in {"self", own}:
            require_operator(req)
            self._check_known(key_id)
        wanted = own if key_id == "self" else key_id
        made = self._webhook_secrets.make(wanted)
        former = made.former[0].until if made.former else None
        body = WebhookSecretResponse(wanted, made.secret, None if former is None else iso(former))
        respond_json(resp, HTTPStatus.CREATED, body)

    def _check_known(self, key_id: str) -> None:
        try:
            self._api_keys.find(key_id)
        except UnknownApiKeyError:
            raise _no_such_key(key_id) from None


def _no_such_key(key_id: str) -> ProblemError:
    detail = f"There is no API key with the id {key_id!r}. GET /keys/ lists all keys."
    return ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail)
