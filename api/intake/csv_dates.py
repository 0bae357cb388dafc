"""ISO 8601 dates in CSV, such as 2027-12-31, which spreadsheets write."""

import re
from datetime import UTC, date, datetime

from api.http.problems import Violations
from api.intake.item_batch import Column, ItemBatch, violation
from render.errors import shown

#: Calendar dates in extended and in basic format (ISO 8601-1, section 5.2.2).
_ISO_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")
#: Number of years before and after the current one that a two-digit year can mean (GS1 General
#: Specifications, section 7.12).
_PAST, _FUTURE = 49, 50


def convert_dates(batch: ItemBatch, field: str, violations: Violations) -> ItemBatch:
    """Return a batch in which the ISO 8601 dates of a field are YYMMDD.

    Args:
        batch: the batch.
        field: the field.
        violations: receives a violation for each date that does not exist, or whose year is outside
            the range of two-digit years. The item is then unreadable in the returned batch.
    """
    column = batch.columns[field]
    converted = {value: _convert(value) for value in column.texts() if _ISO_DATE.fullmatch(value)}
    if not converted:
        return batch
    wrong = set()
    for place, value in enumerate(column.values):
        _, detail = converted.get(value or "", ("", ""))
        if detail:
            where = batch.locate(batch.indices[place], field)
            violations.append(violation(where, _code(field), detail))
            wrong.add(place)
    dates = [converted.get(value or "", (value, ""))[0] for value in column.values]
    changed = batch.with_column(field, Column.of(dates))
    return changed._replace(unreadable={*batch.unreadable, *wrong})


def _code(field: str) -> str:
    return "expiry_date" if field == "expiry" else "date_value"


def _convert(value: str) -> tuple[str | None, str]:
    """Convert an ISO 8601 date to YYMMDD.

    Returns:
        The date and an empty detail; or None and the detail of the error, if the date is invalid.
    """
    this_year = datetime.now(UTC).year
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        return None, f"{shown(value)} is not a date ({error}). Send a day that exists."
    first, last = this_year - _PAST, this_year + _FUTURE
    if not first <= found.year <= last:
        return None, (
            f"{shown(value)} has the year {found.year}. A symbol has only the last two digits of "
            f"the year, so scanners would read another year. Send a year from {first} to {last}."
        )
    return f"{found:%y%m%d}", ""
