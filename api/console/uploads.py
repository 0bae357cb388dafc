"""Uploaded rows: a form with a file or pasted text, and the CSV text that it holds."""

import io
from http import HTTPStatus
from typing import NamedTuple

import falcon
from falcon.media.multipart import BodyPart, MultipartFormHandler, MultipartParseOptions

from api.console.forms import FormFields
from api.http.problems import ProblemError, Violations, invalid
from api.http.request_bodies import BodyReader, too_large
from api.intake.csv_encoding import not_utf8, to_utf8
from api.intake.workbook import is_workbook, workbook_to_csv
from api.intake.workbook_scan import WorkbookError
from api.schemas.problems import Violation

MEDIA_TYPE = "multipart/form-data"
#: Maximum size in bytes of a file or of pasted rows. A page shows them again, so that the limit on
#: request bodies, which can be much higher, is too high for a browser.
MOST_BYTES = 16 * 1024 * 1024
#: Maximum number of parts of a form, and of bytes of a part that is neither file nor rows.
_MOST_PARTS, _MOST_FIELD_BYTES = 32, 4096
#: Bytes of a form beside its rows and its file.
_OVERHEAD = 64 * 1024


class Upload(NamedTuple):
    """A form with rows.

    Attributes:
        fields: values of the other fields.
        file: content of the chosen file; None if none was chosen.
        rows: the pasted rows.
    """

    fields: FormFields
    file: bytes | None
    rows: bytes


def read_upload(bodies: BodyReader, req: falcon.Request, limit: int) -> Upload:
    """Return the fields of a ``multipart/form-data`` form (RFC 7578).

    Args:
        bodies: reads the body.
        req: the request.
        limit: maximum size of the file and of the rows, each, in bytes.

    Raises:
        ProblemError: 413 if the file or the rows are too large; 415 if the body is not such a form;
            400 if it is malformed or incomplete.
    """
    try:
        _, body = bodies.read(req, 2 * limit + _OVERHEAD, (MEDIA_TYPE,))
    except ProblemError as error:
        if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise too_large(limit) from None  # the limit that the page states
        raise
    options = MultipartParseOptions()
    options.max_body_part_count = _MOST_PARTS
    fields: FormFields = {}
    file, rows = None, b""
    try:
        parts = MultipartFormHandler(options).deserialize(
            io.BytesIO(body), req.content_type, len(body)
        )
        for part in parts:
            if part.name == "file":
                data = _read_part(part, limit)
                file = data if part.filename else file
            elif part.name == "rows":
                rows = _read_part(part, limit)
            else:
                value = _read_part(part, _MOST_FIELD_BYTES).decode()
                fields.setdefault(part.name or "", []).append(value)
    except (falcon.HTTPError, ValueError) as error:
        detail = "The form is malformed. Open the page again."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_form", detail) from error
    return Upload(fields, file, rows)


def csv_text(data: bytes, max_rows: int) -> str:
    """Return the CSV text of an uploaded file or of pasted rows.

    Browsers change the line ends of a text that a form sends, so all of them become LF here.

    Args:
        data: content of the file, which may be an Excel workbook, or the rows.
        max_rows: largest number of rows of a workbook, without the headings.

    Raises:
        ProblemError: 400 if the file is of another kind or in another encoding; 422 if a workbook
            cannot be read, or has a cell that is not taken.
    """
    if is_workbook(data):
        data = _first_sheet(data, max_rows)
    try:
        text = to_utf8(data).decode()
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _first_sheet(data: bytes, max_rows: int) -> bytes:
    try:
        return workbook_to_csv(data, max_rows)
    except WorkbookError as error:
        violations = Violations()
        found = [Violation("", "workbook", reason, row, at) for row, at, reason in error.cells]
        violations.extend(found or [Violation("", "workbook", str(error))])
        violations.count(error.refused - len(error.cells))
        raise invalid(violations) from None


def _read_part(part: BodyPart, limit: int) -> bytes:
    data = part.stream.read(limit + 1)
    if len(data) > limit:
        raise too_large(limit)
    return data
