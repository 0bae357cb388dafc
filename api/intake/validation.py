"""Validation of requests, JSON or CSV: finds and reports every invalid value.

A batch of items is validated as a whole in one fast pass. If this pass fails, the batch is
validated again value by value, so that the response can point to each invalid value.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import NamedTuple

from api.http.problems import Violations
from api.intake.item_batch import (
    DATE_FIELDS,
    TEXT_FIELDS,
    ItemBatch,
    ItemRow,
    Location,
    violation,
)
from api.intake.item_warnings import ItemWarnings
from api.intake.layout import requested_options
from api.intake.shared_fields import (
    broken_rule,
    wrong_callback_url,
    wrong_files,
    wrong_link_base,
    wrong_numbers,
)
from api.intake.symbol_sizes import SymbolSizes, wrong_least_version
from api.intake.warnings import Warnings, warn_about_gtin
from api.schemas.problems import Violation
from api.schemas.tasks import GTIN_EXAMPLE, BulkRequest, SymbolRequest
from pipeline.service import ApiKey, CallbackRules
from render.chunk import choose_versions
from render.errors import InvalidValueError
from render.gs1.ai import Charset, all_alphanumeric, check_alphanumeric, check_expiry
from render.gs1.gtin import normalize_gtin
from render.gs1.link import digital_link_uri
from render.image import ErrorCorrection

#: Placeholder for a GTIN that is missing or of the wrong type. The violation is already recorded,
#: and with a valid placeholder the other values can still be validated.
ANY_GTIN = GTIN_EXAMPLE
#: Valid placeholders for required fields that are missing or of the wrong type.
PLACEHOLDERS = {"gtin": ANY_GTIN, "items": []}
#: Fields that affect the symbols of all items.
_SHAPING_FIELDS = (
    *("gtin", "format", "size", "error_correction", "version", "xdim_mm", "dpi", "link_base"),
)
#: JSON Pointers of these fields. The empty pointer is the whole request.
_SYMBOLS_DEPEND_ON = frozenset({"", *(f"/{name}" for name in _SHAPING_FIELDS)})
#: JSON Pointers of the fields that decide the files of the bundle.
_FILES_DEPEND_ON = frozenset({"", "/format", "/pages", "/datamerge"})


class RequestLimits(NamedTuple):
    """The service's limits on requests.

    Attributes:
        max_items: maximum number of items per request.
        charset: characters allowed in ``lot`` and ``serial``.
        link_base: beginning of the Digital Link URIs of a request that does not choose one.
        chunk_size: items per batch, and per chunk of an accepted job.
        callbacks: rules for callback URLs.
        link_bases: bases that a request may choose; empty for ``link_base`` alone.
    """

    max_items: int
    charset: Charset
    link_base: str
    chunk_size: int
    callbacks: CallbackRules = CallbackRules()
    link_bases: tuple[str, ...] = ()

    def of_key(self, key: ApiKey) -> "RequestLimits":
        """Return the limits on the requests of an API key, which may have its own link bases."""
        bases = key.link_bases
        return self._replace(link_base=bases[0], link_bases=bases) if bases else self


class ItemCheck:
    """Validates the shared fields of a request, and then its items batch by batch.

    If a shared value is invalid, items are validated only by the rules that need no shared value.
    Valid values that are probably not intended get a warning in the same pass.

    Args:
        head: fields that all items share; its ``items`` are ignored.
        limits: limits of the service.
        violations: receives a violation for each invalid value.
        warnings: receives the warnings.

    Attributes:
        gtin14: GTIN-14 of the items; None if a shared value is invalid.
        options: rendering options of the symbols; out of range if a shared value is invalid.
        link_base: beginning of the URIs of the items.
    """

    def __init__(
        self,
        head: BulkRequest | SymbolRequest,
        limits: RequestLimits,
        violations: Violations,
        warnings: Warnings,
    ) -> None:
        self._limits = limits
        self._violations = violations
        self.options = requested_options(head)
        gtin14 = _checked_gtin(head.gtin, violations)
        self.link_base = limits.link_base if head.link_base is None else head.link_base
        allowed = limits.link_bases or (limits.link_base,)
        violations.extend(wrong_link_base(self.link_base, allowed))
        violations.extend(wrong_numbers(head))
        if isinstance(head, BulkRequest):
            self._check_bulk_fields(head)
        if self._are_valid(_SYMBOLS_DEPEND_ON):
            violations.extend(wrong_least_version(self.options))
        are_valid = self._are_valid(_SYMBOLS_DEPEND_ON)
        self.gtin14 = gtin14 if are_valid else None
        # Added last: with strict, a warning is a violation, but the shared values stay valid.
        if gtin14 is not None:
            warn_about_gtin(head.gtin, gtin14, warnings)
        self._sizes = SymbolSizes(self.options, violations, warnings) if are_valid else None
        self._warnings = ItemWarnings(warnings, limits.charset)
        self._count = 0

    def valid_items(self, batch: ItemBatch) -> list[ItemRow]:
        """Return the valid items of a batch, and record violations and warnings."""
        wrong = {*batch.unreadable, *self._invalid(batch)}
        valid = batch.without(wrong)
        if self._sizes is not None and self._sizes.depend_on_version:
            versions = [version for version, _ in self.symbols(valid.rows())]
            valid = valid.without(self._sizes.check(valid, versions))
        self._count += len(batch.indices)
        self._warnings.inspect(valid, several=self._count > 1)
        return valid.rows()

    def uris(self, items: Sequence[ItemRow]) -> list[str]:
        """Return the URIs of valid items; an empty list if a shared value is invalid."""
        base, gtin14 = self.link_base, self.gtin14
        if gtin14 is None:
            return []
        return [digital_link_uri(base, gtin14, *item) for item in items]

    def symbols(self, items: Sequence[ItemRow]) -> list[tuple[int, ErrorCorrection]]:
        """Return version and level of the symbols of valid items.

        The list is empty if a shared value is invalid.
        """
        return choose_versions(self.uris(items), self.options)

    def _check_bulk_fields(self, head: BulkRequest) -> None:
        if head.callback_url is not None:
            self._violations.extend(wrong_callback_url(head.callback_url, self._limits.callbacks))
        if self._are_valid(_FILES_DEPEND_ON):
            self._violations.extend(wrong_files(head))

    def _are_valid(self, pointers: AbstractSet[str]) -> bool:
        """Return whether no violation has one of ``pointers``.

        If the list of violations is full, one of the values may be invalid without being listed.
        """
        wrong = {each.pointer for each in self._violations.listed}
        return not self._violations.full and wrong.isdisjoint(pointers)

    def _invalid(self, batch: ItemBatch) -> set[int]:
        """Return the positions of items with a value that is invalid by itself."""
        texts = [*chain.from_iterable(batch.columns[field].texts() for field in TEXT_FIELDS)]
        dates = chain.from_iterable(batch.columns[field].texts() for field in DATE_FIELDS)
        if all_alphanumeric(texts, self._limits.charset) and not any(map(_is_no_date, dates)):
            return set()
        invalid = set()
        for place in range(len(batch.indices)):
            for found in self._violations_of(batch, place):
                self._violations.append(found)
                invalid.add(place)
        return invalid

    def _violations_of(self, batch: ItemBatch, place: int) -> Iterator[Violation]:
        def check_text(value: str) -> None:
            check_alphanumeric(value, self._limits.charset)

        for field, column in batch.columns.items():
            value = column.values[place]
            if value is not None:
                rule = check_text if field in TEXT_FIELDS else check_expiry
                yield from broken_rule(rule, value, batch.locate(batch.indices[place], field))


def wrong_count(count: str, limits: RequestLimits) -> Violation:
    """Return the violation of a request with no items or with too many."""
    detail = f"The request has {count} items. Send 1 to {limits.max_items} items per request."
    return Violation("/items", "range", detail)


def _checked_gtin(text: str, violations: Violations) -> str | None:
    try:
        return normalize_gtin(text)
    except InvalidValueError as error:
        violations.append(violation(Location("/gtin"), error.code, error.detail))
        return None


def _is_no_date(value: str) -> bool:
    try:
        check_expiry(value)
    except InvalidValueError:
        return True
    return False
