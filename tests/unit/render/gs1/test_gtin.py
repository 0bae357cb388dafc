import re

import pytest
from biip.checksums import gs1_standard_check_digit
from biip.gtin import Gtin
from hypothesis import given
from hypothesis import strategies as st

from render.errors import InvalidValueError
from render.gs1.gtin import check_digit, normalize_gtin

lengths = st.sampled_from([8, 12, 13, 14])
payloads = lengths.flatmap(lambda n: st.text("0123456789", min_size=n - 1, max_size=n - 1))


def _code(text: str) -> str:
    with pytest.raises(InvalidValueError) as caught:
        normalize_gtin(text)
    return caught.value.code


@given(payload=payloads)
def test_biip_reads_what_is_accepted_as_the_same_gtin(payload: str) -> None:
    gtin = payload + str(check_digit(payload))
    assert normalize_gtin(gtin) == gtin.zfill(14)
    assert Gtin.parse(normalize_gtin(gtin)).as_gtin_14() == gtin.zfill(14)


@given(payload=payloads, wrong=st.integers(1, 9))
def test_every_wrong_check_digit_is_refused(payload: str, wrong: int) -> None:
    digit = (check_digit(payload) + wrong) % 10
    assert _code(f"{payload}{digit}") == "gtin_check_digit"


@given(payload=payloads, place=st.integers(0, 12), other=st.integers(1, 9))
def test_every_single_mistyped_digit_is_refused(payload: str, place: int, other: int) -> None:
    gtin = payload + str(check_digit(payload))
    place %= len(gtin)
    digit = (int(gtin[place]) + other) % 10
    assert _code(f"{gtin[:place]}{digit}{gtin[place + 1 :]}") == "gtin_check_digit"


@given(text=st.text(max_size=20) | st.text("0123456789 -\t\n", max_size=20))
def test_a_text_is_accepted_if_and_only_if_biip_knows_its_check_digit(text: str) -> None:
    digits = "".join(character for character in text if character in "0123456789")
    separators = set(text) - set(digits)
    if (
        8 <= len(text) <= 17
        and len(digits) in {8, 12, 13, 14}
        and separators <= set("- \t\n\r\f\v")
        and gs1_standard_check_digit(digits[:-1]) == int(digits[-1])
    ):
        assert normalize_gtin(text) == digits.zfill(14)
    else:
        with pytest.raises(InvalidValueError, match=re.escape(repr(text))):
            normalize_gtin(text)


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("9506000134352", "09506000134352"),
        ("09506000134352", "09506000134352"),
        ("950-6000-134352", "09506000134352"),
        (" 9506000134352 ", "09506000134352"),
        ("9 506000 134352\n", "09506000134352"),
        ("036000291452", "00036000291452"),
        ("96385074", "00000096385074"),
        ("00000000", "00000000000000"),
    ],
)
def test_separators_are_dropped_and_leading_zeros_filled(text: str, gtin: str) -> None:
    assert normalize_gtin(text) == gtin


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "gtin_format"),
        ("9638507", "gtin_format"),
        ("٣٤٥٦٧٨٩٠", "gtin_format"),
        ("950600013435\uff12", "gtin_format"),
        ("9506000134352\u00a0", "gtin_format"),
        ("9506000134352\u2003", "gtin_format"),
        ("95060001343.2", "gtin_format"),
        ("+506000134352", "gtin_format"),
        ("0950-6000-134-352\n", "gtin_format"),
        ("000000000000000000", "gtin_format"),
        ("9506000134", "gtin_length"),
        ("000000000000000", "gtin_length"),
        ("        ", "gtin_length"),
        ("--------", "gtin_length"),
        ("9506000134325", "gtin_check_digit"),
    ],
)
def test_what_is_no_gtin_is_refused(text: str, code: str) -> None:
    assert _code(text) == code
