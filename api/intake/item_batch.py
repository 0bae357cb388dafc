"""Batches of items, as the parsers of JSON and CSV return them, and locations of values."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, cast

from api.schemas.problems import Violation
from pipeline.service import Item

#: Fields of an item, in the order of :class:`Item`.
ITEM_FIELDS = Item.__struct_fields__
#: The values of an item, in the order of :data:`ITEM_FIELDS`.
ItemRow = tuple[str | None, ...]
#: Fields of an item that are texts (lot and serial), and those that are dates.
TEXT_FIELDS, DATE_FIELDS = ("lot", "serial"), ("expiry",)


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
        columns: the values of each field, in the order of :data:`ITEM_FIELDS`. An item that could
            not be decoded has no values.
        indices: index of each item in the request.
        unreadable: positions in the batch of the items that could not be decoded; their violations
            are already recorded.
        locate: returns the location of an item or of one of its fields, given the item's index in
            the request.
    """

    columns: Mapping[str, Column]
    indices: Sequence[int]
    unreadable: Collection[int]
    locate: Callable[[int, str | None], Location]

    def rows(self) -> list[ItemRow]:
        """Return the values of each item."""
        return [*zip(*(column.values for column in self.columns.values()), strict=True)]

    def without(self, positions: Collection[int]) -> "ItemBatch":
        """Return the batch without the items at ``positions``."""
        if not positions:
            return self
        kept = [place for place in range(len(self.indices)) if place not in positions]
        columns = {
            field: Column.of([column.values[place] for place in kept])
            for field, column in self.columns.items()
        }
        return ItemBatch(columns, [self.indices[place] for place in kept], (), self.locate)


def violation(where: Location, code: str, detail: str) -> Violation:
    """Return the violation of the value at a location."""
    return Violation(where.pointer, code, detail, where.line, where.column)
