"""Tokens of API keys: those that the service makes, and those that operators import.

A token of the service is ``qrmill_<key id>_<secret><checksum>``. The prefix lets scanners find
leaked tokens. The key id is public and has 12 lower-case letters and digits, the secret has 32
random letters and digits. The checksum is the CRC-32 of the text before it, written as six letters
and digits. The service can therefore reject a mistyped token without a lookup.

An imported token is any other text of 32 to 255 visible ASCII characters, of which at least 32 are
random. Only its SHA-256 is stored, which is safe for a random text and for no other.
"""

import hashlib
import re
import secrets
import string
import zlib
from itertools import pairwise
from typing import NamedTuple

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_ALPHABET = string.digits + string.ascii_lowercase
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 12, 32, 6
_TOKEN = re.compile(
    rf"(qrmill_([0-9a-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{6}})"
)
_KEY_ID = re.compile(rf"[0-9a-z]{{{_ID_LENGTH}}}")
_IMPORTED = re.compile(r"(?!qrmill_)[!-~]{32,255}")
#: Minimum number of unpredictable characters of an imported token. Fewer than 32, because some
#: characters of a random text look predictable by chance.
_UNPREDICTABLE = 20
#: Length of a repetition that counts as predictable, in characters.
_REPETITION = 4
#: Rounds that make guessing a token from its public key id as slow as guessing a password (OWASP
#: Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256).
_ROUNDS = 600_000
IMPORT_RULE = (
    "The token must have 32 to 255 visible ASCII characters, of which at least 32 were drawn at "
    "random, and must not begin with qrmill_"
)


class NewToken(NamedTuple):
    """A new token of the service and the key id in it."""

    key_id: str
    token: str


class UnsafeTokenError(ValueError):
    """Raised when a token cannot be imported; the message states the rule, not the token."""


def make_token() -> NewToken:
    """Return a random token."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    token = f"qrmill_{key_id}_{secret}"
    return NewToken(key_id, token + checksum(token))


def find_key_id(token: str) -> str | None:
    """Return the key id in a token of the service; None for any other text or a mistyped token."""
    match = _TOKEN.fullmatch(token)
    return match[2] if match is not None and checksum(match[1]) == match[3] else None


def is_key_id(text: str) -> bool:
    """Return whether ``text`` has the form of a key id."""
    return _KEY_ID.fullmatch(text) is not None


def may_be_imported(text: str) -> bool:
    """Return whether ``text`` has the form of an imported token."""
    return _IMPORTED.fullmatch(text) is not None


def check_importable(token: str) -> None:
    """Check that a token is safe to store as a plain hash, as far as the token itself shows it.

    The check finds repetitions, runs such as ``abcdef``, and tokens of very few distinct
    characters. It cannot find that a token was made of words, names or dates, or by a generator
    that can be predicted.

    Raises:
        UnsafeTokenError: the token has not the required form, or is visibly not random.
    """
    if not may_be_imported(token):
        raise UnsafeTokenError(IMPORT_RULE)
    if _count_unpredictable(token) < _UNPREDICTABLE:
        raise UnsafeTokenError(f"{IMPORT_RULE}; too many of its characters follow from others")


def _count_unpredictable(token: str) -> int:
    """Return how many characters neither belong to a repetition nor continue a run."""
    repeated: set[int] = set()
    for start in range(1, len(token) - _REPETITION + 1):
        piece = token[start : start + _REPETITION]
        if token.find(piece) < start:
            repeated.update(range(start, start + _REPETITION))
    codes = [*map(ord, token)]
    steps = [after - before for before, after in pairwise(codes)]
    runs = {
        index + 2
        for index, (before, after) in enumerate(pairwise(steps))
        if before == after and abs(after) <= 1
    }
    return len(token) - len(repeated | runs)


def derive_key_id(token: str) -> str:
    """Return the key id of an imported token.

    The same token always gets the same id, so that a token that is imported twice at once becomes
    one key. The id is public, and is therefore derived slowly.
    """
    digest = hashlib.pbkdf2_hmac("sha256", token.encode(), b"qrmill key id", _ROUNDS)
    value, digits = int.from_bytes(digest, "big"), ""
    for _ in range(_ID_LENGTH):
        value, digit = divmod(value, len(_ID_ALPHABET))
        digits += _ID_ALPHABET[digit]
    return digits


def token_sha256(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def checksum(text: str) -> str:
    """Return the CRC-32 of ``text`` as six letters and digits."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
