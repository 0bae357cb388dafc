"""API keys: made, checked, listed and revoked. Only a key's hash is kept, as an S3 object.

A token is ``qrmill_<key id>_<secret><checksum>``: a prefix that a leak scanner can look for, a
public id of 12 lower-case letters and digits, 32 random letters and digits, and the CRC-32 of all
before it as six more, so that a mistyped token is refused without a look-up. The keys live in S3,
so that a Redis that lost everything locks nobody out; each process remembers what it read for
:data:`_FRESH` seconds, which is how long a revoked key may still work.
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

#: Seconds a key is believed as it was read; seconds one is still believed while S3 is away.
_FRESH, _STALE = 10, 3600
#: Seconds that one request waits for S3 about a key that is remembered, and no other one about it.
_ASKING = 60
#: Keys remembered at most, and ids that are none; beyond it the memory of each starts anew.
_MOST_KEYS, _MOST_UNKNOWN = 10_000, 1000


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is kept.

    Attributes:
        key_id: public part of the token.
        name: whose key it is, for people and logs.
        sha256: of the whole token, hexadecimal. The token has 190 bits of entropy, so a plain hash
            is as good as a slow one.
        per_minute, per_day: its rates; 0 stands for the service's defaults.
        created_at, revoked_at: in seconds since the epoch.
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
    """A key and its token, which is shown this once and kept nowhere."""

    token: str
    key: ApiKey


#: When an id was last looked up, and its key.
_Memory = dict[str, tuple[float, ApiKey | None]]


class UnknownApiKeyError(Exception):
    """There is no key of that id."""


class ApiKeys:
    """The service's API keys.

    Every method raises:
        StoreUnavailableError: S3 is out of reach.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._remembered: _Memory = {}
        # Apart: anybody may ask for ids that are none, and pushes out only what others asked for.
        self._unknown: _Memory = {}
        self._retry_at: dict[str, float] = {}

    def create(self, *, name: str, role: Role, per_minute: int = 0, per_day: int = 0) -> NewApiKey:
        """Make a key and return it with its token.

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
        key = msgspec.convert(fields, ApiKey)  # which checks what the constructor does not
        self._write(key)
        return NewApiKey(token, key)

    def authenticate(self, token: str) -> ApiKey | None:
        """Return the key of ``token``; None when it is malformed, mistyped, unknown or revoked."""
        match = _TOKEN.fullmatch(token)
        if match is None or checksum(match[1]) != match[3]:
            return None
        key = self._recall(match[2])
        if key is None or key.revoked_at is not None:
            return None
        given = hashlib.sha256(token.encode()).hexdigest()
        return key if hmac.compare_digest(given, key.sha256) else None

    def working(self, key_id: str) -> ApiKey | None:
        """Return the key of an id; None when it is unknown or revoked."""
        key = self._recall(key_id) if _KEY_ID.fullmatch(key_id) else None
        return None if key is None or key.revoked_at is not None else key

    def list(self) -> list[ApiKey]:
        """Return every key, revoked ones too, the oldest first."""
        found = [self._read(name) for name in self._bucket.list_keys(keys.API_KEYS)]
        present = [key for key in found if key is not None]
        return sorted(present, key=lambda key: (key.created_at, key.key_id))

    def find(self, key_id: str) -> ApiKey:
        """Return a key.

        Raises:
            UnknownApiKeyError: there is none of that id.
        """
        key = self._read(keys.api_key_object(key_id)) if _KEY_ID.fullmatch(key_id) else None
        if key is None:
            raise UnknownApiKeyError(key_id)
        return key

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key, for good; revoking it again changes nothing.

        Raises:
            UnknownApiKeyError: there is none of that id.
        """
        key = self.find(key_id)
        if key.revoked_at is None:
            key = msgspec.structs.replace(key, revoked_at=int(time.time()))
            self._write(key)
        self._remembered.pop(key_id, None)
        return key

    def _recall(self, key_id: str) -> ApiKey | None:
        now = time.monotonic()
        nothing = (float("-inf"), None)
        read_at, key = self._remembered.get(key_id) or self._unknown.get(key_id, nothing)
        believed = now - read_at <= _STALE
        if now - read_at < _FRESH or (believed and now < self._retry_at.get(key_id, 0)):
            return key
        if believed:  # one asks; where S3 hangs, the others need not hang with it
            self._retry_at[key_id] = now + _ASKING
        try:
            key = self._read(keys.api_key_object(key_id))
        except StoreUnavailableError:
            if not believed:
                raise
            # The next requests need not wait for S3 to fail again, which may have taken long.
            self._retry_at[key_id] = time.monotonic() + _FRESH
            return key
        self._remember(key_id, now, key)
        return key

    def _remember(self, key_id: str, read_at: float, key: ApiKey | None) -> None:
        memory, other, most = self._remembered, self._unknown, _MOST_KEYS
        if key is None:
            memory, other, most = other, memory, _MOST_UNKNOWN
        if len(memory) >= most:
            for each in [*memory]:
                self._retry_at.pop(each, None)
            memory.clear()
        memory[key_id] = (read_at, key)
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
