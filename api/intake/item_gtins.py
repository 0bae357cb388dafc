"""GTINs that items have of their own."""

from collections.abc import Iterator
from typing import Any

import msgspec

from api.http.json_members import NOT_DECODED
from api.http.problems import Violations
from api.intake.item_batch import Column, ItemBatch, Location, violation
from api.intake.shared_fields import broken_rule
from api.intake.warnings import Warnings, gtin_warning
from api.schemas.problems import Violation
from render.errors import InvalidValueError
from render.gs1.gtin import normalize_gtin

_NULL = msgspec.Raw(b"null")
#: Decodes only the GTIN of an object, which stays undecoded: it may be of any size.
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct("_SentGtin", [("gtin", msgspec.Raw, _NULL)])
)
_NO_GTIN = (
    "This item has no GTIN, and neither has the request. Send a gtin for the item, or one for the "
    "request."
)


def has_gtin(encoded: bytes | msgspec.Raw, *, otherwise: bool) -> bool:
    """Return whether an object has a GTIN, valid or not.

    Args:
        encoded: JSON.
        otherwise: what to return if it is no object.
    """
    try:
        return bool(_decoder.decode(encoded).gtin != _NULL)
    except NOT_DECODED:
        return otherwise


class ItemGtins:
    """Checks and converts the GTINs of items, batch by batch.

    Args:
        violations: receives a violation for each invalid GTIN.
        warnings: receives ``gtin8_restricted`` and ``gtin_restricted``.
        needed: whether each item needs a GTIN, because the request has none.
    """

    def __init__(self, violations: Violations, warnings: Warnings, *, needed: bool) -> None:
        self._violations = violations
        self._warnings = warnings
        self._needed = needed

    def invalid(self, batch: ItemBatch) -> set[int]:
        """Return the positions of items with an invalid GTIN, and record violations."""
        texts = batch.columns["gtin"].texts() if "gtin" in batch.columns else frozenset[str]()
        wrong: set[str | None] = {text for text in texts if _normalized(text) is None}
        if self._needed:
            wrong.add(None)
        if not wrong:
            return set()
        values = batch.values("gtin") or [None] * len(batch.indices)
        readable = [
            place
            for place, value in enumerate(values)
            if value in wrong and place not in batch.unreadable
        ]
        for place in readable:
            where = batch.locate(batch.indices[place], "gtin" if values[place] else None)
            self._violations.extend(_violations(values[place], where))
        return {*readable}

    def normalized(self, batch: ItemBatch) -> ItemBatch:
        """Return a batch of valid items with GTINs of 14 digits, and add warnings."""
        if "gtin" not in batch.columns:
            return batch
        column = batch.columns["gtin"]
        digits = {text: normalize_gtin(text) for text in dict.fromkeys(filter(None, column.values))}
        for text, gtin14 in digits.items():
            self._warn(batch, text, gtin14)
        values = [digits[value] if value is not None else None for value in column.values]
        return batch.with_column("gtin", Column.of(values))

    @staticmethod
    def without_shared(batch: ItemBatch, gtin14: str | None) -> ItemBatch:
        """Return a batch in which no item has the GTIN that the request has anyway."""
        if "gtin" not in batch.columns:
            return batch
        values = [None if value == gtin14 else value for value in batch.columns["gtin"].values]
        return batch.with_column("gtin", Column.of(values))

    def _warn(self, batch: ItemBatch, text: str, gtin14: str) -> None:
        """Add a warning about each item with a GTIN, if it is a restricted one."""
        found = gtin_warning(text, gtin14)
        if found is None:
            return
        code, detail = found
        column = batch.columns["gtin"].values

        def describe(place: int) -> tuple[Location, str]:
            return batch.locate(batch.indices[place], "gtin"), detail

        places = [place for place, value in enumerate(column) if value == text]
        self._warnings.add_each(code, len(places), places, describe)


def _normalized(text: str) -> str | None:
    try:
        return normalize_gtin(text)
    except InvalidValueError:
        return None


def _violations(value: str | None, where: Location) -> Iterator[Violation]:
    if value is not None:
        yield from broken_rule(normalize_gtin, value, where)
    else:
        where = where._replace(pointer=f"{where.pointer}/gtin")
        yield violation(where, "missing", _NO_GTIN)
