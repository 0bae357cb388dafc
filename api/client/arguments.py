"""What a client is given, checked before anything is sent: the API's URL, a key, the id of one."""

import re

import httpx

_SCHEMES = ("http://", "https://")
_PORTS = 65_536
_API_KEY = re.compile(r"[!-~]+")
_KEY_ID = re.compile(r"[0-9a-z]{12}")


def check_url(url: str) -> None:
    """Check that ``url`` can be the API's.

    Raises:
        ValueError: it cannot.
    """
    if not url.startswith(_SCHEMES):
        raise ValueError(f"the API's URL has to begin with {' or '.join(_SCHEMES)}")
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"the API's URL cannot be right: {error}") from None
    if not read.raw_host:
        raise ValueError("the API's URL has no host")
    # httpx leaves this to the connection, which fails with an OverflowError.
    if read.port is not None and not 0 < read.port < _PORTS:
        raise ValueError(f"the API's URL has the port {read.port}, which there is not")


def check_api_key(api_key: str) -> None:
    """Check that ``api_key`` can be a key.

    Raises:
        ValueError: it cannot; it is not repeated, as it may be nearly right.
    """
    if not _API_KEY.fullmatch(api_key):
        raise ValueError("the API key is empty or has characters that no key has")


def check_key_id(key_id: str) -> None:
    """Check that ``key_id`` can be a key's id, or is ``self``: it goes into a path, and into logs.

    Raises:
        ValueError: it cannot; it is not repeated, as it may be a whole key.
    """
    if key_id != "self" and not _KEY_ID.fullmatch(key_id):
        raise ValueError(
            "a key's id has 12 lower-case letters and digits, as `qrmill keys list` shows it: of "
            "the key qrmill_ID_SECRET it is ID alone"
        )
