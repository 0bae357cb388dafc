"""Checks of the client's arguments before anything is sent: API URL, API key, key id, options."""

import math
import re
from collections.abc import Mapping

import httpx2

_SCHEMES = ("http://", "https://")
_PORTS = 65_536
_API_KEY = re.compile(r"[!-~]+")
_KEY_ID = re.compile(r"[0-9a-z]{12}")


def check_url(url: str) -> None:
    """Check that ``url`` can be the URL of an API.

    Raises:
        ValueError: the URL is malformed.
    """
    if not url.startswith(_SCHEMES):
        raise ValueError(f"invalid API URL: must begin with {' or '.join(_SCHEMES)}")
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"invalid API URL: {error}") from None
    if not parsed.raw_host:
        raise ValueError("invalid API URL: no host")
    # The HTTP library checks the range only when it connects, with an OverflowError.
    if parsed.port is not None and not 0 < parsed.port < _PORTS:
        raise ValueError(f"invalid port in API URL: {parsed.port}")


def check_api_key(api_key: str) -> None:
    """Check that ``api_key`` can be an API key.

    Raises:
        ValueError: the key is malformed; the message does not contain the key, because a mistyped
            key still reveals most of a secret.
    """
    if not _API_KEY.fullmatch(api_key):
        raise ValueError("invalid API key: empty, or has characters that no API key has")


def check_key_id(key_id: str) -> None:
    """Check that ``key_id`` is ``self`` or can be a key id.

    A key id becomes part of paths and of logs, where an API key must not appear.

    Raises:
        ValueError: the id is malformed; the message does not contain the id, which may be a whole
            API key.
    """
    if key_id != "self" and not _KEY_ID.fullmatch(key_id):
        raise ValueError(
            "invalid key id: must be 12 lower-case letters and digits, as `qrmill keys list` shows "
            "it; for the API key qrmill_ID_SECRET, send only ID"
        )


def check_options(options: Mapping[str, object]) -> None:
    """Check that no option is NaN or infinite, which JSON cannot express.

    The encoder would write null, and the service would use its default.

    Raises:
        ValueError: an option is NaN or infinite.
    """
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"invalid {name}: must be a finite number: {value}")
