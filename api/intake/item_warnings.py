"""Warnings about items: rules that check a batch of valid items as a whole.

Each rule first makes one fast check of the whole batch. The rule inspects single values only if
this check finds something.
"""

import re
from collections.abc import Collection, Hashable, Sequence
from collections.abc import Set as AbstractSet
from itertools import product

from api.intake.item_batch import DATE_FIELDS, TEXT_FIELDS, ItemBatch, Location
from api.intake.warnings import Warnings
from pipeline.service import ItemRow
from render.errors import shown
from render.gs1.ai import OUTSIDE_CSET82, Charset

#: Words that programs write for a missing value, in all mixtures of upper and lower case.
_PLACEHOLDERS = {
    "".join(letters)
    for word in ("null", "nan", "none", "#n/a")
    for letters in product(*({letter, letter.upper()} for letter in word))
}
_DOT_SEGMENTS = {".", ".."}
#: A number as spreadsheets and programs write it, with a point or a comma: ``1234.0``, without
#: leading zeros; ``9.5E+12`` and ``9E+12``, with one digit before the point. ``95E+12``, ``9E12``
#: and ``9E-1`` are more likely serial numbers.
_NUMBER = re.compile(
    r"\n([+-]?(?:(?:0|[1-9][0-9]*+)[.,]0++|[0-9][.,][0-9]++[eE][+-]?[0-9]++"
    r"|[0-9][eE][+-][0-9]{2,}+))(?=\n)"
)
#: Every value that :data:`_NUMBER` matches has at least one of these characters.
_NUMBER_MARKS = (".", ",", "+", "-")
_OUTSIDE = re.compile("[" + re.escape(OUTSIDE_CSET82) + "]")
_PLACEHOLDER_DETAIL = (
    "{} is what programs write for a missing value. Leave the value out if the item has none."
)
_NUMBER_DETAIL = (
    "{} looks like a number that a spreadsheet or a program has reformatted. Format the column as "
    "text, and send the digits as they are printed."
)
_DOT_DETAIL = "{} is removed from the URI by browsers and web servers. Send another value."
_OUTSIDE_DETAIL = (
    "{} has a character outside GS1 character set 82, so scanning software may reject the symbol."
)
_DAY_ZERO = (
    "{} has day 00, which means the last day of the month. Send the day itself if it is known, "
    "because some software rejects day 00."
)
_NO_IDENTIFIER = (
    "This item has neither lot, serial nor date, so its symbol has only the GTIN of the request. "
    "Remove the item if it is a leftover."
)
_SAME_SERIAL = (
    "The serial number is the same as that of /items/{0}/serial, with the same GTIN. Send each "
    "serial number once."
)
_SAME_ITEM = "All values are the same as those of /items/{0}. Remove the item if it is a copy."
#: Fields of which an item should have at least one, if the request has several items.
_IDENTIFIERS = (*TEXT_FIELDS, *DATE_FIELDS, "gtin")


class ItemWarnings:
    """Adds the warnings about items, batch by batch.

    - ``placeholder``: a lot, serial or variant of ``NULL``, ``nan``, ``None`` or ``#N/A`` in any
      case.
    - ``number_format``: a lot, serial or variant such as ``9.5E+12`` or ``1234.0``.
    - ``dot_segment``: a lot, serial or variant of ``.`` or ``..``.
    - ``outside_set82``: a lot or serial with a character outside GS1 character set 82, which only
      ``QRMILL_CHARSET=ascii`` accepts.
    - ``day_zero``: a date with day 00.
    - ``duplicate_serial``: an item with the GTIN and serial of an earlier item.
    - ``duplicate_item``: an item without serial that equals an earlier one.
    - ``no_identifier``: an item with neither lot, serial, variant, date nor GTIN of its own in a
      request of several items.

    Args:
        warnings: receives the warnings.
        charset: characters allowed in lot and serial.
    """

    def __init__(self, warnings: Warnings, charset: Charset) -> None:
        self._warnings = warnings
        self._check_set82 = charset == "ascii"
        self._serials = _Repetitions()
        self._items = _Repetitions()
        self._held: ItemBatch | None = None

    def inspect(self, batch: ItemBatch, own: ItemBatch, *, several: bool) -> None:
        """Add the warnings about a batch of valid items.

        Args:
            batch: the items.
            own: the items, with a GTIN only where it differs from that of the request.
            several: whether the request is known to have several items, invalid ones included.
        """
        for field in batch.present(TEXT_FIELDS):
            self._inspect_texts(batch, field)
        for field in batch.present(DATE_FIELDS):
            days = [day for day in batch.columns[field].texts() if day.endswith("00")]
            self._add("day_zero", batch, field, days, _DAY_ZERO)
        self._inspect_identifiers(batch, several=several)
        self._inspect_repetitions(own)

    def _inspect_texts(self, batch: ItemBatch, field: str) -> None:
        values = batch.columns[field].texts()
        self._add("placeholder", batch, field, values & _PLACEHOLDERS, _PLACEHOLDER_DETAIL)
        self._add("dot_segment", batch, field, values & _DOT_SEGMENTS, _DOT_DETAIL)
        lines = "\n".join(["", *values, ""])
        if any(mark in lines for mark in _NUMBER_MARKS):
            self._add("number_format", batch, field, _NUMBER.findall(lines), _NUMBER_DETAIL)
        if self._check_set82 and any(character in lines for character in OUTSIDE_CSET82):
            outside = filter(_OUTSIDE.search, values)
            self._add("outside_set82", batch, field, [*outside], _OUTSIDE_DETAIL)

    def _add(
        self, code: str, batch: ItemBatch, field: str, values: Collection[str], detail: str
    ) -> None:
        """Add a warning about each value of a field that is among ``values``."""
        if not values:
            return
        column, found = batch.columns[field].values, {*values}

        def describe(place: int) -> tuple[Location, str]:
            return batch.locate(batch.indices[place], field), detail.format(shown(column[place]))

        places = (place for place, value in enumerate(column) if value in found)
        self._warnings.add_each(code, sum(map(found.__contains__, column)), places, describe)

    def _inspect_identifiers(self, batch: ItemBatch, *, several: bool) -> None:
        if not several:
            self._held = batch  # until it is known that the request has further items
            return
        if self._held is not None:
            self._add_no_identifier(self._held)
            self._held = None
        self._add_no_identifier(batch)

    def _add_no_identifier(self, batch: ItemBatch) -> None:
        columns = [batch.columns[field] for field in batch.present(_IDENTIFIERS)]
        if not all(None in column.distinct for column in columns):
            return
        values = zip(*(column.values for column in columns), strict=True)
        rows = zip(batch.indices, values, strict=True)
        bare = [index for index, values in rows if not any(values)]
        self._warnings.add_each(
            "no_identifier",
            len(bare),
            bare,
            lambda index: (batch.locate(index, None), _NO_IDENTIFIER),
        )

    def _inspect_repetitions(self, batch: ItemBatch) -> None:
        serials, distinct = batch.columns["serial"]
        keys, indices = _serial_keys(batch), batch.indices
        if None in distinct:
            self._inspect_items_without_serial(batch)
            if not batch.columns["serial"].texts():
                return
            with_serial = [place for place, serial in enumerate(serials) if serial is not None]
            keys = [keys[place] for place in with_serial]
            indices = [indices[place] for place in with_serial]
        is_plain = "gtin" not in batch.columns
        distinct_keys = batch.columns["serial"].texts() if is_plain else {*keys}

        def describe(repeated: tuple[int, int]) -> tuple[Location, str]:
            index, first = repeated
            return batch.locate(index, "serial"), _SAME_SERIAL.format(first)

        repeated = self._serials.among(keys, distinct_keys, indices)
        self._warnings.add_each("duplicate_serial", len(repeated), repeated, describe)

    def _inspect_items_without_serial(self, batch: ItemBatch) -> None:
        keys, indices = _keys(batch), batch.indices
        serials = batch.columns["serial"].values
        if batch.columns["serial"].texts():
            bare = [place for place, serial in enumerate(serials) if serial is None]
            keys, indices = [keys[place] for place in bare], [indices[place] for place in bare]

        def describe(repeated: tuple[int, int]) -> tuple[Location, str]:
            index, first = repeated
            return batch.locate(index, None), _SAME_ITEM.format(first)

        repeated = self._items.among(keys, {*keys}, indices)
        self._warnings.add_each("duplicate_item", len(repeated), repeated, describe)


def _serial_keys(batch: ItemBatch) -> Sequence[Hashable]:
    """Return a comparison key per item: the serial, with the GTIN if the item has its own."""
    serials, gtins = batch.columns["serial"].values, batch.values("gtin")
    if not gtins:
        return serials
    return [
        serial if gtin is None else (gtin, serial)
        for gtin, serial in zip(gtins, serials, strict=True)
    ]


def _keys(batch: ItemBatch) -> Sequence[Hashable]:
    """Return a comparison key per item: only the lot if it has no other value, else all values."""
    lots, *others = batch.columns.values()
    if batch.extras is None and not any(column.texts() for column in others):
        return lots.values
    if batch.extras is None:
        return [row if any(row[1:]) else row[0] for row in batch.rows()]
    return [_hashable(row) if any(row[1:]) else row[0] for row in batch.rows()]


def _hashable(row: ItemRow) -> tuple[Hashable, ...]:
    """Return the values of an item, with extra values as pairs."""
    return tuple(tuple(value.items()) if isinstance(value, dict) else value for value in row)


class _Repetitions:
    """Finds items whose key, such as the serial, is the same as that of an earlier item.

    As long as no key is repeated, each item costs one insertion into a set. The first item of each
    key is determined only after the first repetition.
    """

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()
        self._first: dict[Hashable, int] = {}
        self._unmapped: list[tuple[Sequence[Hashable], Sequence[int]]] = []

    def among(
        self, keys: Sequence[Hashable], distinct: AbstractSet[Hashable], indices: Sequence[int]
    ) -> list[tuple[int, int]]:
        """Return the index of each item with a repeated key, and of the first item with that key.

        Args:
            keys: keys of the next items.
            distinct: the same keys, each once.
            indices: indices of these items in the request.
        """
        expected = len(self._seen) + len(keys)
        self._seen |= distinct
        self._unmapped.append((keys, indices))
        if len(self._seen) == expected:
            return []
        first = self._first
        for batch_keys, batch_indices in self._unmapped:
            for key, index in zip(batch_keys, batch_indices, strict=True):
                first.setdefault(key, index)
        self._unmapped.clear()
        pairs = [(index, first[key]) for key, index in zip(keys, indices, strict=True)]
        return [pair for pair in pairs if pair[0] != pair[1]]
