"""The checks that every form of a request shares: every bad value is found and told.

Well-formed values take one fast path. Only a run of items with a bad one is looked through again,
value by value, so that the answer can point to each of them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from api.http.problems import Violations
from api.schemas.problems import Violation
from api.schemas.tasks import MAX_SIZE, MIN_SIZE, BulkRequest, SymbolRequest
from pipeline.service import CallbackRules, Item, parse_callback_url
from render.chunk import choose_versions, least_sizes
from render.errors import InvalidValueError, shown
from render.gs1.ai import Charset, all_alphanumeric, check_alphanumeric, check_expiry
from render.gs1.gtin import normalize_gtin
from render.gs1.link import digital_link_uri
from render.image import QUIET_ZONE, ErrorCorrection, RenderOptions, symbol_side

#: Stands in for a GTIN that is missing or of the wrong type, which has been noted already, so that
#: the other values can be checked all the same.
ANY_GTIN = "00000000000000"
#: A PNG of this many pixels a side holds any symbol, so that nothing need be looked at to know.
_ALWAYS_ENOUGH = symbol_side(40) + 2 * QUIET_ZONE
#: Where what the symbols of all items depend on may be wrong: there, or because nothing was read.
_SYMBOLS_DEPEND_ON = frozenset({"", "/gtin", "/format", "/size", "/error_correction"})


class Rules(NamedTuple):
    """What a service allows: items a request, characters, what URIs begin with, callback URLs.

    Attributes:
        chunk_size: items that are looked at together, and kept together once they are accepted.
    """

    max_items: int
    charset: Charset
    link_base: str
    chunk_size: int
    callbacks: CallbackRules = CallbackRules()


class Place(NamedTuple):
    """Where a value stands: its JSON Pointer; in CSV also its line and column, from 1."""

    pointer: str
    line: int | None = None
    column: int | None = None


class Run(NamedTuple):
    """Items that follow one another in a request, a chunk of them at most.

    Attributes:
        items: one without values stands in for each that could not be read.
        unreadable: where in the run those are; what is wrong with them was noted already.
        place: tells where an item stands, or one of its fields: by its number in the run, from 0.
    """

    items: list[Item]
    unreadable: Collection[int]
    place: Callable[[int, str | None], Place]


class ItemCheck:
    """The check of what a request says, in whichever form: what its items share, then the items.

    Args:
        head: what the items share; the items in it are not looked at.
        rules: of the service.
        violations: what is wrong is appended. What depends on more than an item's own values is not
            looked at when one of the others is wrong.
    """

    def __init__(
        self, head: BulkRequest | SymbolRequest, rules: Rules, violations: Violations
    ) -> None:
        violations.extend(_broken_rule(normalize_gtin, head.gtin, Place("/gtin")))
        if not MIN_SIZE <= head.size <= MAX_SIZE:
            detail = f"{shown(head.size)} is not a size; {MIN_SIZE} to {MAX_SIZE} pixels are."
            violations.append(Violation("/size", "range", detail))
        if isinstance(head, BulkRequest) and head.callback_url is not None:
            violations.extend(_wrong_callback_url(head.callback_url, rules.callbacks))
        self._rules = rules
        self._violations = violations
        # Of a full list nobody can tell, and no row could be added to it.
        wrong = {each.pointer for each in violations.listed}
        good = not violations.full and wrong.isdisjoint(_SYMBOLS_DEPEND_ON)
        self._gtin14 = normalize_gtin(head.gtin) if good else None
        self._options = RenderOptions(head.format, head.size, head.error_correction)
        self._any_fits = head.format != "png" or head.size >= _ALWAYS_ENOUGH

    def good(self, run: Run) -> list[Item]:
        """Return the items of ``run`` in which nothing is wrong."""
        wrong = {*run.unreadable, *self._broken(run)}
        if not self._any_fits and self._gtin14 is not None:
            wrong |= self._too_small(run, [n for n in range(len(run.items)) if n not in wrong])
        if not wrong:
            return run.items
        return [item for place, item in enumerate(run.items) if place not in wrong]

    def uris(self, items: Sequence[Item]) -> list[str]:
        """Return the URIs of checked items; none when what they share is bad."""
        base, gtin14 = self._rules.link_base, self._gtin14
        if gtin14 is None:
            return []
        return [
            digital_link_uri(base, gtin14, item.lot, item.serial, item.expiry) for item in items
        ]

    def symbols(self, items: Sequence[Item]) -> list[tuple[int, ErrorCorrection]]:
        """Return version and level of checked items' symbols; none when what they share is bad."""
        return choose_versions(self.uris(items), self._options)

    def _broken(self, run: Run) -> set[int]:
        """Return the places of items with a value that breaks a rule of its own."""
        items, charset = run.items, self._rules.charset
        texts = [item.lot for item in items if item.lot is not None]
        texts += [item.serial for item in items if item.serial is not None]
        dates = {item.expiry for item in items if item.expiry is not None}
        if all_alphanumeric(texts, charset) and not any(map(_is_no_date, dates)):
            return set()
        broken = set()
        for place, item in enumerate(items):
            for found in self._of_item(item, run, place):
                self._violations.append(found)
                broken.add(place)
        return broken

    def _of_item(self, item: Item, run: Run, place: int) -> Iterator[Violation]:
        def check_text(value: str) -> None:
            check_alphanumeric(value, self._rules.charset)

        for field, rule in (("lot", check_text), ("serial", check_text), ("expiry", check_expiry)):
            value = getattr(item, field)
            if value is not None:
                yield from _broken_rule(rule, value, run.place(place, field))

    def _too_small(self, run: Run, places: Sequence[int]) -> set[int]:
        """Return those of ``places`` whose symbol does not get one pixel a module."""
        uris = self.uris([run.items[place] for place in places])
        size = self._options.size
        small = set()
        for place, least in zip(places, least_sizes(uris, self._options), strict=True):
            if least > size:
                detail = (
                    f"This item's symbol needs a size of at least {least} pixels, one a module; "
                    f"the request says {size}."
                )
                where = run.place(place, None)
                self._violations.append(violation(where, "size_too_small", detail))
                small.add(place)
        return small


def wrong_count(count: str, rules: Rules) -> Violation:
    """Return what is wrong with a request that has no items, or too many."""
    detail = f"There are {count} items; a request has 1 to {rules.max_items}."
    return Violation("/items", "range", detail)


def violation(where: Place, code: str, detail: str) -> Violation:
    """Return what is wrong with the value at a place."""
    return Violation(where.pointer, code, detail, where.line, where.column)


def _wrong_callback_url(url: str, callbacks: CallbackRules) -> Iterator[Violation]:
    def check(value: str) -> None:
        parse_callback_url(value, callbacks)

    return _broken_rule(check, url, Place("/callback_url"))


def _is_no_date(value: str) -> bool:
    try:
        check_expiry(value)
    except InvalidValueError:
        return True
    return False


def _broken_rule(rule: Callable[[str], object], value: str, where: Place) -> Iterator[Violation]:
    try:
        rule(value)
    except InvalidValueError as error:
        yield violation(where, error.code, error.detail)


#: Valid values that stand in for those that are missing or of the wrong type, which have been
#: noted already, so that the others can be checked all the same.
STAND_INS = {"gtin": ANY_GTIN, "items": []}
