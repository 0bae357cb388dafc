"""Bulk requests, parsed from JSON or CSV, and their conversion to job requests."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from api.http.problems import Violations, invalid
from api.intake.item_batch import ItemBatch
from api.intake.layout import requested_layout
from api.intake.serials import SERIAL, RandomSerials, SerialSource, with_serials
from api.intake.validation import ItemCheck, RequestLimits
from api.intake.warnings import Warnings
from api.schemas.tasks import BulkRequest
from pipeline.service import EncodedItems, ItemRow, JobRequest


class ParsedRequest(NamedTuple):
    """A bulk request, whether it was sent as JSON or as CSV.

    Attributes:
        head: all fields except the items, each of the right type.
        total: number of items; None if it is unknown until the batches have been read.
        batches: the items, parsed while the batches are read. Violations and warnings are appended
            at the same time.
        warnings: the warnings about the request.
        may_have_names: whether items may have the field ``name``.
        extra_order: names of extra values in the order of the columns that the request gives them.
        serials: the serial numbers that the service makes. The only batch then has a single item,
            which has what all items share.
    """

    head: BulkRequest
    total: int | None
    batches: Iterator[ItemBatch]
    warnings: Warnings
    may_have_names: bool = False
    extra_order: Sequence[str] = ()
    serials: SerialSource | None = None

    def check(self, limits: RequestLimits, violations: Violations) -> ItemCheck:
        """Return the check of the request, which has validated the head."""
        return ItemCheck(
            self.head,
            limits,
            violations,
            self.warnings,
            may_have_names=self.may_have_names,
            extra_order=self.extra_order,
        )

    def valid_items(self, check: ItemCheck, chunk_size: int) -> Iterator[list[ItemRow]]:
        """Yield the valid items, in pieces of at most a chunk."""
        for batch in self.batches:
            valid = check.valid_items(batch)
            if self.serials is None:
                yield valid
            elif valid:
                yield from check.sized(with_serials(valid[0], self.serials, chunk_size))


def build_job_request(
    parsed: ParsedRequest, limits: RequestLimits, violations: Violations
) -> JobRequest:
    """Validate a request and convert it to a job request.

    Args:
        parsed: the parsed request.
        limits: limits of the service.
        violations: violations found by the parser; further ones are appended.

    Raises:
        ProblemError: 422 with every invalid value; 400 if the body is malformed, which may be
            detected only when the batches are read.
    """
    head = parsed.head
    check = parsed.check(limits, violations)
    items = EncodedItems(limits.chunk_size)
    waiting: list[ItemRow] = []
    for valid in parsed.valid_items(check, limits.chunk_size):
        waiting += valid
        if violations:
            waiting.clear()
        elif len(waiting) >= limits.chunk_size:
            items.append(waiting[: limits.chunk_size])
            del waiting[: limits.chunk_size]
    check.finish()
    if waiting:
        items.append(waiting)
    if violations or check.gtin14 is None:
        raise invalid(violations)
    warnings = parsed.warnings.found
    return JobRequest(
        gtin=check.gtin14,
        items=items,
        format=head.format,
        size=head.size,
        error_correction=head.error_correction,
        link_base=check.link_base,
        chosen_base="" if check.link_base == limits.link_base else check.link_base,
        callback_url=head.callback_url or "",
        warnings=tuple(warnings.listed),
        warnings_total=len(warnings),
        drawn=_drawn(parsed.serials, items),
        layout=requested_layout(head, check.item_fields, check.extra_names),
    )


def _drawn(serials: SerialSource | None, items: EncodedItems) -> bytes:
    """Return what stands for items with random serials in the meaning of a request."""
    if not isinstance(serials, RandomSerials):
        return b""
    first, *_ = msgspec.json.decode(items.chunks[0])
    shared = [*first[:SERIAL], None, *first[SERIAL + 1 :]]
    return msgspec.json.encode(["random", serials.count, serials.length, shared])
