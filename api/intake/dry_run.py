"""Dry runs: a request is checked, and nothing is accepted."""

from collections import Counter

from api.http.problems import Violations
from api.intake.bulk_request import ParsedRequest
from api.intake.validation import ItemCheck, RequestLimits
from api.schemas.tasks import DryRun, SymbolCount
from render.image import ErrorCorrection


def dry_run(parsed: ParsedRequest, limits: RequestLimits, violations: Violations) -> DryRun:
    """Return what would become of a request, without accepting it.

    Args:
        parsed: the request as it was sent.
        limits: of the service.
        violations: found while the request was parsed; others are added.
    """
    check = ItemCheck(parsed.head, limits, violations)
    count, symbols = 0, Counter[tuple[int, ErrorCorrection]]()
    for batch in parsed.batches:
        count += len(batch.items)
        symbols.update(check.symbols(check.valid_items(batch)))
    return DryRun(
        would_accept=not violations,
        items=count if parsed.total is None else parsed.total,
        symbols=[SymbolCount(*symbol, number) for symbol, number in sorted(symbols.items())],
        errors=violations.listed,
        errors_total=len(violations),
    )
