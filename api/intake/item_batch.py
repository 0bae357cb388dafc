"""Batches of items, as the parsers of JSON and CSV return them, and locations of values."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, cast

from api.schemas.problems import Violation
from pipeline.service import FIRST_FIELDS as NUMBER_OF_FIRST
from pipeline.service import Item, ItemRow, item_row

#: Fields of an item, in the order of :class:`Item`.
ITEM_FIELDS = Item.__struct_fields__
#: The fields that every batch has as columns. A batch has a column of another field only if one of
#: its items has the field, so that plain requests do not pay for fields that they do not use.
FIRST_FIELDS, OTHER_FIELDS = ITEM_FIELDS[:NUMBER_OF_FIRST], ITEM_FIELDS[NUMBER_OF_FIRST:]
#: Beginning of the names of columns of extra values, in CSV and in the manifest.
EXTRA_PREFIX = "x_"
#: Fields of an item that are texts, and those that are dates.
TEXT_FIELDS = ("lot", "serial", "variant")
DATE_FIELDS = (
    *("expiry", "production_date", "packaging_date"),
    *("best_before_date", "sell_by_date"),
)


class Location(NamedTuple):
    """Location of a value: its JSON Pointer and, in CSV, its line and column, counted from 1."""

    pointer: str
    line: int | None = None
    column: int | None = None


class Column(NamedTuple):
    """The values of one field in a batch.

    Attributes:
        values: a value per item; None without one.
        distinct: the distinct values. Many rules check only these, because one value, such as a lot
            number, often occurs in many items.
    """

    values: Sequence[str | None]
    distinct: AbstractSet[str | None]

    @classmethod
    def of(cls, values: Sequence[str | None]) -> "Column":
        """Return a column with these values."""
        return cls(values, {*values})

    def texts(self) -> AbstractSet[str]:
        """Return the distinct values that are present."""
        texts = self.distinct - {None} if None in self.distinct else self.distinct
        return cast("AbstractSet[str]", texts)


class ItemBatch(NamedTuple):
    """Consecutive items of a request, at most as many as a chunk has, column by column.

    Attributes:
        columns: the values of each of :data:`FIRST_FIELDS`, and of other fields that an item has,
            in the order of :data:`ITEM_FIELDS`. An item that could not be decoded has no values.
            Extra values are not among them.
        indices: index of each item in the request.
        unreadable: positions in the batch of the items that could not be decoded; their violations
            are already recorded.
        locate: returns the location of an item or of one of its fields, given the item's index in
            the request. The field of an extra value is ``extra/`` and its name.
        extras: the extra values of each item by name; None if no item has any.
    """

    columns: Mapping[str, Column]
    indices: Sequence[int]
    unreadable: Collection[int]
    locate: Callable[[int, str | None], Location]
    extras: Sequence[dict[str, str] | None] | None = None

    def rows(self) -> list[ItemRow]:
        """Return the values of each item, as :func:`item_row` returns them."""
        if len(self.columns) == NUMBER_OF_FIRST and self.extras is None:
            return [*zip(*(column.values for column in self.columns.values()), strict=True)]
        absent = [None] * len(self.indices)
        values = [
            self.columns[field].values if field in self.columns else absent
            for field in ITEM_FIELDS[:-1]
        ]
        return [*map(item_row, zip(*values, self.extras or absent, strict=True))]

    def values(self, field: str) -> Sequence[str | None]:
        """Return the values of a field; empty if no item has it."""
        return self.columns[field].values if field in self.columns else ()

    def present(self, fields: Iterable[str]) -> list[str]:
        """Return those of some fields that the batch has as columns."""
        return [field for field in fields if field in self.columns]

    def with_column(self, field: str, column: Column) -> "ItemBatch":
        """Return the batch with another column of a field; without one if no item has a value."""
        columns = {**self.columns, field: column}
        if field in OTHER_FIELDS and not column.texts():
            del columns[field]
        return self._replace(
            columns={name: columns[name] for name in ITEM_FIELDS if name in columns}
        )

    def without(self, positions: Collection[int]) -> "ItemBatch":
        """Return the batch without the items at ``positions``."""
        if not positions:
            return self
        kept = [place for place in range(len(self.indices)) if place not in positions]
        columns = {
            field: Column.of([column.values[place] for place in kept])
            for field, column in self.columns.items()
        }
        extras = [self.extras[place] for place in kept] if self.extras is not None else None
        return ItemBatch(columns, [self.indices[place] for place in kept], (), self.locate, extras)


def violation(where: Location, code: str, detail: str) -> Violation:
    """Return the violation of the value at a location."""
    return Violation(where.pointer, code, detail, where.line, where.column)
