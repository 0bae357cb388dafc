"""API keys, stored as S3 objects that contain only the hash of each token.

The keys are in S3, so that clients can still authenticate after Redis has lost its data.
:mod:`pipeline.auth.tokens` describes the tokens.
"""

import hmac
import time
from typing import Unpack

import msgspec
import structlog

from pipeline.auth.api_key import ApiKey, KeyFields, NewApiKey
from pipeline.auth.errors import (
    KeyExistsError,
    KeyRevokedError,
    UnknownApiKeyError,
    UnknownTenantError,
)
from pipeline.auth.imported_tokens import ImportedTokens
from pipeline.auth.key_uses import KeyUses
from pipeline.auth.stored_keys import StoredKeys
from pipeline.auth.tokens import (
    check_importable,
    derive_key_id,
    find_key_id,
    is_key_id,
    make_token,
    may_be_imported,
    token_sha256,
)
from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from render.gs1.link_base import check_link_base

log = structlog.get_logger(__name__)

_DAY = 86_400  # seconds


class ApiKeys:
    """The service's API keys, with a cache per process.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._stored = StoredKeys(bucket)
        self._imported = ImportedTokens(bucket)
        self._uses = KeyUses(bucket)

    def create(self, **fields: Unpack[KeyFields]) -> NewApiKey:
        """Create a key and return it with its token.

        Raises:
            ValueError: the name is empty or longer than 80 characters, or a link base is malformed.
            UnknownTenantError: there is no such tenant, or several have this name.
        """
        key_id, token = make_token()
        key = self._make(key_id, token, fields)
        self._stored.write(key)
        return NewApiKey(token, key)

    def import_token(self, token: str, **fields: Unpack[KeyFields]) -> ApiKey:
        """Create a key whose token is one that clients already have.

        Raises:
            UnsafeTokenError: the token has not the required form, or is visibly not random.
            KeyExistsError: the token was imported before, even if its key is revoked by now.
            ValueError: the name is empty or longer than 80 characters, or a link base is malformed.
            UnknownTenantError: there is no such tenant, or several have this name.
        """
        check_importable(token)
        key_id = derive_key_id(token)
        key = msgspec.structs.replace(self._make(key_id, token, fields), imported=True)
        if self._stored.read(key_id) is not None:
            raise KeyExistsError(key_id)
        # First the way from the token to the key, so that no key is listed that does not work.
        self._imported.add(token, key_id)
        return self._change(key)

    def rotate(self, key_id: str, days: int) -> tuple[NewApiKey, ApiKey]:
        """Create a key like this one in the same tenant, and have this one expire.

        The new key does not expire. Rotation never extends the life of the former key.

        Args:
            key_id: id of the key to replace.
            days: days for which the former key still works.

        Returns:
            The new key with its token, and the former key.

        Raises:
            UnknownApiKeyError: no key has this id.
            KeyRevokedError: the key is revoked.
        """
        former = self.find(key_id)
        if former.revoked_at is not None or self._has_revocation_mark(key_id):
            raise KeyRevokedError(key_id)
        new_id, token = make_token()
        now = int(time.time())
        made = msgspec.structs.replace(
            former,
            key_id=new_id,
            sha256=token_sha256(token),
            created_at=now,
            expires_at=None,
            first_key_id=former.tenant,
            first_key_name=former.tenant_name,
            imported=False,
        )
        self._stored.write(made)
        end = now + days * _DAY
        end = end if former.expires_at is None else min(end, former.expires_at)
        former = self._change(msgspec.structs.replace(former, expires_at=end))
        return NewApiKey(token, made), former

    def authenticate(self, token: str) -> ApiKey | None:
        """Return the key of ``token``.

        Returns None for a malformed, mistyped or unknown token, and if its key is revoked or has
        expired.
        """
        key_id = find_key_id(token)
        if key_id is None and may_be_imported(token):
            key_id = self._imported.find_key_id(token)
        key = self._stored.look_up(key_id) if key_id is not None else None
        if key is None or not key.works_at(time.time()):
            return None
        if not hmac.compare_digest(token_sha256(token), key.sha256):
            return None
        self._uses.note(key.key_id)
        return key

    def working(self, key_id: str) -> ApiKey | None:
        """Return the key with this id; None if the key is unknown, revoked or expired."""
        key = self._stored.look_up(key_id) if is_key_id(key_id) else None
        if key is None or not key.works_at(time.time()):
            return None
        self._uses.note(key_id)
        return key

    def list(self) -> list[ApiKey]:
        """Return all keys including revoked and expired ones, the oldest first."""
        found = [self._stored.read(key_id) for key_id in self._stored.ids()]
        present = [key for key in found if key is not None]
        return sorted(present, key=lambda key: (key.created_at, key.key_id))

    def last_used(self, key_id: str | None = None) -> dict[str, str]:
        """Return the day of the last use by key id, of one key or of all keys."""
        return self._uses.days(key_id)

    def find(self, key_id: str) -> ApiKey:
        """Return the key with this id, read from S3 and not from the cache.

        Raises:
            UnknownApiKeyError: no key has this id.
        """
        key = self._stored.read(key_id) if is_key_id(key_id) else None
        if key is None:
            raise UnknownApiKeyError(key_id)
        return key

    def find_tenant(self, text: str) -> ApiKey:
        """Return a key of a tenant.

        Args:
            text: id of any key of the tenant, or the tenant's name. To find a name, every key is
                read, unless it is cached.

        Raises:
            UnknownTenantError: there is no such tenant, or several have this name.
        """
        key = self._stored.look_up(text) if is_key_id(text) else None
        if key is not None:
            return key
        found = map(self._stored.look_up, self._stored.ids())
        named = {key.tenant: key for key in found if key is not None and key.tenant_name == text}
        if len(named) != 1:
            raise UnknownTenantError(sorted(named))
        return named.popitem()[1]

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key permanently; revoking it again has no effect.

        Raises:
            UnknownApiKeyError: no key has this id.
        """
        key = self.find(key_id)
        if key.revoked_at is None:
            try:
                self._bucket.put(keys.key_revocation_object(key_id), b"")
            except StoreUnavailableError as error:  # a policy of a former release denies it
                log.warning("revocation mark not written", key_id=key_id, reason=str(error))
            key = msgspec.structs.replace(key, revoked_at=int(time.time()))
            self._stored.write(key)
        return key

    def _make(self, key_id: str, token: str, fields: KeyFields) -> ApiKey:
        own = {name: value for name, value in fields.items() if name in ApiKey.__struct_fields__}
        own |= {"key_id": key_id, "sha256": token_sha256(token), "created_at": int(time.time())}
        # Checks the constraints, which the constructor does not.
        key = msgspec.convert(own, ApiKey)
        for base in key.link_bases:
            check_link_base(base)
        if (days := fields.get("expires_in_days")) is not None:
            key = msgspec.structs.replace(key, expires_at=key.created_at + days * _DAY)
        if (tenant := fields.get("tenant")) is None:
            return key
        other = self.find_tenant(tenant)
        return msgspec.structs.replace(
            key, first_key_id=other.tenant, first_key_name=other.tenant_name
        )

    def _change(self, key: ApiKey) -> ApiKey:
        """Write a key that another process may be revoking, and return it as it is then.

        S3 has no atomic change of an object, so this write may overwrite a revocation. A revocation
        therefore first writes a mark, which is read here after the write. Whichever of the writes
        comes last, the key is revoked.
        """
        self._stored.write(key)
        if self._has_revocation_mark(key.key_id):
            key = msgspec.structs.replace(key, revoked_at=int(time.time()))
            self._stored.write(key)
        return key

    def _has_revocation_mark(self, key_id: str) -> bool:
        try:
            self._bucket.get(keys.key_revocation_object(key_id))
        except ObjectMissingError:
            return False
        return True
