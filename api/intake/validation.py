"""Validation of requests, JSON or CSV: finds and reports every bad value.

A batch of items is checked in one fast pass. Only a batch that fails it is checked again value by
value, so that the response can point to each bad one.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from api.http.problems import Violations
from api.schemas.problems import Violation
from api.schemas.tasks import BulkRequest, SymbolRequest
from pipeline.service import CallbackRules, Item, parse_callback_url
from render.chunk import choose_versions, least_sizes
from render.errors import InvalidValueError, shown
from render.gs1.ai import Charset, all_alphanumeric, check_alphanumeric, check_expiry
from render.gs1.gtin import normalize_gtin
from render.gs1.link import digital_link_uri
from render.image import MAX_SIZE, MIN_SIZE, QUIET_ZONE, ErrorCorrection, RenderOptions, symbol_side

#: Placeholder for a GTIN that is missing or of the wrong type. That violation is already recorded,
#: and the other values can still be checked.
ANY_GTIN = "00000000000000"
#: Valid values in place of the fields that are missing or of the wrong type.
PLACEHOLDERS = {"gtin": ANY_GTIN, "items": []}
#: Side in pixels of a PNG that holds any symbol, so that no symbol has to be measured.
_ALWAYS_ENOUGH = symbol_side(40) + 2 * QUIET_ZONE
#: Pointers of what the symbols of all items depend on; the empty one is that of the whole request.
_SYMBOLS_DEPEND_ON = frozenset({"", "/gtin", "/format", "/size", "/error_correction"})


class RequestLimits(NamedTuple):
    """Limits of a service on requests.

    Attributes:
        max_items: items per request.
        charset: characters allowed in lots and serials.
        link_base: start of every URI.
        chunk_size: items per batch, and per chunk of an accepted job.
        callbacks: rules for callback URLs.
    """

    max_items: int
    charset: Charset
    link_base: str
    chunk_size: int
    callbacks: CallbackRules = CallbackRules()


class Location(NamedTuple):
    """Location of a value: its JSON Pointer; in CSV also its line and column, counted from 1."""

    pointer: str
    line: int | None = None
    column: int | None = None


class ItemBatch(NamedTuple):
    """Consecutive items of a request, at most one chunk.

    Attributes:
        items: with an item without values in place of each that could not be read.
        unreadable: indices in the batch of those; their violations are already recorded.
        locate: returns the location of an item, by its index in the batch, or of one of its fields.
    """

    items: list[Item]
    unreadable: Collection[int]
    locate: Callable[[int, str | None], Location]


class ItemCheck:
    """Checks what the items of a request share, then the items, batch by batch.

    Args:
        head: fields that the items share; items in it are ignored.
        limits: of the service.
        violations: bad values are appended. Checks that depend on more than an item's own values
            are skipped if one of the shared values is bad.

    Attributes:
        gtin14: GTIN-14 of the items; None if one of the shared values is bad.
    """

    def __init__(
        self, head: BulkRequest | SymbolRequest, limits: RequestLimits, violations: Violations
    ) -> None:
        gtin14 = _checked_gtin(head.gtin, violations)
        if not MIN_SIZE <= head.size <= MAX_SIZE:
            detail = f"{shown(head.size)} is not a size; {MIN_SIZE} to {MAX_SIZE} pixels are."
            violations.append(Violation("/size", "range", detail))
        if isinstance(head, BulkRequest) and head.callback_url is not None:
            violations.extend(_wrong_callback_url(head.callback_url, limits.callbacks))
        self._limits = limits
        self._violations = violations
        # A full list may lack a pointer, and takes no further row.
        wrong = {each.pointer for each in violations.listed}
        shared_valid = not violations.full and wrong.isdisjoint(_SYMBOLS_DEPEND_ON)
        self.gtin14 = gtin14 if shared_valid else None
        self._options = RenderOptions(head.format, head.size, head.error_correction)
        self._any_fits = head.format != "png" or head.size >= _ALWAYS_ENOUGH

    def valid_items(self, batch: ItemBatch) -> list[Item]:
        """Return the items of a batch that have no bad value."""
        wrong = {*batch.unreadable, *self._invalid(batch)}
        if not self._any_fits and self.gtin14 is not None:
            wrong |= self._too_small(batch, [n for n in range(len(batch.items)) if n not in wrong])
        if not wrong:
            return batch.items
        return [item for index, item in enumerate(batch.items) if index not in wrong]

    def uris(self, items: Sequence[Item]) -> list[str]:
        """Return the URIs of checked items; none if a shared value is bad."""
        base, gtin14 = self._limits.link_base, self.gtin14
        if gtin14 is None:
            return []
        return [
            digital_link_uri(base, gtin14, item.lot, item.serial, item.expiry) for item in items
        ]

    def symbols(self, items: Sequence[Item]) -> list[tuple[int, ErrorCorrection]]:
        """Return version and level of checked items' symbols; none if a shared value is bad."""
        return choose_versions(self.uris(items), self._options)

    def _invalid(self, batch: ItemBatch) -> set[int]:
        """Return the indices of items with a value that breaks a rule of its own."""
        items, charset = batch.items, self._limits.charset
        texts = [item.lot for item in items if item.lot is not None]
        texts += [item.serial for item in items if item.serial is not None]
        dates = {item.expiry for item in items if item.expiry is not None}
        if all_alphanumeric(texts, charset) and not any(map(_is_no_date, dates)):
            return set()
        invalid = set()
        for index, item in enumerate(items):
            for found in self._violations_of(item, batch, index):
                self._violations.append(found)
                invalid.add(index)
        return invalid

    def _violations_of(self, item: Item, batch: ItemBatch, index: int) -> Iterator[Violation]:
        def check_text(value: str) -> None:
            check_alphanumeric(value, self._limits.charset)

        for field, rule in (("lot", check_text), ("serial", check_text), ("expiry", check_expiry)):
            value = getattr(item, field)
            if value is not None:
                yield from _broken_rule(rule, value, batch.locate(index, field))

    def _too_small(self, batch: ItemBatch, indices: Sequence[int]) -> set[int]:
        """Return those of ``indices`` whose symbol has less than one pixel per module."""
        uris = self.uris([batch.items[index] for index in indices])
        size = self._options.size
        small = set()
        for index, least in zip(indices, least_sizes(uris, self._options), strict=True):
            if least > size:
                detail = (
                    f"This item's symbol needs a size of at least {least} pixels, one a module; "
                    f"the request says {size}."
                )
                where = batch.locate(index, None)
                self._violations.append(violation(where, "size_too_small", detail))
                small.add(index)
        return small


def wrong_count(count: str, limits: RequestLimits) -> Violation:
    """Return the violation of a request that has no items, or too many."""
    detail = f"There are {count} items; a request has 1 to {limits.max_items}."
    return Violation("/items", "range", detail)


def violation(where: Location, code: str, detail: str) -> Violation:
    """Return the violation of the value at a location."""
    return Violation(where.pointer, code, detail, where.line, where.column)


def _checked_gtin(text: str, violations: Violations) -> str | None:
    try:
        return normalize_gtin(text)
    except InvalidValueError as error:
        violations.append(violation(Location("/gtin"), error.code, error.detail))
        return None


def _wrong_callback_url(url: str, callbacks: CallbackRules) -> Iterator[Violation]:
    def check(value: str) -> None:
        parse_callback_url(value, callbacks)

    return _broken_rule(check, url, Location("/callback_url"))


def _is_no_date(value: str) -> bool:
    try:
        check_expiry(value)
    except InvalidValueError:
        return True
    return False


def _broken_rule(rule: Callable[[str], object], value: str, where: Location) -> Iterator[Violation]:
    try:
        rule(value)
    except InvalidValueError as error:
        yield violation(where, error.code, error.detail)
