"""``/keys/``: API keys, which operators manage, and webhook secrets."""

from http import HTTPStatus

import falcon
import msgspec

from api.http.json_decoding import decode_fields
from api.http.json_responses import respond_json
from api.http.negotiation import JSON, check_accepts
from api.http.problems import ProblemError, Violations, invalid, operator_required
from api.http.redaction import may_be_api_key
from api.http.request_bodies import BodyReader
from api.intake.item_batch import Location
from api.intake.shared_fields import broken_rule
from api.presenters import iso, key_response, new_key_response
from api.schemas.api_keys import KeyList, KeyResponse, NewKeyRequest, WebhookSecretResponse
from api.schemas.problems import Violation
from pipeline.service import (
    ApiKey,
    ApiKeys,
    UnknownApiKeyError,
    UnknownTenantError,
    WebhookSecrets,
    is_key_id,
)
from render.errors import shown
from render.gs1.link_base import check_link_base

BODY_LIMIT = 8192  # bytes
#: Number of tenants with the same name that a detail lists.
_MOST_TENANTS = 10


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
        body = self._bodies.read_json(req, BODY_LIMIT)
        fields = decode_fields(body, NewKeyRequest, "", violations)
        if violations:
            raise invalid(violations)
        request = NewKeyRequest(**fields)
        check_link_bases(request)
        try:
            made = self._api_keys.create(**msgspec.structs.asdict(request))
        except UnknownTenantError as error:
            raise unknown_tenant(request.tenant or "", error) from None
        respond_json(resp, HTTPStatus.CREATED, new_key_response(made.key, made.token))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List every key, including revoked and expired ones."""
        check_accepts(req, JSON)
        require_operator(req)
        days = self._api_keys.last_used()
        found = [key_response(key, days.get(key.key_id)) for key in self._api_keys.list()]
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
            raise no_such_key(key_id) from None
        respond_json(resp, HTTPStatus.OK, with_last_use(self._api_keys, key))


class KeyWebhookSecret:
    """``POST /keys/{key_id}/webhook-secret/``; the id ``self`` stands for the request's own key."""

    def __init__(self, api_keys: ApiKeys, webhook_secrets: WebhookSecrets) -> None:
        self._api_keys = api_keys
        self._webhook_secrets = webhook_secrets

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Create a webhook secret and respond with it; no other response contains it."""
        check_accepts(req, JSON)
        key = req.context.key
        if key_id not in {"self", key.key_id}:
            require_operator(req)
            key = self._find(key_id)
        made = self._webhook_secrets.make(key.tenant)
        former = iso(made.former[0].until) if made.former else None
        body = WebhookSecretResponse(key.key_id, made.secret, former, key.tenant)
        respond_json(resp, HTTPStatus.CREATED, body)

    def _find(self, key_id: str) -> ApiKey:
        try:
            return self._api_keys.find(key_id)
        except UnknownApiKeyError:
            raise no_such_key(key_id) from None


def check_link_bases(request: NewKeyRequest) -> None:
    """Check the link bases of a key to create.

    Raises:
        ProblemError: 422 if a link base breaks a rule.
    """
    violations = Violations()
    for index, base in enumerate(request.link_bases):
        where = Location(f"/link_bases/{index}")
        violations.extend(broken_rule(check_link_base, base, where))
    if violations:
        raise invalid(violations)


def with_last_use(api_keys: ApiKeys, key: ApiKey) -> KeyResponse:
    """Return the response about a key, with the day of its last use."""
    return key_response(key, api_keys.last_used(key.key_id).get(key.key_id))


def no_such_key(key_id: str) -> ProblemError:
    """Return the 404 problem of a request for a key that does not exist.

    Args:
        key_id: text in place of the key id. It may be a whole API key, which is not repeated.
    """
    named = f"the id {key_id!r}" if is_key_id(key_id) else "the id in the path"
    detail = f"There is no API key with {named}. GET /keys/ lists all keys."
    return ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail)


def unknown_tenant(text: str, error: UnknownTenantError) -> ProblemError:
    """Return the 422 problem of a request that names no tenant, or several."""
    named = "This value" if may_be_api_key(text) else shown(text)
    more = ", …" if len(error.candidates) > _MOST_TENANTS else ""
    if error.candidates:
        detail = (
            f"{named} is the name of {len(error.candidates)} tenants. Send the id of one of them: "
            f"{', '.join(error.candidates[:_MOST_TENANTS])}{more}."
        )
    else:
        detail = (
            f"{named} is neither the id nor the name of a tenant. GET /keys/ lists every API key "
            "with its tenant."
        )
    violations = Violations()
    violations.append(Violation("/tenant", "unknown_tenant", detail))
    return invalid(violations)
