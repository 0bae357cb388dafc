"""CSV form of a bulk request (RFC 4180): items in the body, other fields in the query."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from api.http.problems import Violations
from api.http.query import convert_query
from api.intake.bulk_request import ParsedRequest
from api.intake.csv_dates import convert_dates
from api.intake.csv_header import SEPARATOR_NAMES, SEPARATORS, CsvHeader, read_header
from api.intake.csv_records import CsvRecords, Record
from api.intake.item_batch import (
    DATE_FIELDS,
    EXTRA_PREFIX,
    FIRST_FIELDS,
    ITEM_FIELDS,
    Column,
    ItemBatch,
    Location,
    violation,
)
from api.intake.validation import PLACEHOLDERS, RequestLimits, shared_gtin, wrong_count
from api.intake.warnings import Warnings
from api.schemas.tasks import BulkRequest

#: Number of characters from which a batch gets no further records. 500 valid ones have fewer.
_MOST_CHARACTERS = 64 * 1024
_NO_VALUES = Column([None], {None})


def read_csv(
    body: bytes, query: Mapping[str, str], limits: RequestLimits, violations: Violations
) -> ParsedRequest:
    """Parse a CSV request. The records are parsed only when the batches are read.

    Args:
        body: a header with the names of item fields or their aliases, then one record per item.
        query: query parameters; the names are among :data:`PARAMETERS`.
        limits: limits of the service.
        violations: receives a violation for each invalid value, also while the batches are read.

    Raises:
        ProblemError: 400 if the body is not CSV. Reading the batches may raise it too.
    """
    records = CsvRecords(body, limits.max_items)
    rows = iter(records)
    line, names = next(rows, (records.first_line, []))
    header = read_header(names, records.separator, line, violations)
    head = _head(query, violations, has_gtins="gtin" in header.positions)
    warnings = Warnings(violations, strict=head.strict)
    separators = _SeparatorCheck(header, line, warnings)
    batches = _batches(rows, records, header, separators, limits, violations)
    order = [name.removeprefix(EXTRA_PREFIX) for name in header.extras]
    return ParsedRequest(head, None, batches, warnings, "name" in header.positions, order)


def _head(query: Mapping[str, str], violations: Violations, *, has_gtins: bool) -> BulkRequest:
    """Return a request without items from the query; placeholders replace invalid parameters."""
    fields = convert_query(query, BulkRequest, violations)
    if "gtin" not in query:
        fields["gtin"] = shared_gtin(has_own=has_gtins, violations=violations)
    return BulkRequest(**PLACEHOLDERS | fields)


class _SeparatorCheck:
    """Adds the warning ``separator_in_value`` to a request with a single column.

    The warning is added if all values contain the same number of one separator, and at least one.
    The header then probably lacks columns. This is no error, because a semicolon may be part of a
    lot.
    """

    def __init__(self, header: CsvHeader, line: int, warnings: Warnings) -> None:
        self._line = line
        self._warnings = warnings
        self._field = next(iter(header.positions), "")
        single = len(header.positions) == 1
        others = [each for each in SEPARATORS if single and each != header.separator]
        self._counts: dict[str, set[int]] = {each: set() for each in others}

    def see(self, batch: ItemBatch) -> None:
        """Count the separators in the values of a batch."""
        for separator, counts in [*self._counts.items()]:
            column = batch.columns.get(self._field, _NO_VALUES)
            counts.update((value or "").count(separator) for value in column.distinct)
            if len(counts) != 1 or 0 in counts:
                del self._counts[separator]

    def finish(self) -> None:
        """Add the warning if it applies to all values."""
        for separator, counts in self._counts.items():
            if counts:
                name = SEPARATOR_NAMES[separator]
                detail = (
                    f"The header has one column, and every value has the same number of {name} "
                    f"({counts.pop()}). If they separate fields, name each field in the header."
                )
                self._warnings.add("separator_in_value", Location("/items", self._line, 1), detail)


def _batches(  # noqa: PLR0917 - what a batch depends on
    rows: Iterator[Record],
    records: CsvRecords,
    header: CsvHeader,
    separators: _SeparatorCheck,
    limits: RequestLimits,
    violations: Violations,
) -> Iterator[ItemBatch]:
    count = 0
    while chunk := _taken(rows, records, limits.chunk_size):
        first, count = count, count + len(chunk)
        if count > limits.max_items:
            violations.append(wrong_count(f"more than {limits.max_items}", limits))
            return
        batch = _batch(chunk, first, header, violations)
        separators.see(batch)
        yield batch
    separators.finish()
    if not count:
        violations.append(wrong_count("0", limits))


def _taken(rows: Iterator[Record], records: CsvRecords, most: int) -> list[Record]:
    """Take records from an iterator: ``most`` of them, or fewer if they have many characters."""
    taken: list[Record] = []
    limit = records.characters + _MOST_CHARACTERS
    for record in islice(rows, most):
        taken.append(record)
        if records.characters > limit:
            break
    return taken


def _batch(
    records: Sequence[Record], first: int, header: CsvHeader, violations: Violations
) -> ItemBatch:
    """Convert records to a batch of items.

    Args:
        records: the records, each with the number of its first line.
        first: index of the first record in the request.
        header: the columns.
        violations: receives a violation for each record whose fields do not fit the columns, and
            for each malformed ISO date.
    """
    lines, rows = [line for line, _ in records], [fields for _, fields in records]

    def locate(index: int, field: str | None) -> Location:
        pointer, line = f"/items/{index}", lines[index - first]
        if field is None:
            return Location(pointer, line)
        column = field.replace("extra/", EXTRA_PREFIX)
        return Location(f"{pointer}/{field}", line, header.positions[column] + 1)

    unreadable = _fit_all(rows, header)
    for place, fields in unreadable.items():
        column, code, detail = _misfit(fields, header)
        where = Location(f"/items/{first + place}", lines[place], column)
        violations.append(violation(where, code, detail))
    cells = [*zip(*rows, strict=True)]
    columns = {field: Column([None] * len(rows), {None}) for field in FIRST_FIELDS}
    for field in ITEM_FIELDS[:-1]:
        if field in header.positions:
            found = _column(cells[header.positions[field]])
            if field in columns or found.texts():
                columns[field] = found
    extras = _extras(cells, header) if header.extras else None
    batch = ItemBatch(columns, range(first, first + len(rows)), {*unreadable}, locate, extras)
    for field in batch.present(DATE_FIELDS):
        batch = convert_dates(batch, field, violations)
    return batch


def _extras(
    cells: Sequence[tuple[str, ...]], header: CsvHeader
) -> list[dict[str, str] | None] | None:
    """Return the extra values of records; None if no record has any."""
    names = [name.removeprefix(EXTRA_PREFIX) for name in header.extras]
    records = zip(*(cells[header.positions[name]] for name in header.extras), strict=True)
    extras = [
        {name: value for name, value in zip(names, record, strict=True) if value} or None
        for record in records
    ]
    return extras if any(extras) else None


def _column(values: Sequence[str]) -> Column:
    """Return the column of a field; an empty text counts as no value."""
    distinct = {*values}
    return (
        Column.of([value or None for value in values])
        if "" in distinct
        else Column(values, distinct)
    )


def _fit_all(rows: list[list[str]], header: CsvHeader) -> dict[int, list[str]]:
    """Give every record one field per column.

    Returns:
        The records that do not fit the header, by position. Empty records replace them in ``rows``.
    """
    if {*map(len, rows)} != {header.width}:
        for fields in rows:
            _fit(fields, header)
    elif not header.nameless:
        return {}
    misfits = {
        place: fields
        for place, fields in enumerate(rows)
        if len(fields) != header.width or any(fields[each] for each in header.nameless)
    }
    for place in misfits:
        rows[place] = [""] * header.width
    return misfits


def _fit(fields: list[str], header: CsvHeader) -> None:
    """Remove empty fields after the last column; add missing fields of unnamed last columns."""
    if len(fields) > header.width and not any(fields[header.width :]):
        del fields[header.width :]
    elif header.least <= len(fields) < header.width:
        fields += [""] * (header.width - len(fields))


def _misfit(fields: Sequence[str], header: CsvHeader) -> tuple[int | None, str, str]:
    """Return the column, the code and the detail of a record that does not fit the header."""
    if not fields:
        detail = "This record is empty, and others follow. Remove it, or give the item a value."
        return None, "empty_record", detail
    if len(fields) == header.width:
        position = min(position for position in header.nameless if fields[position])
        detail = (
            f"Column {position + 1} has a value here, but no name in the header. Name the column, "
            "or remove it."
        )
        return position + 1, "unnamed_column", detail
    count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
    detail = (
        f"This record has {count}, but the header has {header.width}. Give the record one field "
        "per column."
    )
    return min(len(fields), header.width) + 1, "fields", detail
