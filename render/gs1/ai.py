"""Values of application identifiers: lot (AI 10), serial (AI 21), variant (AI 22) and dates.

The dates are those of production (AI 11), packaging (AI 13), best before (AI 15), sell by (AI 16)
and expiration (AI 17).

Sources: GS1 General Specifications, section 3.4 (AI 10 to 17), section 3.5 (AI 21 and 22), section
7.11 (character set 82, figure 7.11-1) and section 7.12 (the century of a two-digit year).
"""

import calendar
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from render.errors import InvalidValueError, shown

#: ``cset82``: GS1 character set 82. ``ascii``: every printable ASCII character.
Charset = Literal["cset82", "ascii"]

MAX_LENGTH = 20
#: Application identifiers of the dates of production, packaging, best before and sell by.
OTHER_DATE_AIS = ("11", "13", "15", "16")
#: The printable ASCII characters that are outside character set 82.
OUTSIDE_CSET82 = "#$@[\\]^`{|}~"
_FORBIDDEN = {
    "cset82": re.compile(r"[^!-~]|[" + re.escape(OUTSIDE_CSET82) + "]"),
    "ascii": re.compile(r"[^!-~]"),
}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_CSET82 = _PRINTABLE.translate(str.maketrans("", "", OUTSIDE_CSET82))
#: Any number of values, each followed by a line feed, which is in neither set.
_ALL_ALLOWED = {
    charset: re.compile(f"(?:[{re.escape(characters)}]{{1,{MAX_LENGTH}}}+\n)*+")
    for charset, characters in (("cset82", _CSET82), ("ascii", _PRINTABLE))
}
_SIX_DIGITS = re.compile(r"[0-9]{6}")


def check_alphanumeric(value: str, charset: Charset) -> None:
    """Check a lot or serial number: 1 to 20 characters of ``charset``.

    Raises:
        InvalidValueError: If the value is empty or too long, or has a character outside the set;
            the error names the character and its position, counted from 1.
    """
    if not 1 <= len(value) <= MAX_LENGTH:
        raise InvalidValueError(
            "length",
            f"{shown(value)} has {len(value)} characters; send 1 to {MAX_LENGTH} characters, "
            "or leave it out.",
        )
    found = _FORBIDDEN[charset].search(value)
    if found:
        allowed = (
            "GS1 character set 82" if charset == "cset82" else "the printable ASCII characters"
        )
        raise InvalidValueError(
            "character",
            f"{shown(value)} has {found[0]!r} (U+{ord(found[0]):04X}) at position "
            f"{found.start() + 1}, which is outside {allowed}.",
        )


def all_alphanumeric(values: Sequence[str], charset: Charset) -> bool:
    """Return whether all ``values`` pass :func:`check_alphanumeric`.

    This takes a quarter of the time of checking each value.
    """
    lines = "\n".join([*values, ""])
    return lines.count("\n") == len(values) and bool(_ALL_ALLOWED[charset].fullmatch(lines))


def check_expiry(value: str) -> None:
    """Check an expiration date, as :func:`check_date` does."""
    check_date(value, ("expiry_format", "expiry_date"))


@lru_cache(maxsize=4096)
def check_date(value: str, codes: tuple[str, str] = ("date_format", "date_value")) -> None:
    """Check a date YYMMDD; day 00 means the last day of the month.

    The century matters only for 29 February of year 00, because 2000 is a leap year and 2100 is
    not. By the General Specifications, section 7.12, year 00 means 2000 until the year 2050.

    Args:
        value: the date.
        codes: error codes of a value that is not six digits, and of one that is not a date.

    Raises:
        InvalidValueError: If the value is not six ASCII digits, or not a date.
    """
    if not _SIX_DIGITS.fullmatch(value):
        raise InvalidValueError(
            codes[0],
            f"{shown(value)} is not six digits YYMMDD, such as 271231 for 31 December 2027.",
        )
    year, month, day = 2000 + int(value[:2]), int(value[2:4]), int(value[4:])
    if not 1 <= month <= 12:  # noqa: PLR2004 - months of a year
        raise InvalidValueError(codes[1], f"{shown(value)} has month {value[2:4]}; send 01 to 12.")
    last = calendar.monthrange(year, month)[1]
    if day > last:
        raise InvalidValueError(
            codes[1],
            f"{shown(value)} has day {value[4:]}, but {year}-{month:02} has {last} days; "
            "day 00 means the last day.",
        )
