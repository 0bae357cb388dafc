"""The first rows of a CSV text as a table, with the cells that have errors or warnings."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Literal, NamedTuple

from api.http.problems import ProblemError
from api.intake.csv_records import CsvRecords
from api.schemas.problems import RequestWarning, Violation
from render.errors import truncated

#: Number of rows and columns that the table shows.
_ROWS, _COLUMNS = 10, 30
#: Categories of characters that are invisible or change the order of others, among them the
#: controls for bidirectional text (Unicode Standard, section 4.5).
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})

Mark = Literal["", "warning", "error"]


class Cell(NamedTuple):
    """A cell: its text as it is shown, and whether something was found in it."""

    text: str
    mark: Mark


class Row(NamedTuple):
    """A row: the number of its line in the text, from 1; what was found in it; its cells."""

    line: int
    mark: Mark
    cells: list[Cell]


class RowTable(NamedTuple):
    """The first rows of a text.

    Attributes:
        header: the names of the columns, as they are shown.
        rows: the rows.
    """

    header: list[str]
    rows: list[Row]

    def column_name(self, column: int) -> str:
        """Return a column as spreadsheets name it, with its heading, such as ``B, serial``."""
        letters, number = "", column
        while number:
            number, letter = divmod(number - 1, 26)
            letters = chr(ord("A") + letter) + letters
        heading = self.header[column - 1] if column <= len(self.header) else ""
        return f"{letters}, {heading}" if heading else letters


def read_table(
    text: bytes, errors: Sequence[Violation], warnings: Sequence[RequestWarning]
) -> RowTable:
    """Return the first rows of a CSV text; fewer if a row among them is malformed.

    Args:
        text: the CSV text in UTF-8.
        errors: the errors that were found.
        warnings: the warnings that were found.
    """
    records: list[tuple[int, list[str]]] = []
    with suppress(ProblemError):  # it is among the errors
        records.extend(islice(CsvRecords(text, _ROWS), _ROWS + 1))
    marks = {**_marked(warnings, "warning"), **_marked(errors, "error")}
    header = [visible(name) for name in records[0][1][:_COLUMNS]] if records else []
    return RowTable(header, [_row(line, cells, marks) for line, cells in records[1:]])


def visible(text: str) -> str:
    """Return a text with escapes in place of invisible characters, truncated if it is long."""
    return "".join(
        f"\\u{ord(each):04x}" if unicodedata.category(each) in _INVISIBLE else each
        for each in truncated(text)
    )


def _marked(
    findings: Iterable[Violation | RequestWarning], mark: Mark
) -> dict[tuple[int | None, int | None], Mark]:
    return {(found.line, found.column): mark for found in findings if found.line is not None}


def _row(
    line: int, cells: Sequence[str], marks: Mapping[tuple[int | None, int | None], Mark]
) -> Row:
    shown = [
        Cell(visible(text), marks.get((line, column), ""))
        for column, text in enumerate(cells[:_COLUMNS], 1)
    ]
    return Row(line, marks.get((line, None), ""), shown)
