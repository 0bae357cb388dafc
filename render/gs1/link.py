"""GS1 Digital Link URIs.

Source: GS1 Digital Link Standard: URI Syntax, section 4 (the primary key and its qualifiers in the
path, in the order 01, 22, 10, 21; data attributes in the query) and RFC 3986, section 2.1.
"""

from urllib.parse import quote

#: ``quote`` does not encode letters, digits and ``_.-~``; the HTTP contract encodes the tilde too.
_TILDE = "%7E"


def encode_value(value: str) -> str:
    """Percent-encode every byte outside ``A-Z a-z 0-9 - . _``, in upper-case hexadecimal."""
    return quote(value, safe="").replace("~", _TILDE)


def digital_link_uri(
    base: str, gtin14: str, lot: str | None, serial: str | None, expiry: str | None
) -> str:
    """Return ``{base}/01/{gtin14}[/10/{lot}][/21/{serial}][?17={expiry}]`` for valid values.

    A lot or serial of ``.`` or ``..`` is not changed, because the standard's grammar allows it and
    scanners read it. Browsers remove such a segment (RFC 3986, section 5.2.4) even when it is
    written as ``%2E`` (WHATWG URL, "single-dot path segment"), so no encoding would preserve the
    segment.

    Args:
        base: scheme, host and optional path, without a trailing slash.
        gtin14: GTIN of 14 digits.
        lot: batch or lot number (AI 10), or None.
        serial: serial number (AI 21), or None.
        expiry: expiration date (AI 17) as YYMMDD, or None.
    """
    uri = f"{base}/01/{gtin14}"
    if lot is not None:
        uri += f"/10/{encode_value(lot)}"
    if serial is not None:
        uri += f"/21/{encode_value(serial)}"
    if expiry is not None:
        uri += f"?17={expiry}"
    return uri
