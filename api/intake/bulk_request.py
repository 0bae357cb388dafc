"""A parsed bulk request, JSON or CSV, becomes a checked job request or a dry run."""

from collections.abc import Iterator
from typing import NamedTuple

from api.http.problems import Violations, invalid
from api.intake.validation import ItemBatch, ItemCheck, RequestLimits
from api.schemas.tasks import BulkRequest
from pipeline.service import EncodedItems, JobRequest


class ParsedRequest(NamedTuple):
    """A bulk request, whether it was sent as JSON or as CSV.

    Attributes:
        head: every field but the items, of the right types.
        total: number of items; None until the batches have been read.
        batches: the items. Violations are recorded while the batches are read.
    """

    head: BulkRequest
    total: int | None
    batches: Iterator[ItemBatch]


def build_job_request(
    parsed: ParsedRequest, limits: RequestLimits, violations: Violations
) -> JobRequest:
    """Check a request and return it as a job's request.

    Args:
        parsed: the request as it was sent.
        limits: of the service.
        violations: found while the request was parsed; others are added.

    Raises:
        ProblemError: 422 with every bad value if the request is not valid.
    """
    head = parsed.head
    check = ItemCheck(head, limits, violations)
    items = EncodedItems(limits.chunk_size)
    for batch in parsed.batches:
        valid = check.valid_items(batch)
        if not violations:
            items.append(valid)
    if violations or check.gtin14 is None:
        raise invalid(violations)
    return JobRequest(
        gtin=check.gtin14,
        items=items,
        format=head.format,
        size=head.size,
        error_correction=head.error_correction,
        link_base=limits.link_base,
        callback_url=head.callback_url or "",
    )
