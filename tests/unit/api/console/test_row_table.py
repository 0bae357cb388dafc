"""The first rows of a text, as a page shows them."""

import pytest

from api.console.row_table import RowTable, read_table, visible
from api.schemas.problems import RequestWarning, Violation


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LOT-7", "LOT-7"),
        ("Ä 0003", "Ä 0003"),
        ("=1+1", "=1+1"),
        ("<b>&", "<b>&"),
        ("a\tb\nc\x00\x7f\x85", "a\\u0009b\\u000ac\\u0000\\u007f\\u0085"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\u200b\ufeff\u2028\ue000\U000e0001", "\\u200b\\ufeff\\u2028\\ue000\\ue0001"),
        ("x" * 61, "x" * 60 + "…"),
    ],
)
def test_no_character_is_invisible_or_moves_others(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_columns_are_named_as_spreadsheets_name_them() -> None:
    table = RowTable(["lot", "", "expiry"], [])
    assert [table.column_name(column) for column in (1, 2, 3, 4)] == [
        "A, lot",
        "B",
        "C, expiry",
        "D",
    ]
    names = [table.column_name(column) for column in (26, 27, 52, 53, 702, 703)]
    assert names == ["Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def test_cells_and_rows_are_marked_and_an_error_wins_over_a_warning() -> None:
    errors = [Violation("/items/0/lot", "x", "", 2, 1), Violation("/items/2", "x", "", 5)]
    warnings = [RequestWarning("/items/0/lot", "x", "", 2, 1), RequestWarning("", "x", "", 4, 2)]
    table = read_table(b'lot,serial\nA,1\n"B\n",2\nC,3\n', errors, warnings)
    assert table.header == ["lot", "serial"]
    assert [row.line for row in table.rows] == [2, 3, 5]
    assert [row.mark for row in table.rows] == ["", "", "error"]
    assert [[cell.mark for cell in row.cells] for row in table.rows] == [
        ["error", ""],
        ["", ""],
        ["", ""],
    ]


def test_few_rows_and_columns_are_shown_up_to_the_first_malformed_one() -> None:
    wide = ",".join(f"c{number}" for number in range(500))
    table = read_table(f"{wide}\n{wide}\n".encode() * 30, [], [])
    assert (len(table.rows), len(table.header), len(table.rows[0].cells)) == (10, 30, 30)
    broken = read_table(b'lot\nA\nB\n"C\n', [], [])
    assert [row.cells[0].text for row in broken.rows] == ["A", "B"]
    assert read_table(b"", [], []) == RowTable([], [])
