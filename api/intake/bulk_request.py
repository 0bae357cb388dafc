"""Bulk requests, parsed from JSON or CSV, and their conversion to job requests."""

from collections.abc import Iterator
from typing import NamedTuple

from api.http.problems import Violations, invalid
from api.intake.item_batch import ItemBatch, ItemRow
from api.intake.layout import requested_layout
from api.intake.validation import ItemCheck, RequestLimits
from api.intake.warnings import Warnings
from api.schemas.tasks import BulkRequest
from pipeline.service import EncodedItems, JobRequest


class ParsedRequest(NamedTuple):
    """A bulk request, whether it was sent as JSON or as CSV.

    Attributes:
        head: all fields except the items, each of the right type.
        total: number of items; None if it is unknown until the batches have been read.
        batches: the items, parsed while the batches are read. Violations and warnings are appended
            at the same time.
        warnings: the warnings about the request.
    """

    head: BulkRequest
    total: int | None
    batches: Iterator[ItemBatch]
    warnings: Warnings


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
    check = ItemCheck(head, limits, violations, parsed.warnings)
    items = EncodedItems(limits.chunk_size)
    waiting: list[ItemRow] = []
    for batch in parsed.batches:
        waiting += check.valid_items(batch)
        if violations:
            waiting.clear()
        elif len(waiting) >= limits.chunk_size:
            items.append(waiting[: limits.chunk_size])
            del waiting[: limits.chunk_size]
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
        layout=requested_layout(head),
    )
