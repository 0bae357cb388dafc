"""The check of rows: what was found is named by the lines of the text."""

import pytest

from api.console.row_check import check_rows
from api.intake.validation import RequestLimits

LIMITS = RequestLimits(1000, "cset82", "https://id.gs1.org", 3)
SETTINGS = {"gtin": "9506000134352", "format": "pdf"}


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        ("lot,serial\nA,1\nA,1\n", 3, "row 2"),
        ("sep=;\nlot;serial\nA;1\nB;2\nA;1\n", 5, "row 3"),
        ('"lot\n",serial\nA,7\nB,2\nB,3\nB,4\nA,7\n', 7, "row 3"),
        ("lot\tserial\nA\t1\n\t\nA\t1\n", 4, "row 2"),
    ],
)
def test_a_duplicate_refers_to_the_row_of_the_first(text: str, line: int, first: str) -> None:
    result = check_rows(text, SETTINGS, LIMITS).result
    (warning,) = [each for each in result.warnings if each.code == "duplicate_serial"]
    assert warning.line == line
    assert f"that of {first}," in warning.detail
    assert "/items/" not in warning.detail


def test_a_malformed_text_is_an_error_and_not_an_exception() -> None:
    for text in ("", "\n", 'lot\n"A', 'lot\nA"B"\n"C"D\n', "{}", "<html>", "lot\n" + "x" * 20_000):
        check = check_rows(text, SETTINGS, LIMITS)
        assert not check.result.would_accept
        assert check.result.errors
        assert check.symbols == []


def test_the_first_symbols_are_those_of_valid_rows_with_valid_settings() -> None:
    text = "serial\n" + "".join(f"{'Ä' if n == 1 else 'A'}{n}\n" for n in range(20))
    check = check_rows(text, SETTINGS, LIMITS)
    assert [symbol.uri[-2:] for symbol in check.symbols] == ["A0", "A2"]  # of the first batch
    assert check.result.symbols[0].count == 19
    for wrong in ({"gtin": "1"}, {"xdim_mm": "99"}, {"format": "bmp"}, {"xdim_mm": "NaN"}):
        assert check_rows(text, SETTINGS | wrong, LIMITS).symbols == []
    large = check_rows(text, SETTINGS | {"format": "png", "xdim_mm": "5", "dpi": "1200"}, LIMITS)
    assert large.result.errors[0].code == "image_too_large"
    assert large.symbols == []
