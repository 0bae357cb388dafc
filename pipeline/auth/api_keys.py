"""API keys, stored as S3 objects that contain only the hash of each token.

A token is ``qrmill_<key id>_<secret><checksum>``. The prefix lets scanners find leaked tokens. The
key id is public and has 12 lower-case letters and digits, the secret has 32 random letters and
digits. The checksum is the CRC-32 of the text before it, written as six letters and digits. The
service can therefore reject a mistyped token without a lookup.

The keys are in S3, so that clients can still authenticate after Redis has lost its data. Each
process caches a key for :data:`_FRESH` seconds. A revoked key may still work during that time.
"""

import hashlib
import hmac
import re
import secrets
import string
import time
import zlib
from typing import Annotated, Literal

import msgspec
import structlog
from msgspec import Meta

from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

log = structlog.get_logger(__name__)

Role = Literal["client", "operator"]

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_ALPHABET = string.digits + string.ascii_lowercase
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 12, 32, 6
_TOKEN = re.compile(
    rf"(qrmill_([0-9a-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{6}})"
)
_KEY_ID = re.compile(rf"[0-9a-z]{{{_ID_LENGTH}}}")

#: Seconds for which a cached key is used before it is read again, normally and while S3 is
#: unavailable.
_FRESH, _STALE = 10, 3600
#: Seconds that one request may take to refresh a cached key. Meanwhile, all other requests use
#: the cached key.
_REFRESHING = 60
#: Maximum number of cached keys and of cached unknown ids; a cache that is full is emptied.
_MOST_KEYS, _MOST_UNKNOWN = 10_000, 1000


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is stored.

    Attributes:
        key_id: public part of the token.
        name: name of the key's user, shown in logs and lists.
        sha256: SHA-256 of the whole token, in hexadecimal. The token has 190 bits of entropy, so a
            fast hash is as safe as a slow one.
        per_minute: maximum requests per minute; 0 stands for the service's default.
        per_day: maximum requests per day; 0 stands for the service's default.
        created_at: time of creation, in seconds since the epoch.
        revoked_at: time of revocation, in seconds since the epoch; None if the key is not revoked.
    """

    key_id: str
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    role: Role
    sha256: str
    per_minute: int = 0
    per_day: int = 0
    created_at: int
    revoked_at: int | None = None


class NewApiKey(msgspec.Struct, frozen=True):
    """A new key and its token, which is shown once and not stored."""

    token: str
    key: ApiKey


#: Maps a key id to the time of its last lookup and to the API key, or None if there is no such key.
_Cache = dict[str, tuple[float, ApiKey | None]]


class UnknownApiKeyError(Exception):
    """Raised when no key has the given id."""


class ApiKeys:
    """The service's API keys, with a cache per process.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._remembered: _Cache = {}
        # Unknown ids have a cache of their own. Any client can send them, and they must not evict
        # real keys.
        self._unknown: _Cache = {}
        self._retry_at: dict[str, float] = {}

    def create(self, *, name: str, role: Role, per_minute: int = 0, per_day: int = 0) -> NewApiKey:
        """Create a key and return it with its token.

        Raises:
            ValueError: the name is empty or longer than 80 characters.
        """
        key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
        token = f"qrmill_{key_id}_{secret}"
        token += checksum(token)
        fields = {
            "key_id": key_id,
            "name": name,
            "role": role,
            "per_minute": per_minute,
            "per_day": per_day,
            "created_at": int(time.time()),
            "sha256": hashlib.sha256(token.encode()).hexdigest(),
        }
        key = msgspec.convert(
            fields, ApiKey
        )  # checks the constraints, which the constructor does not
        self._write(key)
        return NewApiKey(token, key)

    def authenticate(self, token: str) -> ApiKey | None:
        """Return the key of ``token``; None for a malformed, mistyped, unknown or revoked token."""
        match = _TOKEN.fullmatch(token)
        if match is None or checksum(match[1]) != match[3]:
            return None
        key = self._look_up(match[2])
        if key is None or key.revoked_at is not None:
            return None
        given = hashlib.sha256(token.encode()).hexdigest()
        return key if hmac.compare_digest(given, key.sha256) else None

    def working(self, key_id: str) -> ApiKey | None:
        """Return the key with this id, or None if the key is unknown or revoked."""
        key = self._look_up(key_id) if _KEY_ID.fullmatch(key_id) else None
        return None if key is None or key.revoked_at is not None else key

    def list(self) -> list[ApiKey]:
        """Return all keys including revoked ones, the oldest first."""
        found = [self._read(name) for name in self._bucket.list_keys(keys.API_KEYS)]
        present = [key for key in found if key is not None]
        return sorted(present, key=lambda key: (key.created_at, key.key_id))

    def find(self, key_id: str) -> ApiKey:
        """Return the key with this id, read from S3 and not from the cache.

        Raises:
            UnknownApiKeyError: no key has this id.
        """
        key = self._read(keys.api_key_object(key_id)) if _KEY_ID.fullmatch(key_id) else None
        if key is None:
            raise UnknownApiKeyError(key_id)
        return key

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key permanently; revoking it again has no effect.

        Raises:
            UnknownApiKeyError: no key has this id.
        """
        key = self.find(key_id)
        if key.revoked_at is None:
            key = msgspec.structs.replace(key, revoked_at=int(time.time()))
            self._write(key)
        self._remembered.pop(key_id, None)
        return key

    def _look_up(self, key_id: str) -> ApiKey | None:
        now = time.monotonic()
        nothing = (float("-inf"), None)
        read_at, key = self._remembered.get(key_id) or self._unknown.get(key_id, nothing)
        usable = now - read_at <= _STALE
        if now - read_at < _FRESH or (usable and now < self._retry_at.get(key_id, 0)):
            return key
        if usable:  # one request reads the key, so that the others do not wait if S3 hangs
            self._retry_at[key_id] = now + _REFRESHING
        try:
            key = self._read(keys.api_key_object(key_id))
        except StoreUnavailableError:
            if not usable:
                raise
            # A failed request to S3 may take long. The next requests therefore use the cached key
            # without trying S3.
            self._retry_at[key_id] = time.monotonic() + _FRESH
            return key
        self._remember(key_id, now, key)
        return key

    def _remember(self, key_id: str, read_at: float, key: ApiKey | None) -> None:
        cache, other, most = self._remembered, self._unknown, _MOST_KEYS
        if key is None:
            cache, other, most = other, cache, _MOST_UNKNOWN
        if len(cache) >= most:
            for each in [*cache]:
                self._retry_at.pop(each, None)
            cache.clear()
        cache[key_id] = (read_at, key)
        other.pop(key_id, None)
        self._retry_at.pop(key_id, None)

    def _read(self, name: str) -> ApiKey | None:
        try:
            return msgspec.json.decode(self._bucket.get(name), type=ApiKey)
        except ObjectMissingError:
            return None
        except msgspec.DecodeError as error:
            log.warning("API key unreadable", object=name, reason=str(error))
            return None

    def _write(self, key: ApiKey) -> None:
        name = keys.api_key_object(key.key_id)
        self._bucket.put(name, msgspec.json.encode(key), "application/json")


def checksum(text: str) -> str:
    """Return the CRC-32 of ``text`` as six letters and digits."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
