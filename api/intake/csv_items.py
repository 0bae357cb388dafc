"""CSV form of a bulk request (RFC 4180, UTF-8): items in the body, other fields in the query."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice

from api.http.json_decoding import missing_names, no_such_name
from api.http.problems import ProblemError, Violations
from api.http.query import convert_query
from api.intake.bulk_request import ParsedRequest
from api.intake.validation import (
    PLACEHOLDERS,
    ItemBatch,
    Location,
    RequestLimits,
    violation,
    wrong_count,
)
from api.schemas.problems import MAX_ERRORS, Violation
from api.schemas.tasks import BulkItem, BulkRequest
from pipeline.service import Item

_COLUMNS = BulkItem.__struct_fields__
#: Maximum number of commas in a line. A valid record has far fewer, because it has three columns
#: with values of at most 20 characters; the limit leaves room to report a wrong header.
_MOST_COMMAS = 1000


def read_csv(
    body: bytes, query: Mapping[str, str], limits: RequestLimits, violations: Violations
) -> ParsedRequest:
    """Parse a CSV request. The records are parsed only when the batches are read.

    Args:
        body: a header with any of ``lot``, ``serial`` and ``expiry``, then one record per item.
        query: query parameters; the names are among :data:`PARAMETERS`.
        limits: limits of the service.
        violations: receives a violation for each invalid value, also while the batches are read.

    Raises:
        ProblemError: 400 if the body is not CSV. Reading the batches may raise it too.
    """
    records = _Records(body)
    _, header = next(records, (1, []))
    if not header:
        reason = "The header is missing; the first line must name the columns, such as lot,serial"
        raise _malformed(reason, 1)
    columns = _columns(header, violations)
    return ParsedRequest(
        _head(query, violations), None, _batches(records, columns, limits, violations)
    )


class _Records:
    """Iterator over the records of a body, each with the number of its first line, from 1."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        # "utf-8-sig" skips the byte order mark that some programs write. newline="" leaves line
        # ends as they are, because line ends within quotes are part of the value.
        lines = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
        self._reader = csv.reader(_of_few_fields(lines), strict=True)

    def __iter__(self) -> "_Records":
        return self

    def __next__(self) -> tuple[int, list[str]]:
        line = self._reader.line_num + 1
        try:
            return line, next(self._reader)
        except csv.Error as error:
            raise _malformed(_in_words(str(error)), line) from None
        except UnicodeDecodeError:
            raise self._undecodable() from None

    def _undecodable(self) -> ProblemError:
        try:
            self._body.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"Byte {error.start + 1} of the body, 0x{self._body[error.start]:02X},"
            sentence = f"{byte} is not UTF-8; save the file as UTF-8"
            line = len(self._body[: error.start + 1].splitlines())
            return _malformed(sentence, line)
        raise AssertionError("unreachable")


def _of_few_fields(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines``; reject a line with so many fields that parsing it would exhaust memory.

    Raises:
        ProblemError: 400 if a line has more than :data:`_MOST_COMMAS` commas.
    """
    for number, line in enumerate(lines, 1):
        if line.count(",") > _MOST_COMMAS:
            reason = f"This line has more than {_MOST_COMMAS} commas; write one item per line"
            raise _malformed(reason, number)
        yield line


def _in_words(reason: str) -> str:
    """Translate an error message of the csv module into one that a client can act on."""
    if "unexpected end" in reason:
        return "A quoted field is never closed; add the closing quote"
    if "field limit" in reason:
        limit = csv.field_size_limit()
        return f"A field has more than {limit} characters; a closing quote may be missing"
    return f"A quote is in the wrong place ({reason}); quote whole fields, and double inner quotes"


def _malformed(sentence: str, line: int) -> ProblemError:
    """Return the 400 problem of a body that is not CSV.

    Args:
        sentence: what is wrong and how to correct it, without the final period.
        line: number of the first malformed line, from 1.
    """
    violations = Violations()
    violations.append(Violation("", "malformed_csv", f"{sentence}.", line))
    detail = f"The body is not valid CSV. Line {line}: {sentence}."
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_csv", detail, violations=violations)


def _head(query: Mapping[str, str], violations: Violations) -> BulkRequest:
    """Return a request without items from the query; placeholders replace invalid parameters."""
    violations.extend(missing_names(BulkRequest, {*query, "items"}, ""))
    return BulkRequest(**PLACEHOLDERS | convert_query(query, BulkRequest, violations))


def _columns(header: Sequence[str], violations: Violations) -> list[str]:
    """Return the names of the columns; the name is empty if a column is unknown or repeated."""
    if len(header) > MAX_ERRORS:  # not a header; one message per column would take long
        detail = f"The header has {len(header)} columns. The columns are {', '.join(_COLUMNS)}."
        violations.append(violation(Location("/items", 1), "range", detail))
        return [""] * len(header)
    columns: list[str] = []
    for number, name in enumerate(header, 1):
        if name in _COLUMNS and name not in columns:
            columns.append(name)
            continue
        code, detail = "duplicate_column", f"The column {name!r} occurs twice. Remove one of them."
        if name not in _COLUMNS:
            code = "unknown_column"
            detail = no_such_name(name, _COLUMNS, "column", hint=not violations.full)
        violations.append(violation(Location("/items", 1, number), code, detail))
        columns.append("")
    return columns


def _batches(
    records: _Records, columns: Sequence[str], limits: RequestLimits, violations: Violations
) -> Iterator[ItemBatch]:
    count = 0
    while chunk := [*islice(records, limits.chunk_size)]:
        first, count = count, count + len(chunk)
        if count > limits.max_items:
            violations.append(wrong_count(f"more than {limits.max_items}", limits))
            return
        yield _batch(chunk, first, columns, violations)
    if not count:
        violations.append(wrong_count("0", limits))


def _batch(
    records: Sequence[tuple[int, list[str]]],
    first: int,
    columns: Sequence[str],
    violations: Violations,
) -> ItemBatch:
    """Convert records to a batch of items.

    Args:
        records: fields of each record, with the number of its first line.
        first: index of the first record in the request.
        columns: names of the columns.
        violations: receives a violation for each record with the wrong number of fields.
    """

    def locate(index: int, field: str | None) -> Location:
        pointer, line = f"/items/{first + index}", records[index][0]
        if field is None:
            return Location(pointer, line)
        return Location(f"{pointer}/{field}", line, columns.index(field) + 1)

    # Index of each field in a record. A field without a column gets index -1, the empty string that
    # is appended to every record below.
    lot, serial, expiry = (columns.index(n) if n in columns else -1 for n in _COLUMNS)
    items, unreadable = [], []
    for index, (line, record) in enumerate(records):
        if len(record) == len(columns):
            record.append("")
            items.append(Item(record[lot] or None, record[serial] or None, record[expiry] or None))
        else:
            where = Location(f"/items/{first + index}", line, min(len(record), len(columns)) + 1)
            violations.append(violation(where, "fields", _wrong_length(record, columns)))
            items.append(Item())
            unreadable.append(index)
    return ItemBatch(items, unreadable, locate)


def _wrong_length(record: Sequence[str], columns: Sequence[str]) -> str:
    if not record:
        return 'This line is blank. Remove it, or write "" for an item without values.'
    count = "1 field" if len(record) == 1 else f"{len(record)} fields"
    return (
        f"This record has {count}, but the header has {len(columns)}. Give the record one field "
        "per column."
    )
