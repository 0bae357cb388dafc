import re

import pytest
from biip.checksums import gs1_standard_check_digit
from biip.gs1_prefixes import GS1Prefix
from biip.gtin import Gtin
from hypothesis import assume, given
from hypothesis import strategies as st

from render.errors import InvalidValueError
from render.gs1.gtin import check_digit, is_restricted, is_restricted_gtin8, normalize_gtin

lengths = st.sampled_from([8, 12, 13, 14])
payloads = lengths.flatmap(lambda n: st.text("0123456789", min_size=n - 1, max_size=n - 1))


def _code(text: str) -> str:
    with pytest.raises(InvalidValueError) as caught:
        normalize_gtin(text)
    return caught.value.code


@given(payload=payloads)
def test_biip_reads_what_is_accepted_as_the_same_gtin(payload: str) -> None:
    gtin = payload + str(check_digit(payload))
    assume(gtin.strip("0"))
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
        and int(digits)
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
        ("00000000", "gtin_zeros"),
        ("000000000000", "gtin_zeros"),
        ("0000000000000", "gtin_zeros"),
        ("00000000000000", "gtin_zeros"),
        ("0000-0000", "gtin_zeros"),
        (" 000000 000000\n", "gtin_zeros"),
    ],
)
def test_what_is_no_gtin_is_refused(text: str, code: str) -> None:
    assert _code(text) == code


@pytest.mark.parametrize(
    ("text", "restricted"),
    [
        ("01234565", True),
        ("20000004", True),
        ("0123-4565", True),
        ("\t0123 4565", True),
        ("96385074", False),
        ("10000007", False),
        ("012345000065", False),
    ],
)
def test_eight_digits_that_begin_with_0_or_2_are_restricted(text: str, *, restricted: bool) -> None:
    normalize_gtin(text)
    assert is_restricted_gtin8(text) is restricted


@given(prefix=st.integers(0, 999).map("{:03}".format), rest=st.text("0123456789", min_size=9))
def test_restricted_prefixes_are_those_that_biip_has(prefix: str, rest: str) -> None:
    gtin13 = (prefix + rest)[:12]
    assume(not gtin13.startswith("00000"))  # of which some are the room of GTIN-8
    found = GS1Prefix.extract(gtin13)
    usage = found.usage if found else ""
    for indicator in "019":
        assert is_restricted(f"{indicator}{gtin13}0") is ("Restricted Circulation" in usage)


@pytest.mark.parametrize("gtin8", ["01234565", "20000004", "96385074", "10000007"])
def test_a_filled_gtin_8_is_restricted_as_the_gtin_8_is(gtin8: str) -> None:
    for filled in (gtin8.zfill(12), gtin8.zfill(13), gtin8.zfill(14)):
        assert not is_restricted_gtin8(filled)
        assert is_restricted(normalize_gtin(filled)) is is_restricted_gtin8(gtin8)


def test_a_number_within_a_company_is_restricted() -> None:
    assert is_restricted("00000000123457")
    assert is_restricted("10000000123454")
