"""The file of ``qrmill submit``: CSV is sent unchanged; options may add fields to JSON.

The first sheet of an Excel workbook is sent as CSV.

The service detects the encoding of a CSV file, and rejects a file that is not CSV. This module
decodes only JSON, because it must parse the JSON to add fields.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from api.cli.output import UsageError
from api.cli.streams import read_input
from api.client import Form
from api.client.submit import encode_params

Input = Literal["csv", "json"]
#: First bytes of workbooks, which are not text: of Excel since 2007 and LibreOffice (both ZIP), and
#: of Excel until 2003 (OLE 2).
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_BEGINNING = 256  # bytes; enough to find the first character that is not white space
#: Largest number of rows that any service accepts in one request (``QRMILL_MAX_ITEMS``).
_MOST_ROWS = 100_000


def read_file(file: str) -> bytes:
    """Return the contents of a file; ``-`` for standard input.

    Raises:
        UsageError: the file cannot be read.
    """
    if file == "-":
        return read_input()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def make_form(body: bytes, kind: Input | None, options: Mapping[str, str | float]) -> Form:
    """Return the encoded request built from a file and the options.

    Args:
        body: contents of the file.
        kind: format of the file; None to detect the format from the first character.
        options: fields of the request.

    Raises:
        UsageError: the file is not valid JSON or not a workbook that can be read, or the GTIN is
            missing.
    """
    if body.startswith(_WORKBOOKS):
        if kind == "json":
            raise UsageError("The file is an Excel workbook or a ZIP, not JSON.")
        rows = _read_workbook(body)
        _need_gtin(options, rows)
        return Form("text/csv", rows, encode_params(options))
    start = body[:_BEGINNING].decode(json.detect_encoding(body), "ignore").lstrip()[:1]
    if kind == "csv" or (kind is None and start not in {"{", "["}):
        _need_gtin(options, body)
        return Form("text/csv", body, encode_params(options))
    text = _decode_json(body)
    if start == "{" and not options:
        return Form("application/json", text, {})
    return Form("application/json", _combine(text, options), {})


def make_serials_form(
    serials: str, fields: Sequence[str], options: Mapping[str, str | float]
) -> Form:
    """Return the request for serial numbers that the service makes.

    Args:
        serials: the range, or what is drawn.
        fields: ``NAME=VALUE`` of each field that all items share.
        options: other fields of the request.

    Raises:
        UsageError: a field has no value, or occurs twice; or the GTIN is missing.
    """
    shared: dict[str, str] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not (name and equals and value) or name in {*shared, *options, "serials"}:
            raise UsageError(
                f"--field {field} is not NAME=VALUE, or repeats a field of the request."
            )
        shared[name] = value
    _need_gtin(options, b"")
    return Form("text/csv", b"", encode_params({**options, "serials": serials, **shared}))


def _read_workbook(body: bytes) -> bytes:
    """Return the first sheet of a workbook as CSV.

    Raises:
        UsageError: the workbook cannot be read, or a cell has a value that is not taken.
    """
    # Imported here because loading the service's code takes longer than most commands run.
    from api.intake.workbook import workbook_to_csv  # noqa: PLC0415
    from api.intake.workbook_scan import WorkbookError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            # openpyxl warns of features that it does not read, such as drop-down lists.
            warnings.simplefilter("ignore")
            return workbook_to_csv(body, _MOST_ROWS)
    except WorkbookError as error:
        raise UsageError(*str(error).splitlines()) from None


def _decode_json(body: bytes) -> bytes:
    """Return a JSON file in UTF-8 without a byte order mark (RFC 8259, section 8.1).

    Raises:
        UsageError: the file is not text.
    """
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        name, byte = encoding.removesuffix("-sig").upper(), body[error.start]
        guess = "It is probably Windows-1252 (ANSI). " if name == "UTF-8" else ""
        raise UsageError(
            f"The file is not {name}: line {line} has the byte 0x{byte:02X}. "
            f"{guess}Save it as UTF-8."
        ) from None


def _combine(body: bytes, options: Mapping[str, str | float]) -> bytes:
    """Return the JSON body built from a file and the options; items are copied byte for byte."""
    try:
        read = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The file is neither a JSON object nor an array: {error}.") from None
    if isinstance(read, list):
        _need_gtin(options, body)
        return msgspec.json.encode({**options, "items": read})
    _check_members(body)
    return msgspec.json.encode({**read, **options})


def _check_members(body: bytes) -> None:
    """Check that no object has two members of the same name; a decoder would keep only the last.

    Raises:
        UsageError: a member is repeated.
    """

    def check(members: list[tuple[str, object]]) -> None:
        seen = set[str]()
        for name, _ in members:
            if name in seen:
                raise UsageError(f"The file has the member {name!r} twice in one object.")
            seen.add(name)

    json.loads(body, object_pairs_hook=check)


def _need_gtin(options: Mapping[str, str | float], body: bytes) -> None:
    """Check that a request has a GTIN: that of the option, or those of the items.

    Raises:
        UsageError: there is no option, and the word does not occur in the file.
    """
    # UTF-16 has a zero before or after each letter.
    if "gtin" not in options and b"gtin" not in body.replace(b"\0", b"").lower():
        raise UsageError(
            "The option --gtin is required unless the file is a complete request, or has a GTIN "
            "with each item."
        )
