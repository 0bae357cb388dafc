"""Every subset of identifiers and dates, read back by biip and checked by GS1's own rules in zint.

biip takes the order of key qualifiers from GS1's syntax dictionary. The rules with which zint
checks element strings are generated from it.
"""

from itertools import chain, combinations
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import zint
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from hypothesis import given
from hypothesis import strategies as st

from render.gs1.ai import OTHER_DATE_AIS, check_alphanumeric, check_date
from render.gs1.gtin import check_digit
from render.gs1.hri import human_readable
from render.gs1.link import digital_link_uri
from tests.unit.render.samples import CSET82

BASE = "https://id.gs1.org"
GTIN = "09506000134352"
#: Application identifiers in the order of the URI: qualifiers, then dates.
QUALIFIERS, DATES = ("22", "10", "21"), (*OTHER_DATE_AIS, "17")
EXAMPLES = {
    "22": "2A",
    "10": "L/1",
    "21": "S%20?",
    "11": "260105",
    "13": "260100",
    "15": "271130",
    "16": "271115",
    "17": "271231",
}
SUBSETS = [*chain.from_iterable(combinations(EXAMPLES, number) for number in range(9))]

gtins = st.text("0123456789", min_size=13, max_size=13).map(lambda p: p + str(check_digit(p)))
texts = st.text(CSET82, min_size=1, max_size=20)
dates = st.dates().map(lambda date: f"{date.year % 100:02}{date:%m%d}")
months = st.dates().map(lambda date: f"{date.year % 100:02}{date:%m}00")
identifiers = st.fixed_dictionaries(
    {},
    optional={**dict.fromkeys(QUALIFIERS, texts), **dict.fromkeys(DATES, dates | months)},
)


def arguments(values: dict[str, str]) -> tuple[Any, ...]:
    """Return the arguments after the GTIN of ``digital_link_uri`` and ``human_readable``."""
    other = tuple(values.get(ai) for ai in OTHER_DATE_AIS)
    return values.get("10"), values.get("21"), values.get("17"), other, values.get("22")


def complaints(gtin: str, values: dict[str, str]) -> str:
    """Return what zint has against element strings; their values have no bracket."""
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.input_mode = zint.InputMode.GS1
    symbol.encode("".join(f"[{ai}]{value}" for ai, value in {"01": gtin, **values}.items()))
    return str(symbol.errtxt)


def check(gtin: str, values: dict[str, str]) -> None:
    uri = digital_link_uri(BASE, gtin, *arguments(values))
    in_order = {ai: values[ai] for ai in (*QUALIFIERS, *DATES) if ai in values}
    path, query = urlsplit(uri).path, urlsplit(uri).query
    segments = [unquote(segment) for segment in path.split("/")[1:]]
    assert dict(zip(segments[::2], segments[1::2], strict=True)) == {
        "01": gtin,
        **{ai: value for ai, value in in_order.items() if ai in QUALIFIERS},
    }
    found = [*zip(segments[::2], segments[1::2], strict=True), *parse_qsl(query)]
    assert found == [("01", gtin), *in_order.items()]
    # biip rejects qualifiers in another order, and dates that do not exist.
    elements = GS1DigitalLinkURI.parse(uri).element_strings
    assert [(each.ai.ai, each.value) for each in elements] == found
    hri = human_readable(gtin, *arguments(values))
    assert hri == "".join(f"({ai}){value}" for ai, value in found)
    assert complaints(gtin, in_order) == ""


def test_every_subset_is_in_the_order_of_gs1() -> None:
    assert len({*SUBSETS}) == 2**8
    for subset in SUBSETS:
        check(GTIN, {ai: EXAMPLES[ai] for ai in subset})


@given(gtin=gtins, values=identifiers)
def test_every_value_is_read_back_in_the_order_of_gs1(gtin: str, values: dict[str, str]) -> None:
    check(gtin, values)


def test_the_checks_find_what_they_look_for() -> None:
    assert "Bad checksum" in complaints("09506000134353", {})
    assert "Invalid month" in complaints(GTIN, {"15": "271331"})
    assert "CSET 82" in complaints(GTIN, {"22": "a b"})


@given(value=st.text("0123456789", min_size=6, max_size=6) | dates | months)
def test_a_date_is_valid_for_us_exactly_if_it_is_for_gs1(value: str) -> None:
    try:
        check_date(value)
    except ValueError:
        accepted = False
    else:
        accepted = True
    assert accepted == all(complaints(GTIN, {ai: value}) == "" for ai in DATES)


@given(value=st.text(CSET82, max_size=24))
def test_a_variant_is_valid_for_us_exactly_if_it_is_for_gs1(value: str) -> None:
    try:
        check_alphanumeric(value, "cset82")
    except ValueError:
        assert not 1 <= len(value) <= 20
    else:
        assert complaints(GTIN, {"22": value}) == ""
