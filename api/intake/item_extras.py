"""Extra values of items, which are copied to the manifest's columns ``x_…``."""

import re
from collections.abc import Iterable, Iterator, Mapping

from api.http.problems import Violations, member_pointer
from api.intake.item_batch import ItemBatch, violation
from api.schemas.problems import Violation
from api.schemas.tasks import EXTRA_NAME_PATTERN, MAX_EXTRA_LENGTH, MAX_EXTRA_NAMES
from render.errors import shown

_NAME = re.compile(EXTRA_NAME_PATTERN.strip("^$"))


def is_extra_name(name: str) -> bool:
    """Return whether extra values may have this name."""
    return _NAME.fullmatch(name) is not None


class ItemExtras:
    """Checks the extra values of items, batch by batch.

    Args:
        violations: receives a violation for each invalid name or value.
        order: names in the order of the manifest's columns, if it is known beforehand.
    """

    def __init__(self, violations: Violations, order: Iterable[str] = ()) -> None:
        self._violations = violations
        self._order = [*order]
        self._seen: dict[str, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that items have, in the order of the manifest's columns."""
        known = [name for name in self._order if name in self._seen]
        return (*known, *(name for name in self._seen if name not in self._order))

    def invalid(self, batch: ItemBatch) -> set[int]:
        """Return the positions of items with invalid extra values, and record violations."""
        wrong = set()
        for place, extra in enumerate(batch.extras or ()):
            if extra:
                found = [*self._violations_of(batch, place, extra)]
                self._violations.extend(found)
                wrong.update([place] if found else [])
        return wrong

    @staticmethod
    def normalized(batch: ItemBatch) -> ItemBatch:
        """Return a batch whose extra values are sorted by name, without empty objects."""
        if batch.extras is None:
            return batch
        extras = [dict(sorted(extra.items())) if extra else None for extra in batch.extras]
        return batch._replace(extras=extras if any(extras) else None)

    def _violations_of(
        self, batch: ItemBatch, place: int, extra: Mapping[str, str]
    ) -> Iterator[Violation]:
        for name, value in extra.items():
            code, detail = self._fault(name, value)
            if code:
                where = batch.locate(batch.indices[place], member_pointer("extra", name))
                yield violation(where, code, detail)

    def _fault(self, name: str, value: str) -> tuple[str, str]:
        """Return code and detail of an extra value that is invalid; both empty if it is valid."""
        if name not in self._seen:
            if not is_extra_name(name):
                detail = (
                    f"{shown(name)} is not a name of an extra value: send 1 to 40 of a-z, 0-9, _."
                )
                return "extra_name", detail
            if len(self._seen) == MAX_EXTRA_NAMES:
                detail = (
                    f"{shown(name)} is one name more than the {MAX_EXTRA_NAMES} that the extra "
                    "values of a request may have. Send fewer names."
                )
                return "range", detail
            self._seen[name] = None
        if len(value) > MAX_EXTRA_LENGTH:
            detail = f"{shown(value)} has {len(value)} characters; send at most {MAX_EXTRA_LENGTH}."
            return "length", detail
        return "", ""
