"""Names of files that items choose: their rules, and that no two files have the same name."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from api.http.problems import Violations
from api.intake.item_batch import ItemBatch, Location, violation
from api.intake.shared_fields import broken_rule
from api.schemas.problems import Violation
from api.schemas.tasks import MAX_NAME_LENGTH
from pipeline.service import UNSAFE_IN_NAME, default_name
from render.errors import InvalidValueError, shown

#: Names of devices, which Windows reserves with any extension and in any case (Microsoft, "Naming
#: Files, Paths, and Namespaces").
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)
#: A name that may equal a default one: the index of an item, alone or before an underscore.
_LIKE_DEFAULT = re.compile(r"([0-9]{5,})(?:_.*)?")


def check_name(name: str) -> None:
    """Check the name of a file, which gets the extension of its format.

    Raises:
        InvalidValueError: If the name is empty, too long, or reserved, or has another character
            than ASCII letters, digits, points, underscores and hyphens.
    """
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidValueError(
            "length",
            f"{shown(name)} has {len(name)} characters; send 1 to {MAX_NAME_LENGTH} characters, or "
            "null for the default name.",
        )
    found = UNSAFE_IN_NAME.search(name)
    if found:
        raise InvalidValueError(
            "character",
            f"{shown(name)} has {found[0]!r} (U+{ord(found[0]):04X}) at position "
            f"{found.start() + 1}; send only A-Z, a-z, 0-9, points, underscores and hyphens.",
        )
    if name.partition(".")[0].lower() in _DEVICES:
        raise InvalidValueError(
            "reserved_name",
            f"{shown(name)} is the name of a device on Windows, which cannot create such a file: "
            "send another name.",
        )


class _Kept(NamedTuple):
    """What decides the default names of a batch."""

    batch: ItemBatch
    lots: Sequence[str | None]
    serials: Sequence[str | None]
    names: Sequence[str | None]


class FileNames:
    """Checks the names of files, batch by batch, and at the end against the default names.

    Args:
        violations: receives a violation for each invalid or repeated name.
        is_single: whether all symbols are in one file, so that items must not have names.
        expected: whether items may have names. If not, nothing is remembered.
    """

    def __init__(self, violations: Violations, *, is_single: bool, expected: bool) -> None:
        self._violations = violations
        self._is_single = is_single
        self._expected = expected
        self._given: dict[str, int] = {}
        self._batches: list[_Kept] = []

    def invalid(self, batch: ItemBatch) -> set[int]:
        """Return the positions of items with an invalid name, and record violations."""
        wrong = set()
        for place, name in enumerate(batch.values("name")):
            if name is not None and self._is_wrong(batch, place, name):
                wrong.add(place)
        return wrong

    def remember(self, batch: ItemBatch) -> None:
        """Remember what decides the default names of a batch of valid items."""
        if self._expected:
            lots, serials = (batch.columns[field].values for field in ("lot", "serial"))
            names = batch.values("name") or [None] * len(batch.indices)
            kept = batch._replace(columns={}, extras=None)
            self._batches.append(_Kept(kept, lots, serials, names))

    def finish(self, items: int) -> None:
        """Compare the names with the default names of the items that have none.

        Args:
            items: number of items of the request.
        """
        matches = filter(None, map(_LIKE_DEFAULT.fullmatch, self._given))
        likely = {int(match[1]) for match in matches}
        if not likely:
            return
        for batch, *columns in self._batches:
            for index, lot, serial, name in zip(batch.indices, *columns, strict=True):
                if name is None and index + 1 in likely:
                    self._compare(default_name(items, index + 1, lot, serial), index)

    def _compare(self, default: str, index: int) -> None:
        by = self._given.get(default.lower())
        if by is not None:
            detail = (
                f"{shown(default)} is the default name of the file of /items/{index}. Send another "
                "name."
            )
            self._violations.append(violation(self._locate(by), "duplicate_name", detail))

    def _locate(self, index: int) -> Location:
        found = next(batch for batch, *_ in self._batches if index in batch.indices)
        return found.locate(index, "name")

    def _is_wrong(self, batch: ItemBatch, place: int, name: str) -> bool:
        index = batch.indices[place]
        where = batch.locate(index, "name")
        if self._is_single:
            self._violations.append(violation(where, "contradiction", _ONE_FILE))
            return True
        found = [*broken_rule(check_name, name, where)]
        found = found or [*self._repeated(name, index, where)]
        self._violations.extend(found)
        return bool(found)

    def _repeated(self, name: str, index: int, where: Location) -> Iterator[Violation]:
        first = self._given.setdefault(name.lower(), index)
        if first != index:
            detail = (
                f"{shown(name)} is the name of /items/{first} too. Upper and lower case are the "
                "same on Windows and macOS. Send another name."
            )
            yield violation(where, "duplicate_name", detail)


_ONE_FILE = (
    "All symbols are in one file with the pages single, so an item cannot have a name. Send the "
    "pages each, or leave the names out."
)
