"""Excel workbooks (.xlsx) as the CSV text that :func:`api.intake.csv_items.read_csv` reads.

The rows of the first sheet become the records, in the same order, so that line 7 of the CSV is row
7 of the sheet. Text is taken as it is, and a formula by its text result. A date in a column of
dates is written as ISO 8601. Every other value is refused, because a spreadsheet does not keep it
as it was typed: the number 12 may have been ``0012``.

The reader is openpyxl, the optional extra ``excel``, because it reads a sheet as a stream of rows.
Its parser is that of Python, which expands no external entities.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from api.intake.csv_header import column_field
from api.intake.item_batch import DATE_FIELDS
from api.intake.workbook_scan import RefusedCell, SheetScan, WorkbookError, scan_workbook
from api.schemas.problems import MAX_ERRORS
from render.errors import shown

if TYPE_CHECKING:
    from openpyxl.cell.read_only import ReadOnlyCell

#: First bytes of .xlsx and other ZIPs, and of .xls and encrypted workbooks (OLE 2).
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE_AS_CSV = 'In Excel, save it as "CSV UTF-8 (Comma delimited)"; in LibreOffice, as "Text CSV".'
#: Number of refused cells that a message lists.
_MOST_LISTED = 10
_AS_TEXT = "Format the column as Text and type the value again"
_IN_DATE_COLUMNS = (
    "A date is taken only in a column with a heading for dates in row 1, such as expiry; in any "
    "other, format the column as Text and type the value again"
)


def is_workbook(body: bytes) -> bool:
    """Return whether a file is a workbook or another ZIP, by its first bytes."""
    return body.startswith((_ZIP, _OLE))


def workbook_to_csv(body: bytes, max_rows: int) -> bytes:
    """Return the first sheet of a workbook as CSV in UTF-8.

    Memory and time are bounded by ``max_rows``, whatever the workbook contains.

    Args:
        body: the file.
        max_rows: largest number of rows, without the header.

    Raises:
        WorkbookError: the file is no .xlsx workbook, the extra ``excel`` is not installed, the
            workbook is over a limit, or a cell has a value that is not taken.
    """
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - optional
    except ImportError:
        raise WorkbookError(
            "Excel workbooks need the extra `excel` (pip install 'qrmill[excel]'). Without it: "
            f"{SAVE_AS_CSV}"
        ) from None
    if body.startswith(_OLE):
        raise WorkbookError(
            "The Excel workbook is an .xls file or has a password. Save it as .xlsx without a "
            f"password, or as CSV. {SAVE_AS_CSV}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            scans = scan_workbook(archive, max_rows)
        book = load_workbook(io.BytesIO(body), read_only=True, data_only=True, keep_links=False)
        sheet = _first_sheet(book)
        scan = scans[sheet._worksheet_path]  # noqa: SLF001 - no public attribute names the member
        return _write(_rows(sheet, scan, max_rows))
    except WorkbookError:
        raise
    except Exception as error:  # a damaged file makes openpyxl raise almost any exception
        raise WorkbookError(
            f"The file cannot be read as an Excel workbook ({type(error).__name__}). Open it in "
            f"Excel or LibreOffice, and save it as .xlsx, or as CSV. {SAVE_AS_CSV}"
        ) from error


def _first_sheet(book: Any) -> Any:  # noqa: ANN401 - openpyxl has no types
    """Return the first sheet of cells.

    Raises:
        WorkbookError: there is none, or it is hidden.
    """
    sheet = next(iter(book.worksheets), None)
    if sheet is None:
        raise WorkbookError("The workbook has no sheet with cells.")
    if sheet.sheet_state != "visible":
        raise WorkbookError(
            f"The first sheet, {shown(sheet.title)}, is hidden. Unhide it, or move the sheet with "
            "the items to the front."
        )
    # The dimensions that a workbook states may be wrong, and cells beyond them would be lost.
    sheet.reset_dimensions()
    return sheet


def _rows(sheet: Any, scan: SheetScan, max_rows: int) -> Iterator[list[str]]:  # noqa: ANN401 - as above
    """Yield the texts of each row, up to the last row with a value.

    Raises:
        WorkbookError: there are merged cells, formulas without results, too many rows, or cells
            with values that are not taken.
    """
    if scan.merged:
        raise WorkbookError(
            f"The cells {shown(scan.merged)} are merged. Unmerge them, and fill every row. If they "
            "are a title above the headings, delete it: the first row must have the headings."
        )
    if scan.uncalculated:
        raise WorkbookError(
            f"The formula in {scan.uncalculated} has no stored result. Open the workbook in Excel "
            "or LibreOffice, and save it."
        )
    reader, empty = _CellReader(scan), 0
    for number, cells in enumerate(sheet.iter_rows(), 1):
        texts = reader.read_row(number, cells)
        if not texts:
            empty += 1
            continue
        if number > max_rows + 1:
            raise WorkbookError(
                f"The sheet has more than {max_rows} rows. Split it into several files."
            )
        yield from ([] for _ in range(empty))
        empty = 0
        yield texts
    reader.finish()


class _CellReader:
    """Texts of cells; lists the cells that have none.

    Args:
        scan: the hidden rows and columns.
    """

    def __init__(self, scan: SheetScan) -> None:
        self._scan = scan
        self._header: list[str] = []
        self._dates: frozenset[int] = frozenset()
        self._refused: list[RefusedCell] = []
        self._count = 0

    def read_row(self, number: int, cells: Sequence["ReadOnlyCell"]) -> list[str]:
        """Return the texts of a row without empty cells at its end; an empty list without any."""
        texts = [self._read(number, place, cell) for place, cell in enumerate(cells)]
        while texts and not texts[-1]:
            texts.pop()
        if number == 1:
            self._header = texts
            fields = enumerate(map(column_field, texts))
            self._dates = frozenset(place for place, field in fields if field in DATE_FIELDS)
        return texts

    def finish(self) -> None:
        """Raise an error if a cell was refused.

        Raises:
            WorkbookError: a cell was refused.
        """
        if not self._count:
            return
        lines = [self._describe(cell) for cell in self._refused[:_MOST_LISTED]]
        if self._count > len(lines):
            lines.append(f"{self._count} cells are refused; the first {len(lines)} are listed.")
        raise WorkbookError("\n".join(lines), self._refused, self._count)

    def _read(self, number: int, place: int, cell: "ReadOnlyCell") -> str:
        value = cell.value
        if value is None or value == "":
            return ""
        reason = self._why_refused(number, place, cell)
        if not reason:
            return value if isinstance(value, str) else value.date().isoformat()
        self._count += 1
        if len(self._refused) < MAX_ERRORS:
            self._refused.append(RefusedCell(number, place + 1, f"{reason}."))
        return "?"

    def _describe(self, cell: RefusedCell) -> str:
        heading = "".join(self._header[cell.column - 1 : cell.column])
        name = f" ({shown(heading)})" if heading and cell.row > 1 else ""
        return f"Row {cell.row}, column {_letters(cell.column)}{name}: {cell.reason}"

    def _why_refused(self, number: int, place: int, cell: "ReadOnlyCell") -> str:
        """Return why a cell is refused, as a sentence without its period; empty if it is taken."""
        value = cell.value
        if self._scan.is_hidden(number, place + 1):
            return "The row or column is hidden, but not empty. Unhide or delete it"
        if cell.data_type == "e":
            return f"The cell has the error {shown(value)}. Correct it or clear the cell"
        if isinstance(value, str):
            return ""
        if not isinstance(value, datetime) or place not in self._dates:
            advice = _IN_DATE_COLUMNS if isinstance(value, datetime) else _AS_TEXT
            return f"The cell is the {_kind(value)} {value}, not text. {advice}"
        if value.time() != datetime.min.time():
            return f"The cell has a time: {value}. Enter a date alone"
        return ""


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "logical value"
    return "number" if isinstance(value, int | float) else "date or time"


def _write(rows: Iterator[list[str]]) -> bytes:
    """Return rows as CSV; each has at least as many fields as the first one."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    width = 0
    for header in islice(rows, 1):
        width = len(header)
        writer.writerow(header)
    writer.writerows([*row, *[""] * (width - len(row))] for row in rows)
    return text.getvalue().encode()


def _letters(number: int) -> str:
    """Return the name of a column, such as ``AB`` for 28."""
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
