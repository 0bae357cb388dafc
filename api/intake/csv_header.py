"""Header of a CSV request: its separator and its columns."""

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

from api.http.json_decoding import no_such_name
from api.http.problems import Violations
from api.intake.csv_encoding import malformed_csv
from api.intake.item_batch import EXTRA_PREFIX, ITEM_FIELDS, Location, violation
from api.intake.item_extras import is_extra_name
from api.schemas.problems import MAX_ERRORS
from render.errors import shown

#: The accepted separators; a header with a single column gets the first one.
SEPARATORS = (",", ";", "\t")
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: Names of columns in lower case -> field of an item.
_FIELDS = {
    **{field: field for field in ITEM_FIELDS if field != "extra"},
    "batch": "lot",
    "batch number": "lot",
    "lot number": "lot",
    "serial number": "serial",
    "sn": "serial",
    "expiry date": "expiry",
    "expiration date": "expiry",
    "use by": "expiry",
    "production date": "production_date",
    "packaging date": "packaging_date",
    "best before": "best_before_date",
    "best before date": "best_before_date",
    "sell by": "sell_by_date",
    "sell by date": "sell_by_date",
}
_COLUMNS = (*ITEM_FIELDS[:-1], f"{EXTRA_PREFIX}…")
#: A first line that declares the separator of a file to Excel.
_SEPARATOR_LINE = re.compile(r'"?sep=(.?)"?[,;\t]*', re.IGNORECASE)

_NOT_EXTRA = re.compile(r"[^a-z0-9]+")


class CsvHeader(NamedTuple):
    """The columns of a CSV request.

    Attributes:
        separator: the character between two fields.
        positions: position, from 0, of the column of each field that the header has.
        nameless: positions of the columns without a name, which must be empty.
        width: number of columns, including nameless ones.
        least: minimum number of fields per record: up to the last column with a name.
    """

    separator: str
    positions: dict[str, int]
    nameless: frozenset[int]
    width: int
    least: int

    @property
    def extras(self) -> list[str]:
        """The columns of extra values."""
        return [name for name in self.positions if name.startswith(EXTRA_PREFIX)]


def column_field(name: str) -> str | None:
    """Return the field that a column's name means; None if no field has the name."""
    return _FIELDS.get(_plain(name))


def declared_separator(line: str) -> str | None:
    """Return the separator that the line ``sep=;`` declares; None if ``line`` is another line.

    Raises:
        ProblemError: 400 if the separator is not an accepted one.
    """
    match = _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n"))
    if match is None:
        return None
    if match[1] not in SEPARATORS:
        reason = "comma, semicolon or tab"
        raise malformed_csv(f"{shown(match[1])} is not a separator; separate fields by {reason}", 1)
    return match[1]


def likely_separator(lines: Sequence[str]) -> str:
    """Return the separator that gives a header the most known columns, then the most columns.

    Args:
        lines: the first lines of the body; the header may span several lines in quotes.
    """

    def columns(separator: str) -> tuple[int, int]:
        try:
            names = next(csv.reader(lines, delimiter=separator), [])
        except csv.Error:
            return 0, 0
        plain = [_plain(name) for name in names]
        return sum(map(_is_known, plain)), len(names)

    return max(SEPARATORS, key=columns)


def read_header(
    names: Sequence[str], separator: str, line: int, violations: Violations
) -> CsvHeader:
    """Return the columns that a header names.

    Args:
        names: the fields of the header.
        separator: the character between two fields.
        line: number of the header's line.
        violations: receives a violation for each column that is unknown or repeated.

    Raises:
        ProblemError: 400 if no column has a name.
    """
    plain = [_plain(name) for name in names]
    named = [position for position, name in enumerate(plain) if name]
    if not named:
        reason = "The header is missing; the first line must name the columns, such as lot,serial"
        raise malformed_csv(reason, line)
    positions: dict[str, int] = {}
    is_header = any(map(_is_known, plain))
    if len(named) > MAX_ERRORS:  # not a header; one message per column would take long
        detail = f"The header has {len(named)} columns. The columns are {', '.join(_COLUMNS)}."
        violations.append(violation(Location("/items", line), "range", detail))
    else:
        for position in named:
            where = Location("/items", line, position + 1)
            name = names[position]
            if _is_known(plain[position]):
                _add_column(name, position, positions, where, violations)
            else:
                detail = _describe_unknown(name, is_header=is_header, hint=not violations.full)
                violations.append(violation(where, "unknown_column", detail))
    nameless = frozenset(range(len(names))).difference(named)
    return CsvHeader(separator, positions, nameless, len(names), named[-1] + 1)


def _add_column(
    name: str, position: int, positions: dict[str, int], where: Location, violations: Violations
) -> None:
    plain = _plain(name)
    field = _FIELDS.get(plain, plain)
    if field in positions:
        detail = (
            f"The column {shown(name)} and column {positions[field] + 1} both mean the field "
            f"{field}. Remove one of them."
        )
        violations.append(violation(where, "duplicate_column", detail))
    else:
        positions[field] = position


def _describe_unknown(name: str, *, is_header: bool, hint: bool) -> str:
    """Return what is wrong with the name of an unknown column.

    Args:
        name: the name.
        is_header: whether another column of the line is known.
        hint: whether to search for a similar name.
    """
    plain = _plain(name)
    if any(separator in name for separator in SEPARATORS):
        return (
            f"The column {shown(name)} is a whole line in quotes. Remove the quotes around each "
            "line."
        )
    if plain.startswith(EXTRA_PREFIX):
        return (
            f"The column {shown(name)} has no valid name: after x_, write 1 to 40 of a-z, 0-9 "
            "and _."
        )
    detail = no_such_name(name, _FIELDS, "column", hint=hint)
    if not is_header:
        return f"{detail} The first line must name the columns; remove titles above it."
    copied = _NOT_EXTRA.sub("_", plain).strip("_")[:40]
    return f"{detail} To copy its values to the manifest, name it x_{copied or '…'}."


def _is_known(plain: str) -> bool:
    return plain in _FIELDS or _is_extra(plain)


def _is_extra(plain: str) -> bool:
    """Return whether a column has extra values."""
    return plain.startswith(EXTRA_PREFIX) and is_extra_name(plain.removeprefix(EXTRA_PREFIX))


def _plain(name: str) -> str:
    """Return the name of a column in lower case, without surrounding or repeated blanks."""
    return " ".join(name.lower().split())
