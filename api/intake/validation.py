"""Validation of requests, JSON or CSV: finds and reports every invalid value.

A batch of items is validated as a whole in one fast pass. If this pass fails, the batch is
validated again value by value, so that the response can point to each invalid value.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import chain
from typing import NamedTuple

from api.http.problems import Violations
from api.intake.file_names import FileNames
from api.intake.item_batch import (
    DATE_FIELDS,
    FIRST_FIELDS,
    OTHER_FIELDS,
    TEXT_FIELDS,
    ItemBatch,
    Location,
    violation,
)
from api.intake.item_extras import ItemExtras
from api.intake.item_gtins import ItemGtins
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
from pipeline.service import ApiKey, CallbackRules, Item, ItemRow
from render.chunk import choose_versions
from render.errors import InvalidValueError
from render.gs1.ai import Charset, all_alphanumeric, check_alphanumeric, check_date, check_expiry
from render.gs1.gtin import normalize_gtin
from render.gs1.link import digital_link_uri
from render.image import ErrorCorrection

#: Texts whose characters the setting ``QRMILL_CHARSET`` decides; a variant has those of set 82.
_CHARSET_FIELDS = ("lot", "serial")
_FEW = len(FIRST_FIELDS)
#: Rules for the dates; that of the expiration date has error codes of its own.
_DATE_RULES = {field: check_expiry if field == "expiry" else check_date for field in DATE_FIELDS}
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
        may_have_names: whether items may have the field ``name``.
        extra_order: names of extra values in their order, if it is known beforehand.

    Attributes:
        count: number of items in the batches so far.
        gtin14: GTIN-14 of the items that have none of their own. If the request has none, it is
            that of the first valid item, and None before that. None if a shared value is invalid.
        item_fields: fields beyond :data:`FIRST_FIELDS` that at least one valid item has.
        options: rendering options of the symbols; out of range if a shared value is invalid.
        link_base: beginning of the URIs of the items.
    """

    def __init__(
        self,
        head: BulkRequest | SymbolRequest,
        limits: RequestLimits,
        violations: Violations,
        warnings: Warnings,
        *,
        may_have_names: bool = True,
        extra_order: Sequence[str] = (),
    ) -> None:
        self._limits = limits
        self._rules: dict[str, Callable[[str], None]] = {
            **dict.fromkeys(_CHARSET_FIELDS, partial(check_alphanumeric, charset=limits.charset)),
            "variant": partial(check_alphanumeric, charset="cset82"),
            **_DATE_RULES,
        }
        self._violations = violations
        self.options = requested_options(head)
        gtin14 = None if head.gtin is None else _checked_gtin(head.gtin, violations)
        self.link_base = limits.link_base if head.link_base is None else head.link_base
        allowed = limits.link_bases or (limits.link_base,)
        violations.extend(wrong_link_base(self.link_base, allowed))
        violations.extend(wrong_numbers(head))
        if isinstance(head, BulkRequest):
            self._check_bulk_fields(head)
        if self._are_valid(_SYMBOLS_DEPEND_ON):
            violations.extend(wrong_least_version(self.options))
        self._shared_valid = self._are_valid(_SYMBOLS_DEPEND_ON)
        self.gtin14 = gtin14 if self._shared_valid else None
        # Added last: with strict, a warning is a violation, but the shared values stay valid.
        if head.gtin is not None and gtin14 is not None:
            warn_about_gtin(head.gtin, gtin14, warnings)
        self._sizes = (
            SymbolSizes(self.options, violations, warnings) if self._shared_valid else None
        )
        self._gtins = ItemGtins(violations, warnings, needed=head.gtin is None)
        self._names = FileNames(
            violations,
            is_single=isinstance(head, BulkRequest) and head.pages == "single",
            expected=may_have_names,
        )
        self._extras = ItemExtras(violations, extra_order)
        self._warnings = ItemWarnings(warnings, limits.charset)
        self.count = 0
        self.item_fields: set[str] = set()

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Names of the items' extra values, in the order of the manifest's columns."""
        return self._extras.names

    def finish(self) -> None:
        """Check what depends on all items, and record violations."""
        self._names.finish(self.count)

    def valid_items(self, batch: ItemBatch) -> list[ItemRow]:
        """Return the valid items of a batch, and record violations and warnings."""
        wrong = {*batch.unreadable, *self._invalid(batch), *self._gtins.invalid(batch)}
        wrong |= self._names.invalid(batch) | self._extras.invalid(batch)
        valid = self._extras.normalized(self._gtins.normalized(batch.without(wrong)))
        self._names.remember(valid)
        if self.gtin14 is None and self._shared_valid:
            self.gtin14 = next(iter(valid.values("gtin")), None)
        own = self._gtins.without_shared(valid, self.gtin14)
        if self._sizes is not None and self._sizes.depend_on_version:
            versions = [version for version, _ in self.symbols(own.rows())]
            unfit = self._sizes.check(valid, versions)
            valid, own = valid.without(unfit), own.without(unfit)
        self.count += len(batch.indices)
        self._warnings.inspect(valid, own, several=self.count > 1)
        self.item_fields.update(own.present(OTHER_FIELDS), ("extra",) if own.extras else ())
        return own.rows()

    def sized(self, chunks: Iterable[list[ItemRow]]) -> Iterator[list[ItemRow]]:
        """Yield items that differ from a valid one in their serials, if their symbols fit.

        A violation is recorded for each version that does not fit.
        """
        checked = set[int]()
        for items in chunks:
            if self._sizes is not None and self._sizes.depend_on_version:
                versions = sorted({version for version, _ in self.symbols(items)} - checked)
                checked.update(versions)
                places = ItemBatch({}, range(len(versions)), (), lambda *_: Location("/serials"))
                self._sizes.check(places, versions)
            yield items

    def uris(self, items: Sequence[ItemRow]) -> list[str]:
        """Return the URIs of valid items; an empty list if a shared value is invalid."""
        base, gtin14 = self.link_base, self.gtin14
        if gtin14 is None:
            return []
        return [
            digital_link_uri(base, gtin14, item[0], item[1], item[2])
            if len(item) == _FEW
            else Item(*item).uri(base, gtin14)
            for item in items
        ]

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
        columns = batch.columns
        texts = [*chain.from_iterable(columns[field].texts() for field in _CHARSET_FIELDS)]
        dates = chain.from_iterable(columns[field].texts() for field in batch.present(DATE_FIELDS))
        if (
            all_alphanumeric(texts, self._limits.charset)
            and (
                "variant" not in columns
                or all_alphanumeric([*columns["variant"].texts()], "cset82")
            )
            and not any(map(_is_no_date, dates))
        ):
            return set()
        invalid = set()
        for place in range(len(batch.indices)):
            for found in self._violations_of(batch, place):
                self._violations.append(found)
                invalid.add(place)
        return invalid

    def _violations_of(self, batch: ItemBatch, place: int) -> Iterator[Violation]:
        for field in batch.present((*TEXT_FIELDS, *DATE_FIELDS)):
            value = batch.columns[field].values[place]
            if value is not None:
                where = batch.locate(batch.indices[place], field)
                yield from broken_rule(self._rules[field], value, where)


def wrong_count(count: str, limits: RequestLimits) -> Violation:
    """Return the violation of a request with no items or with too many."""
    detail = f"The request has {count} items. Send 1 to {limits.max_items} items per request."
    return Violation("/items", "range", detail)


def shared_gtin(*, has_own: bool, violations: Violations) -> str | None:
    """Return the GTIN of a request without one: None, or a placeholder with a violation.

    Args:
        has_own: whether the items may have GTINs of their own.
        violations: receives the violation if they have none.
    """
    if has_own:
        return None
    detail = (
        "The required field 'gtin' is missing. Send the GTIN of all items, or a gtin with each "
        "item."
    )
    violations.append(Violation("/gtin", "missing", detail))
    return ANY_GTIN


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
