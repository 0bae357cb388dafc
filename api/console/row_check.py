"""The check of rows before a job is created: a dry run, the first rows and the first symbols."""

import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec
from markupsafe import Markup

from api.console.row_table import RowTable, read_table
from api.http.problems import ProblemError, Violations
from api.intake.csv_items import read_csv
from api.intake.csv_records import CsvRecords
from api.intake.dry_run import dry_run
from api.intake.validation import ItemCheck, RequestLimits
from api.schemas.problems import RequestWarning, Violation
from api.schemas.tasks import DryRun
from render.chunk import choose_versions, render_chunk
from render.dimensions import dimensions
from render.image import QUIET_ZONE, Dimensions, RenderOptions, symbol_side

_SYMBOLS = 6
#: JSON Pointer of an item or of one of its fields, as details mention it.
_POINTER = re.compile(r"/items/(\d{1,9})(?:/\w+)?")
_MALFORMED = 400
#: Codes of errors in the header.
_HEADER_ERRORS = frozenset({"unknown_column", "duplicate_column"})

Finding = TypeVar("Finding", Violation, RequestWarning)


class CheckedSymbol(NamedTuple):
    """A symbol as the job would have it.

    Attributes:
        uri: URI that the symbol encodes.
        svg: the symbol as an SVG element of its size in millimetres, or in pixels if the job's
            images have no physical size.
        version: version of the symbol.
        size: size of the job's image.
    """

    uri: str
    svg: Markup
    version: int
    size: Dimensions


class RowCheck(NamedTuple):
    """What was found in rows and settings.

    Attributes:
        result: errors, warnings and counts.
        table: the first rows.
        symbols: the first symbols of valid rows, up to six; empty if a setting is invalid.
    """

    result: DryRun
    table: RowTable
    symbols: list[CheckedSymbol]


def check_rows(text: str, settings: Mapping[str, str], limits: RequestLimits) -> RowCheck:
    """Check rows and settings, without accepting a job.

    Args:
        text: the rows as CSV.
        settings: the fields that all items share, as in the query of a CSV request.
        limits: limits of the service.
    """
    body = text.encode()
    violations = Violations()
    try:
        result = dry_run(read_csv(body, settings, limits, violations), limits, violations)
        symbols = _first_symbols(body, settings, limits)
    except ProblemError as error:
        if error.status != _MALFORMED:
            raise
        result, symbols = malformed(error), []
    if any(error.code in _HEADER_ERRORS for error in result.errors):
        # Without the values of a column, symbols are not those of the labels, and rows look alike.
        result = msgspec.structs.replace(result, symbols=[], warnings=[], warnings_total=0)
        symbols = []
    result = _with_line_numbers(result, body)
    return RowCheck(result, read_table(body, result.errors, result.warnings), symbols)


def malformed(error: ProblemError) -> DryRun:
    """Return the result for rows that cannot be read."""
    errors = error.violations.listed if error.violations else []
    total = len(error.violations or ()) or 1
    errors = errors or [Violation("", error.code, error.detail)]
    return DryRun(would_accept=False, items=0, symbols=[], errors=errors, errors_total=total)


def _with_line_numbers(result: DryRun, body: bytes) -> DryRun:
    """Return a result whose details name rows by their lines and not by JSON Pointers."""
    details = [error.detail for error in result.errors]
    details += [warning.detail for warning in result.warnings]
    indices = {int(number) for detail in details for number in _POINTER.findall(detail)}
    if not indices:
        return result
    lines: dict[str, int] = {}
    with suppress(ProblemError):  # it is among the errors
        records = islice(CsvRecords(body, result.items), 1, max(indices) + 2)
        lines = {str(index): line for index, (line, _) in enumerate(records) if index in indices}

    def replaced(found: Finding) -> Finding:
        detail = _POINTER.sub(
            lambda match: f"row {lines[match[1]]}" if match[1] in lines else match[0],
            found.detail,
        )
        return msgspec.structs.replace(found, detail=detail)

    return msgspec.structs.replace(
        result,
        errors=[*map(replaced, result.errors)],
        warnings=[*map(replaced, result.warnings)],
    )


def _first_symbols(
    body: bytes, settings: Mapping[str, str], limits: RequestLimits
) -> list[CheckedSymbol]:
    """Return the first symbols of the first batch; an invalid item has none."""
    violations = Violations()
    parsed = read_csv(body, settings, limits, violations)
    check = ItemCheck(parsed.head, limits, violations, parsed.warnings)
    batch = next(parsed.batches, None)
    uris = check.uris(check.valid_items(batch)[:_SYMBOLS]) if batch is not None else []
    versions = choose_versions(uris, check.options)
    return [
        _draw(uri, version, check.options) for uri, (version, _) in zip(uris, versions, strict=True)
    ]


def _draw(uri: str, version: int, options: RenderOptions) -> CheckedSymbol:
    size = dimensions(version, options)
    shown = options._replace(format="svg", outlines=True, dpi=None, xdim_mm=None)
    if size.width_mm is not None:
        xdim_mm = round(size.width_mm / (symbol_side(version) + 2 * QUIET_ZONE), 6)
        shown = shown._replace(xdim_mm=xdim_mm)
    (image,) = render_chunk([uri], shown)
    # Numbers, letters of paths and fixed names only: nothing of a request is in the file.
    return CheckedSymbol(uri, Markup(image.data.decode()), version, size)  # noqa: S704
