import calendar
import datetime as dt
import string
from collections.abc import Callable

import pytest
from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from biip.gs1_element_strings import GS1ElementString
from hypothesis import assume, given
from hypothesis import strategies as st

from render.errors import InvalidValueError
from render.gs1.ai import (
    OUTSIDE_CSET82,
    Charset,
    all_alphanumeric,
    check_alphanumeric,
    check_expiry,
)
from tests.unit.render.samples import CSET82

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def _code(check: Callable[..., None], *arguments: str) -> str:
    with pytest.raises(InvalidValueError) as caught:
        check(*arguments)
    return caught.value.code


nearly = st.text(st.sampled_from([*PRINTABLE, "\n", "\0", " ", "é"]), max_size=22)


@given(
    st.lists(st.text(CSET82, min_size=1, max_size=20) | nearly, max_size=5),
    st.sampled_from(["cset82", "ascii"]),
)
def test_all_values_are_right_if_and_only_if_each_is(values: list[str], charset: Charset) -> None:
    def is_right(value: str) -> bool:
        try:
            check_alphanumeric(value, charset)
        except InvalidValueError:
            return False
        return True

    assert all_alphanumeric(values, charset) == all(map(is_right, values))


@given(value=st.text(CSET82, min_size=1, max_size=20), charset=st.sampled_from(["cset82", "ascii"]))
def test_character_set_82_is_accepted(value: str, charset: Charset) -> None:
    check_alphanumeric(value, charset)


@given(value=st.text(PRINTABLE, min_size=1, max_size=20))
def test_the_wider_set_has_every_printable_character(value: str) -> None:
    check_alphanumeric(value, "ascii")


def test_the_two_sets_differ_by_twelve_characters() -> None:
    assert len(OUTSIDE_CSET82) == 12
    assert set(PRINTABLE) - set(OUTSIDE_CSET82) == set(CSET82)
    assert len(CSET82) == 82


@pytest.mark.parametrize("character", OUTSIDE_CSET82)
@pytest.mark.parametrize("place", [1, 4, 20])
def test_a_character_outside_is_named_with_its_position(character: str, place: int) -> None:
    value = "A" * (place - 1) + character + "B" * (20 - place)
    with pytest.raises(InvalidValueError, match=f"U\\+{ord(character):04X}") as caught:
        check_alphanumeric(value, "cset82")
    assert caught.value.code == "character"
    assert f"at position {place}," in caught.value.detail
    check_alphanumeric(value, "ascii")


@pytest.mark.parametrize("charset", ["cset82", "ascii"])
@pytest.mark.parametrize(
    "value", ["LOT 1", "LOT1\n", "\nLOT1", "LOT\x7f", "LOT٣", "é", "\x1d", "A\0"]
)
def test_what_is_not_printable_ascii_is_refused(value: str, charset: Charset) -> None:
    assert _code(check_alphanumeric, value, charset) == "character"


@pytest.mark.parametrize("value", ["", "A" * 21, "٣" * 21, "A" * 20 + "\n"])
def test_one_to_twenty_characters_are_allowed(value: str) -> None:
    assert _code(check_alphanumeric, value, "ascii") == "length"


@given(value=st.text(min_size=1, max_size=20))
def test_a_value_is_accepted_if_and_only_if_it_is_in_the_set(value: str) -> None:
    if set(value) <= set(CSET82):
        check_alphanumeric(value, "cset82")
    else:
        assert _code(check_alphanumeric, value, "cset82") == "character"


@given(date=st.dates(dt.date(2000, 1, 1), dt.date(2049, 12, 31)))
def test_every_day_is_accepted_and_biip_reads_it_as_that_day(date: dt.date) -> None:
    value = f"{date:%y%m%d}"
    check_expiry(value)
    assert _biip_date(value) == date


@given(value=st.text(string.digits, min_size=6, max_size=6))
def test_six_digits_are_accepted_if_and_only_if_they_are_a_date(value: str) -> None:
    year, month, day = 2000 + int(value[:2]), int(value[2:4]), int(value[4:])
    real = 1 <= month <= 12 and day <= calendar.monthrange(year, month)[1]
    if real:
        check_expiry(value)
        assert _biip_date(value).day == (day or calendar.monthrange(year, month)[1])
    else:
        assert _code(check_expiry, value) == "expiry_date"
        with pytest.raises(ParseError):
            _biip_date(value)


def _biip_date(value: str) -> dt.date:
    """Return the date that biip reads in AI 17."""
    expiry = GS1ApplicationIdentifier.extract("17")
    date = GS1ElementString.extract(expiry.ai + value).date
    assert date is not None
    return date


@pytest.mark.parametrize("value", ["240229", "000229", "240200", "230200", "991231", "500101"])
def test_leap_days_and_last_days_of_months_are_accepted(value: str) -> None:
    check_expiry(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("230229", "2023-02 has 28 days"),
        ("240230", "2024-02 has 29 days"),
        ("240431", "2024-04 has 30 days"),
        ("240132", "2024-01 has 31 days"),
        ("240001", "month 00"),
        ("241301", "month 13"),
    ],
)
def test_a_date_that_never_was_is_refused_with_the_reason(value: str, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words) as caught:
        check_expiry(value)
    assert caught.value.code == "expiry_date"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "27123",
        "2712311",
        "20271231",
        "271231\n",
        " 271231",
        "27-12-31",
        "٢٧١٢٣١",
        "\uff12\uff17\uff11\uff12\uff13\uff11",
        "+71231",
    ],
)
def test_what_is_not_six_ascii_digits_is_refused(value: str) -> None:
    assert _code(check_expiry, value) == "expiry_format"


@given(value=st.text(max_size=8))
def test_any_text_is_accepted_or_refused_with_a_code(value: str) -> None:
    assume(not (len(value) == 6 and value.isascii() and value.isdigit()))
    assert _code(check_expiry, value) == "expiry_format"
