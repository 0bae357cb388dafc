"""``/keys/import/`` and ``/keys/{key_id}/rotate/``: import of tokens and rotation of API keys."""

from http import HTTPStatus

import falcon
import msgspec

from api.http.error_handlers import not_possible
from api.http.json_decoding import decode_fields
from api.http.json_responses import respond_json
from api.http.problems import ProblemError, Violations, invalid
from api.http.request_bodies import BodyReader
from api.presenters import key_response, rotated_key_response
from api.resources.api_keys import (
    BODY_LIMIT,
    check_link_bases,
    no_such_key,
    require_operator,
    unknown_tenant,
    with_last_use,
)
from api.schemas.api_keys import ImportKeyRequest, RotationRequest
from api.schemas.problems import Violation
from pipeline.service import (
    ApiKey,
    ApiKeys,
    KeyExistsError,
    KeyRevokedError,
    NotPossibleError,
    UnknownApiKeyError,
    UnknownTenantError,
    UnsafeTokenError,
)

#: What follows the value in messages about values of the wrong type.
_AFTER_VALUE = (" is not accepted. ", " is not a JSON object. ")


class KeyImport:
    """``POST /keys/import/``."""

    def __init__(self, api_keys: ApiKeys, bodies: BodyReader) -> None:
        self._api_keys = api_keys
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a key for a token that clients already have; no response contains the token."""
        require_operator(req)
        violations = Violations()
        body = self._bodies.read_json(req, BODY_LIMIT)
        fields = decode_fields(body, ImportKeyRequest, "", violations)
        if violations:
            violations.listed[:] = map(_hide_value, violations.listed)
            raise invalid(violations)
        request = ImportKeyRequest(**fields)
        check_link_bases(request)
        key = self._import(request)
        respond_json(resp, HTTPStatus.CREATED, key_response(key, None))

    def _import(self, request: ImportKeyRequest) -> ApiKey:
        try:
            return self._api_keys.import_token(**msgspec.structs.asdict(request))
        except UnsafeTokenError as error:
            violations = Violations()
            violations.append(Violation("/token", "unsafe_token", f"{error}."))
            raise invalid(violations) from None
        except UnknownTenantError as error:
            raise unknown_tenant(request.tenant or "", error) from None
        except KeyExistsError as error:
            detail = f"This token was imported before: it is the token of the API key {error}."
            raise not_possible(NotPossibleError(detail)) from None


def _hide_value(row: Violation) -> Violation:
    """Return a violation whose message does not show the value, which may be the token."""
    for phrase in _AFTER_VALUE:
        _, found, rest = row.detail.rpartition(phrase)
        if found:
            return msgspec.structs.replace(row, detail=f"This value{found}{rest}")
    return row


class KeyRotation:
    """``POST /keys/{key_id}/rotate/``."""

    def __init__(self, api_keys: ApiKeys, bodies: BodyReader) -> None:
        self._api_keys = api_keys
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Create a key of the same tenant, and have the former one expire."""
        require_operator(req)
        violations = Violations()
        body = self._bodies.read_json(req, BODY_LIMIT)
        fields = decode_fields(body, RotationRequest, "", violations)
        if violations:
            raise invalid(violations)
        try:
            made, former = self._api_keys.rotate(key_id, RotationRequest(**fields).days)
        except UnknownApiKeyError:
            raise no_such_key(key_id) from None
        except KeyRevokedError:
            raise _revoked(key_id) from None
        shown_former = with_last_use(self._api_keys, former)
        respond_json(
            resp, HTTPStatus.CREATED, rotated_key_response(made.key, made.token, shown_former)
        )


def _revoked(key_id: str) -> ProblemError:
    detail = (
        f"The API key {key_id} is revoked and cannot be rotated. To create another key of its "
        f"tenant, POST /keys/ with the tenant {key_id}."
    )
    return not_possible(NotPossibleError(detail))
