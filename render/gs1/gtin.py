"""Global Trade Item Numbers: remove separators, verify the check digit, pad to GTIN-14.

Sources: GS1 General Specifications, section 3.3.2 (AI 01: a GTIN of 14 digits, shorter ones filled
with leading zeros), section 7.9.1 (standard check digit calculation) and section 1.4.2 (tables of
GS1 prefixes and GS1-8 prefixes).
"""

import re

from render.errors import InvalidValueError, shown

#: The GTINs that a client may send: digits with white space and hyphens between them. Only ASCII
#: characters are matched, because the General Specifications have no other digits, while Python's
#: ``\\d`` and ``\\s`` match more.
PATTERN = r"^[\d\s\-]{8,17}$"
_ACCEPTED = re.compile(r"[\d\s\-]{8,17}", re.ASCII)
_SEPARATORS = re.compile(r"[\s\-]+", re.ASCII)
_LENGTHS = (8, 12, 13, 14)
_GTIN8_LENGTH = 8
#: GS1 prefixes "used to issue restricted circulation numbers" within a company (0000000, 04) or a
#: geographic region (02, 20 to 29).
_RESTRICTED = re.compile(r"0000000|0[24]|2[0-9]")


def check_digit(payload: str) -> int:
    """Return the check digit (0-9) of ``payload``, the digits of a GTIN without its check digit.

    GS1 General Specifications, section 7.9.1: sum the digits with the weights 3, 1, 3, … from the
    right; the check digit is the difference to the next multiple of ten.
    """
    weighted = sum(
        int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(payload))
    )
    return -weighted % 10


def normalize_gtin(text: str) -> str:
    """Return a GTIN as a checked GTIN-14 of 14 ASCII digits.

    Args:
        text: 8 to 17 characters: the 8, 12, 13 or 14 digits of a GTIN, with ASCII white space and
            hyphens anywhere between them.

    Raises:
        InvalidValueError: If ``text`` has another character, another number of digits, a wrong
            check digit, or zeros only.
    """
    if not _ACCEPTED.fullmatch(text):
        raise InvalidValueError(
            "gtin_format",
            f"{shown(text)} is not a GTIN: send 8, 12, 13 or 14 digits, at most 17 characters "
            "including spaces and hyphens.",
        )
    digits = _SEPARATORS.sub("", text)
    if len(digits) not in _LENGTHS:
        raise InvalidValueError(
            "gtin_length",
            f"{shown(text)} has {len(digits)} digits; a GTIN has 8, 12, 13 or 14.",
        )
    if not digits.strip("0"):
        raise InvalidValueError(
            "gtin_zeros",
            f"{shown(text)} has only zeros, which no product has: send the GTIN of the product.",
        )
    expected = check_digit(digits[:-1])
    if int(digits[-1]) != expected:
        raise InvalidValueError(
            "gtin_check_digit",
            f"{shown(text)} ends in {digits[-1]}, but the check digit of {digits[:-1]} is "
            f"{expected}: check for a mistyped digit or two swapped digits.",
        )
    return digits.zfill(14)


def is_restricted_gtin8(text: str) -> bool:
    """Return whether a valid GTIN was sent as eight digits of which the first is 0 or 2.

    The GS1-8 prefixes 000 to 099 and 200 to 299 are for numbers within a company. A UPC-E, a short
    form of a GTIN-12, has eight digits too, begins with 0, and may pass the check of a GTIN-8.
    """
    digits = _SEPARATORS.sub("", text)
    return len(digits) == _GTIN8_LENGTH and digits[0] in "02"


def is_restricted(gtin14: str) -> bool:
    """Return whether a GTIN-14 has a GS1 prefix for numbers within a company or a region.

    The prefix begins at the second digit, behind the indicator digit. For a GTIN-8 that was padded
    to 14 digits, the GS1-8 prefix counts instead. It begins at the seventh digit.
    """
    if gtin14.startswith("000000"):
        return gtin14[6] in "02"
    return bool(_RESTRICTED.match(gtin14, 1))
