"""The CSV form of a bulk request (RFC 4180, UTF-8): items in the body, the rest in the query."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice

from api.http.json_decoding import missing_names, no_such_name
from api.http.problems import MAX_ERRORS, ProblemError, Violations
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
from api.schemas.problems import Violation
from api.schemas.tasks import BulkItem, BulkRequest
from pipeline.service import Item

_COLUMNS = BulkItem.__struct_fields__
#: Commas of a line: few columns, and values of 20 characters; a header may be wrong at length.
_MOST_COMMAS = 1000


def read_csv(
    body: bytes, query: Mapping[str, str], limits: RequestLimits, violations: Violations
) -> ParsedRequest:
    """Parse a CSV request; its records are parsed as the batches are read.

    Args:
        body: a header of any of ``lot``, ``serial`` and ``expiry``, then a record per item.
        query: query parameters, each one of :data:`PARAMETERS`.
        limits: of the service.
        violations: bad values are appended.

    Raises:
        ProblemError: 400, the body is not CSV; also while the batches are read.
    """
    records = _Records(body)
    _, header = next(records, (1, []))
    if not header:
        raise _malformed("There is no header, such as lot,serial,expiry", 1)
    columns = _columns(header, violations)
    return ParsedRequest(
        _head(query, violations), None, _batches(records, columns, limits, violations)
    )


class _Records:
    """Iterates over the records of a body, each with the line on which it begins, from 1."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        # The byte order mark that some programs put first is not part of the text. Line ends stay
        # as they are, or those within quotes would be changed.
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
            sentence = f"Byte {error.start + 1}, 0x{self._body[error.start]:02X}, is not UTF-8"
            line = len(self._body[: error.start + 1].splitlines())
            return _malformed(sentence, line)
        raise AssertionError("unreachable")


def _of_few_fields(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines``; parsing one of countless fields would take many times its size."""
    for number, line in enumerate(lines, 1):
        if line.count(",") > _MOST_COMMAS:
            raise _malformed(f"This line has more than {_MOST_COMMAS} commas", number)
        yield line


def _in_words(reason: str) -> str:
    """Return an error of the csv module in a client's words."""
    if "unexpected end" in reason:
        return "This record has a quote that is never closed"
    if "field limit" in reason:
        limit = csv.field_size_limit()
        return f"This record has a field of over {limit} characters; a quote may be missing"
    return f"This record has a quote in the wrong place: {reason}"


def _malformed(sentence: str, line: int) -> ProblemError:
    """Return the 400 for a body that is not CSV from ``line`` on."""
    violations = Violations()
    violations.append(Violation("", "malformed_csv", f"{sentence}.", line))
    detail = f"The body is not CSV. Line {line}: {sentence}."
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_csv", detail, violations=violations)


def _head(query: Mapping[str, str], violations: Violations) -> BulkRequest:
    """Return a request without items, with the parameters that have the right type."""
    violations.extend(missing_names(BulkRequest, {*query, "items"}, ""))
    return BulkRequest(**PLACEHOLDERS | convert_query(query, BulkRequest, violations))


def _columns(header: Sequence[str], violations: Violations) -> list[str]:
    """Return the names of the columns, empty for one that is unknown or repeated."""
    if len(header) > MAX_ERRORS:  # which is no header; to name each takes its time
        detail = f"There are {len(header)} columns; there may be {', '.join(_COLUMNS)}."
        violations.append(violation(Location("/items", 1), "range", detail))
        return [""] * len(header)
    columns: list[str] = []
    for number, name in enumerate(header, 1):
        if name in _COLUMNS and name not in columns:
            columns.append(name)
            continue
        code, detail = "duplicate_column", f"There are two columns {name!r}; drop one."
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
    """Return records as a batch whose first item has index ``first`` in the request.

    Each record comes with the line on which it begins.
    """

    def locate(index: int, field: str | None) -> Location:
        pointer, line = f"/items/{first + index}", records[index][0]
        if field is None:
            return Location(pointer, line)
        return Location(f"{pointer}/{field}", line, columns.index(field) + 1)

    # Index of each field in a record; without a column, that of the empty one which is added last.
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
        return 'This line is blank; remove it, or write "" for an item without values.'
    return f"This record has {len(record)} fields; the header has {len(columns)}."
