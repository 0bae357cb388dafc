"""Validation of requests, JSON or CSV: finds and reports every invalid value.

A batch of items is validated as a whole in one fast pass. Only if this pass fails, the batch is
validated again value by value, so that the response can point to each invalid value.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from api.http.problems import Violations
from api.schemas.problems import Violation
from api.schemas.tasks import BulkRequest, SymbolRequest
from pipeline.service import CallbackRules, Item, parse_callback_url
from render.chunk import choose_versions, least_sizes
from render.errors import InvalidValueError
from render.gs1.ai import Charset, all_alphanumeric, check_alphanumeric, check_expiry
from render.gs1.gtin import normalize_gtin
from render.gs1.link import digital_link_uri
from render.image import MAX_SIZE, MIN_SIZE, QUIET_ZONE, ErrorCorrection, RenderOptions, symbol_side

#: Placeholder for a GTIN that is missing or of the wrong type. The violation is already recorded,
#: and with a placeholder the other values can still be validated.
ANY_GTIN = "00000000000000"
#: Valid placeholders for required fields that are missing or of the wrong type.
PLACEHOLDERS = {"gtin": ANY_GTIN, "items": []}
#: Side in pixels of a PNG in which a symbol of any version fits. From this size on, versions need
#: not be chosen for validation.
_ALWAYS_ENOUGH = symbol_side(40) + 2 * QUIET_ZONE
#: JSON Pointers of the values that affect the symbols of all items. The empty pointer is the whole
#: request.
_SYMBOLS_DEPEND_ON = frozenset({"", "/gtin", "/format", "/size", "/error_correction"})


class RequestLimits(NamedTuple):
    """The service's limits on requests.

    Attributes:
        max_items: maximum number of items per request.
        charset: characters allowed in ``lot`` and ``serial``.
        link_base: beginning of every Digital Link URI.
        chunk_size: items per batch, and per chunk of an accepted job.
        callbacks: rules for callback URLs.
    """

    max_items: int
    charset: Charset
    link_base: str
    chunk_size: int
    callbacks: CallbackRules = CallbackRules()


class Location(NamedTuple):
    """Location of a value: its JSON Pointer and, in CSV, its line and column, counted from 1."""

    pointer: str
    line: int | None = None
    column: int | None = None


class ItemBatch(NamedTuple):
    """Consecutive items of a request, at most as many as a chunk has.

    Attributes:
        items: the items. An item without values replaces each item that could not be decoded.
        unreadable: indices of the replaced items; their violations are already recorded.
        locate: returns the location of an item, given its index in the batch, or of its field.
    """

    items: list[Item]
    unreadable: Collection[int]
    locate: Callable[[int, str | None], Location]


class ItemCheck:
    """Validates the shared fields of a request, and then its items batch by batch.

    If a shared value is invalid, items are validated only by the rules that need no shared value.

    Args:
        head: fields that all items share; its ``items`` are ignored.
        limits: limits of the service.
        violations: receives a violation for each invalid value.

    Attributes:
        gtin14: GTIN-14 of the items; None if a shared value is invalid.
    """

    def __init__(
        self, head: BulkRequest | SymbolRequest, limits: RequestLimits, violations: Violations
    ) -> None:
        gtin14 = _checked_gtin(head.gtin, violations)
        if not MIN_SIZE <= head.size <= MAX_SIZE:
            detail = (
                f"{head.size} is not a valid size. Send {MIN_SIZE} to {MAX_SIZE}, the side of a "
                "PNG in pixels."
            )
            violations.append(Violation("/size", "range", detail))
        if isinstance(head, BulkRequest) and head.callback_url is not None:
            violations.extend(_wrong_callback_url(head.callback_url, limits.callbacks))
        self._limits = limits
        self._violations = violations
        # If the list of violations is full, a shared value may be invalid without being listed.
        wrong = {each.pointer for each in violations.listed}
        shared_valid = not violations.full and wrong.isdisjoint(_SYMBOLS_DEPEND_ON)
        self.gtin14 = gtin14 if shared_valid else None
        self._options = RenderOptions(head.format, head.size, head.error_correction)
        self._any_fits = head.format != "png" or head.size >= _ALWAYS_ENOUGH

    def valid_items(self, batch: ItemBatch) -> list[Item]:
        """Return the valid items of a batch, and record the violations of the others."""
        wrong = {*batch.unreadable, *self._invalid(batch)}
        if not self._any_fits and self.gtin14 is not None:
            wrong |= self._too_small(batch, [n for n in range(len(batch.items)) if n not in wrong])
        if not wrong:
            return batch.items
        return [item for index, item in enumerate(batch.items) if index not in wrong]

    def uris(self, items: Sequence[Item]) -> list[str]:
        """Return the URIs of valid items; an empty list if a shared value is invalid."""
        base, gtin14 = self._limits.link_base, self.gtin14
        if gtin14 is None:
            return []
        return [
            digital_link_uri(base, gtin14, item.lot, item.serial, item.expiry) for item in items
        ]

    def symbols(self, items: Sequence[Item]) -> list[tuple[int, ErrorCorrection]]:
        """Return version and level of the symbols of valid items.

        The list is empty if a shared value is invalid.
        """
        return choose_versions(self.uris(items), self._options)

    def _invalid(self, batch: ItemBatch) -> set[int]:
        """Return the indices of items with a value that is invalid by itself."""
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
        """Return those of ``indices`` whose symbol would have less than one pixel per module."""
        uris = self.uris([batch.items[index] for index in indices])
        size = self._options.size
        small = set()
        for index, least in zip(indices, least_sizes(uris, self._options), strict=True):
            if least > size:
                detail = (
                    f"The symbol of this item needs a size of at least {least} pixels, one per "
                    f"module, but the size of the request is {size}. Send a larger size."
                )
                where = batch.locate(index, None)
                self._violations.append(violation(where, "size_too_small", detail))
                small.add(index)
        return small


def wrong_count(count: str, limits: RequestLimits) -> Violation:
    """Return the violation of a request with no items or with too many."""
    detail = f"The request has {count} items. Send 1 to {limits.max_items} items per request."
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
