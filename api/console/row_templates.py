"""Files of rows to fill in: as CSV, and as an Excel workbook whose columns are text."""

import io
from http import HTTPStatus
from importlib.util import find_spec

import falcon

from api.console.pages import Pages
from api.console.sessions import RequiresSession
from api.http.problems import ProblemError

_ROWS = (
    ("lot", "serial", "expiry"),
    # Spreadsheets save these dates as they are, but 2027-12-31 as dates are written in the country.
    ("LOT-7", "A0001", "271231"),
    ("LOT-7", "A0002", "271231"),
)
#: The first line declares the separator to Excel, which has another one in some languages.
_CSV = "".join(f"{line}\r\n" for line in ("sep=,", *map(",".join, _ROWS)))
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: Columns of the workbook that are text, so that more fields can be added: A to Z.
_TEXT_COLUMNS = [chr(ord("A") + number) for number in range(26)]
_TEXT = "@"  # the number format of text (ECMA-376, part 1, section 18.8.30)


class CsvTemplate(RequiresSession):
    """``GET …/template.csv``: a CSV file to fill in."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with the file."""
        _respond(resp, _CSV.encode(), "text/csv; charset=utf-8", "labels.csv")

    on_head = on_get


class WorkbookTemplate(RequiresSession):
    """``GET …/template.xlsx``: a workbook to fill in; 404 without the extra ``excel``.

    A spreadsheet changes what is typed into its cells, such as 0012, unless they are text before.
    """

    def __init__(self, pages: Pages) -> None:
        super().__init__(pages)
        self._file = b""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Respond with the file."""
        if not has_workbooks():
            detail = "This service has no extra `excel`. Use the CSV template."
            raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail)
        self._file = self._file or _workbook()
        _respond(resp, self._file, _XLSX, "labels.xlsx")

    on_head = on_get


def has_workbooks() -> bool:
    """Return whether the extra ``excel`` is installed."""
    return find_spec("openpyxl") is not None


def _respond(resp: falcon.Response, data: bytes, content_type: str, name: str) -> None:
    resp.content_type = content_type
    resp.set_header("Content-Disposition", f'attachment; filename="{name}"')
    resp.data = data


def _workbook() -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415 - optional, and slow to import

    book, file = Workbook(), io.BytesIO()
    sheet = book.active
    for row in _ROWS:
        sheet.append(row)
    for column in _TEXT_COLUMNS:
        sheet.column_dimensions[column].number_format = _TEXT
        sheet.column_dimensions[column].width = 18  # characters
    for row in sheet.iter_rows():
        for cell in row:
            cell.number_format = _TEXT
    book.save(file)
    return file.getvalue()
