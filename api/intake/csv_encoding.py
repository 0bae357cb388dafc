"""Encoding of CSV bodies: detection, decoding, and errors for files that are not CSV text."""

import codecs
import io
import re
from http import HTTPStatus
from typing import NoReturn

from api.http.problems import ProblemError, Violations
from api.schemas.problems import Violation

_UTF8_BOM = b"\xef\xbb\xbf"
#: Byte order marks (Unicode Standard, section 23.8), the longer ones first.
_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16-LE",
    b"\xfe\xff": "UTF-16-BE",
}
#: First bytes of files that people send in place of CSV.
_OTHER_FILES = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"{\\rtf": "an RTF document",
}
#: How to save a file as accepted CSV.
_SAVE = 'In Excel, save it as "CSV UTF-8"; in LibreOffice, as "Text CSV" in UTF-8'
_LINE_END = re.compile(rb"\r\n|\r|\n")
_NOT_ASCII = re.compile(rb"[^\x00-\x7F]")
#: Size in bytes of the pieces in which a body is decoded.
_PIECE_BYTES = 64 * 1024


def to_utf8(body: bytes) -> bytes:
    """Return a CSV body as UTF-8 without a byte order mark.

    UTF-8 is returned unchecked. If a decoder finds an error in it later, :func:`not_utf8` describes
    the error.

    Raises:
        ProblemError: 400 if the body is a file of another kind or in another encoding.
    """
    _reject_other_files(body)
    body = body.removeprefix(_UTF8_BOM)
    for mark, encoding in _MARKS.items():
        if body.startswith(mark):
            if encoding == "UTF-32":
                _reject_encoding(encoding)
            body = _from_utf16(body, encoding)
            break
    else:
        _reject_unmarked_encodings(body)
    start = body[:100].lstrip()[:1]
    if start in {b"{", b"["}:
        raise malformed_csv("This is JSON; send it with Content-Type: application/json", 1)
    if start == b"<":
        raise malformed_csv(f"This is HTML or XML, not CSV. {_SAVE}", 1)
    return body


def _reject_other_files(body: bytes) -> None:
    if body.startswith(b"PK\x03\x04"):
        kind = "a ZIP archive"
        if b"xl/" in body:
            kind = "an Excel workbook (.xlsx)"
        elif b"opendocument.spreadsheet" in body:
            kind = "a LibreOffice spreadsheet (.ods)"
        raise malformed_csv(f"This is {kind}, not CSV. {_SAVE}", 1)
    if body.startswith(b"\xd0\xcf\x11\xe0"):  # [MS-CFB], section 2.2
        raise malformed_csv(f"This is an Excel workbook (.xls), not CSV. {_SAVE}", 1)
    if body.startswith(b"\x1f\x8b"):
        reason = "This is gzip; unpack it, or send it with Content-Encoding: gzip"
        raise malformed_csv(reason, 1)
    for mark, kind in _OTHER_FILES.items():
        if body.startswith(mark):
            raise malformed_csv(f"This is {kind}, not CSV", 1)


class _MalformedTextError(Exception):
    """Raised for bytes that are not text in an encoding: where the first wrong one is, and why."""

    def __init__(self, position: int, line: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.line = line


def _recode(body: bytes, start: int, encoding: str) -> bytes:
    """Return the text of a body as UTF-8, decoded in pieces that need little memory.

    Args:
        body: the body.
        start: size in bytes of the byte order mark.
        encoding: encoding of the body, with its byte order.

    Raises:
        _MalformedTextError: the body is not text in this encoding.
    """
    text, decoder = io.BytesIO(), codecs.getincrementaldecoder(encoding)()
    for begin in range(start, len(body), _PIECE_BYTES):
        end = min(begin + _PIECE_BYTES, len(body))
        try:
            text.write(decoder.decode(body[begin:end], end == len(body)).encode())
        except UnicodeDecodeError as error:
            # The object also has the bytes that the decoder kept of the previous piece.
            position = end - len(error.object) + error.start
            text.write(error.object[: error.start].decode(encoding).encode())
            line = 1 + sum(1 for _ in _LINE_END.finditer(text.getvalue()))
            raise _MalformedTextError(position, line, error.reason) from None
    return text.getvalue()


def _from_utf16(body: bytes, encoding: str) -> bytes:
    try:
        return _recode(body, 2, encoding)
    except _MalformedTextError as error:
        sentence = f"Byte {error.position + 1} is not UTF-16 ({error}). {_SAVE}"
        raise malformed_csv(sentence, error.line) from None


def _reject_unmarked_encodings(body: bytes) -> None:
    """Reject UTF-16 and UTF-32 without a byte order mark, detected by zeros in the first bytes."""
    zeros = tuple(byte == 0 for byte in body[:8])
    if sum(zeros) == 6:  # noqa: PLR2004 - three of four bytes of two characters
        _reject_encoding("UTF-32")
    if zeros[:4] in {(False, True, False, True), (True, False, True, False)}:
        _reject_encoding("UTF-16 without a byte order mark")


def _reject_encoding(encoding: str) -> NoReturn:
    raise malformed_csv(f"The body is {encoding}. {_SAVE}", 1)


def not_utf8(body: bytes) -> ProblemError:
    """Return the 400 problem of a body that is not UTF-8, with the first wrong byte.

    Args:
        body: bytes that are not UTF-8.
    """
    try:
        _recode(body, 0, "utf-8")
    except _MalformedTextError as error:
        byte = body[error.position]
        sentence = f"Byte {error.position + 1}, 0x{byte:02X}, is not UTF-8"
        if not _NOT_ASCII.search(body, 0, error.position):
            try:
                meant = bytes([byte]).decode("cp1252")
            except UnicodeDecodeError:  # one of the five bytes that Windows-1252 does not use
                pass
            else:
                sentence += f"; the file is probably Windows-1252, in which it is {meant!r}"
        return malformed_csv(f"{sentence}. {_SAVE}", error.line)
    raise AssertionError("unreachable")


def malformed_csv(sentence: str, line: int) -> ProblemError:
    """Return the 400 problem of a body that is not CSV.

    Args:
        sentence: what is wrong and how to correct it, without the final period.
        line: number of the first malformed line, from 1.
    """
    violations = Violations()
    violations.append(Violation("", "malformed_csv", f"{sentence}.", line))
    detail = f"The body is not valid CSV. Line {line}: {sentence}."
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_csv", detail, violations=violations)
