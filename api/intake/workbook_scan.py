"""Limits of an Excel workbook, checked before a reader builds objects of its content.

A workbook is a ZIP of XML (ECMA-376), so a small file may expand to any size. Every member is
parsed once as a stream, with limits on bytes, on elements, and on elements that a reader would have
in memory together. A document type declaration, which could define entities, is refused.

The scan also finds what a reader of values does not show: merged cells, hidden rows and columns,
and formulas without a result.
"""

import re
import zipfile
from collections.abc import Sequence
from typing import NamedTuple, NoReturn
from xml.parsers import expat

_NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_ROW, _CELL, _COLUMN, _MERGED, _FORMULA, _VALUE, _STRING = (
    f"{_NAMESPACE} {name}" for name in ("row", "c", "col", "mergeCell", "f", "v", "si")
)
_REFERENCE = re.compile(r"([A-Z]{1,3})[1-9][0-9]{0,6}")
_MOST_MEMBERS = 1000
#: Bytes and elements that a workbook may have, and how many more for each row.
_BYTES, _BYTES_PER_ROW = 16 * 1024 * 1024, 1024
_ELEMENTS, _ELEMENTS_PER_ROW = 100_000, 40
#: Elements from one row or shared string to the next one.
_MOST_TOGETHER = 50_000
_LAST_ROW = 1_048_576
#: The last column that may have a cell, and its name.
_LAST_COLUMN, _LAST_COLUMN_NAME = 1000, "ALL"
_PIECE_BYTES = 64 * 1024


class RefusedCell(NamedTuple):
    """A cell with a value that is not taken.

    Attributes:
        row: number of its row, from 1.
        column: number of its column, from 1.
        reason: why, and what to do, as a sentence.
    """

    row: int
    column: int
    reason: str


class WorkbookError(ValueError):
    """Raised when a workbook cannot be read; the message states why, and what to do.

    Attributes:
        cells: the first cells that were refused; empty if that is not the reason.
        refused: number of all cells that were refused.
    """

    def __init__(self, message: str, cells: Sequence[RefusedCell] = (), refused: int = 0) -> None:
        super().__init__(message)
        self.cells = cells
        self.refused = refused


class SheetScan:
    """What the scan found in one member.

    Attributes:
        merged: range of the first merged cells, such as ``A2:A5``; empty if there are none.
        uncalculated: reference of the first cell whose formula has no result; else empty.
        hidden_rows: numbers of the hidden rows, from 1.
        hidden_columns: ranges of hidden columns: the first and the last number, from 1.
    """

    def __init__(self, elements: int, max_rows: int) -> None:
        self.merged = ""
        self.uncalculated = ""
        self.hidden_rows: set[int] = set()
        self.hidden_columns: list[tuple[int, int]] = []
        #: Number of elements that the rest of the workbook may have.
        self.left = elements
        self._max_rows = max_rows
        self._together = 0
        self._row = self._column = 0
        self._cell, self._has_formula = "", False
        self._in_value = self._has_value = False

    def is_hidden(self, row: int, column: int) -> bool:
        """Return whether a cell is in a hidden row or column; both are counted from 1."""
        in_column = any(first <= column <= last for first, last in self.hidden_columns)
        return in_column or row in self.hidden_rows

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Note the beginning of an element."""
        self.left -= 1
        self._together += 1
        if self.left < 0 or self._together > _MOST_TOGETHER:
            raise WorkbookError(
                f"The workbook has too many cells for {self._max_rows} rows, the most that a file "
                "may have. Split it into several files."
            )
        if name == _ROW:
            self._begin_row(attributes)
        elif name == _CELL:
            self._begin_cell(attributes.get("r", ""))
            # The result of a formula may be an empty text.
            self._has_formula, self._has_value = False, attributes.get("t") == "str"
        elif name == _FORMULA:
            self._has_formula = True
        elif name == _VALUE:
            self._in_value = True
        elif name == _MERGED:
            self.merged = self.merged or attributes.get("ref", "")
        elif name == _COLUMN and _is_true(attributes.get("hidden")):
            first, last = (_number(attributes.get(end, "")) for end in ("min", "max"))
            self.hidden_columns.append((first, last))

    def text(self, _: str) -> None:
        """Note text, which may be the value of a cell."""
        self._has_value = self._has_value or self._in_value

    def end(self, name: str) -> None:
        """Note the end of an element."""
        self._in_value = False
        if name in {_ROW, _STRING}:
            self._together = 0
        elif name == _CELL and self._has_formula and not self._has_value:
            self.uncalculated = self.uncalculated or self._cell

    def _begin_row(self, attributes: dict[str, str]) -> None:
        number = _number(attributes["r"]) if "r" in attributes else self._row + 1
        if not self._row < number <= _LAST_ROW:  # a reader would leave such a row out
            _refuse_damaged()
        self._row, self._column = number, 0
        if _is_true(attributes.get("hidden")):
            self.hidden_rows.add(number)

    def _begin_cell(self, reference: str) -> None:
        column = self._column + 1
        if reference:
            match = _REFERENCE.fullmatch(reference)
            column = _column_number(match[1]) if match else 0
        if column <= self._column:  # a reader would keep only one of two cells in one place
            _refuse_damaged()
        if column > _LAST_COLUMN:
            raise WorkbookError(
                f"The workbook has a cell in column {_LAST_COLUMN + 1} or later. Delete the "
                f"columns after {_LAST_COLUMN_NAME}, also those that only look empty."
            )
        self._column, self._cell = column, reference


def scan_workbook(archive: zipfile.ZipFile, max_rows: int) -> dict[str, SheetScan]:
    """Check the limits of a workbook, and return what was found in each member, by its name.

    Args:
        archive: the workbook.
        max_rows: largest number of rows that it may have; the limits grow with it.

    Raises:
        WorkbookError: the workbook is over a limit, or damaged.
    """
    members = archive.infolist()
    # zipfile returns at most file_size bytes of a member.
    size = sum(member.file_size for member in members)
    if len(members) > _MOST_MEMBERS or size > _BYTES + max_rows * _BYTES_PER_ROW:
        raise WorkbookError(
            f"The workbook is too large: {len(members)} members with {size} bytes. Copy the rows "
            "into a new workbook without pictures and formats, or split them into several files."
        )
    left, found = _ELEMENTS + max_rows * _ELEMENTS_PER_ROW, {}
    for member in members:
        scan = found[member.filename] = SheetScan(left, max_rows)
        _scan_member(archive, member, scan)
        left = scan.left
    return found


def _scan_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, scan: SheetScan) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = scan.begin
    parser.EndElementHandler = scan.end
    parser.CharacterDataHandler = scan.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    with archive.open(member) as part:
        while piece := part.read(_PIECE_BYTES):
            try:
                parser.Parse(piece)
            except expat.ExpatError:  # a picture; the reader uses the same parser for XML
                return


def _refuse_doctype(*_: object) -> NoReturn:
    raise WorkbookError("The workbook has a document type declaration, which Excel never writes.")


def _refuse_damaged() -> NoReturn:
    raise WorkbookError(
        "The workbook is damaged: its rows or cells are not in order. Open it in Excel or "
        "LibreOffice, and save it again."
    )


def _is_true(text: str | None) -> bool:
    return text in {"1", "true"}


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
