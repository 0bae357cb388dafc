"""GS1 Digital Link URIs.

Source: GS1 Digital Link Standard: URI Syntax, section 4 (the primary key and its qualifiers in the
path, in the order 01, 22, 10, 21; data attributes in the query, here in ascending order) and RFC
3986, section 2.1.
"""

from collections.abc import Sequence
from urllib.parse import quote

from render.gs1.ai import OTHER_DATE_AIS

#: ``quote`` does not encode letters, digits and ``_.-~``; the HTTP contract encodes the tilde too.
_TILDE = "%7E"


def encode_value(value: str) -> str:
    """Percent-encode every byte outside ``A-Z a-z 0-9 - . _``, in upper-case hexadecimal."""
    return quote(value, safe="").replace("~", _TILDE)


def digital_link_uri(  # noqa: PLR0917 - one per application identifier
    base: str,
    gtin14: str,
    lot: str | None = None,
    serial: str | None = None,
    expiry: str | None = None,
    other_dates: Sequence[str | None] = (),
    variant: str | None = None,
) -> str:
    """Return the URI of valid values.

    ``{base}/01/{gtin14}[/22/{variant}][/10/{lot}][/21/{serial}][?11=…&13=…&15=…&16=…&17={expiry}]``

    A lot, serial or variant of ``.`` or ``..`` is not changed, because the standard's grammar
    allows it and scanners read it. Browsers remove such a segment (RFC 3986, section 5.2.4) even
    when it is written as ``%2E`` (WHATWG URL, "single-dot path segment"), so no encoding would
    preserve the segment.

    Args:
        base: scheme, host and optional path, without a trailing slash.
        gtin14: GTIN of 14 digits.
        lot: batch or lot number (AI 10), or None.
        serial: serial number (AI 21), or None.
        expiry: expiration date (AI 17) as YYMMDD, or None.
        other_dates: the dates of :data:`OTHER_DATE_AIS` as YYMMDD, each or None; may be empty.
        variant: consumer product variant (AI 22), or None.
    """
    uri = f"{base}/01/{gtin14}"
    if variant is not None:
        uri += f"/22/{encode_value(variant)}"
    if lot is not None:
        uri += f"/10/{encode_value(lot)}"
    if serial is not None:
        uri += f"/21/{encode_value(serial)}"
    mark = "?"
    for ai, value in zip(OTHER_DATE_AIS, other_dates, strict=False):
        if value is not None:
            uri += f"{mark}{ai}={value}"
            mark = "&"
    if expiry is not None:
        uri += f"{mark}17={expiry}"
    return uri
