"""Dry runs: validation of a request without accepting a job."""

from collections import Counter

from api.http.problems import Violations
from api.intake.bulk_request import ParsedRequest
from api.intake.validation import RequestLimits
from api.presenters import request_warning, symbol_count
from api.schemas.tasks import DryRun
from render.dimensions import dimensions
from render.image import ErrorCorrection


def dry_run(parsed: ParsedRequest, limits: RequestLimits, violations: Violations) -> DryRun:
    """Validate a request and count the symbols it would get, without accepting it.

    Args:
        parsed: the parsed request.
        limits: limits of the service.
        violations: violations found by the parser; further ones are appended.

    Raises:
        ProblemError: 400 if the body is malformed, which may be detected only when the batches are
            read.
    """
    check = parsed.check(limits, violations)
    count, symbols = 0, Counter[tuple[int, ErrorCorrection]]()
    for batch in parsed.batches:
        count += len(batch.indices)
        symbols.update(check.symbols(check.valid_items(batch)))
    check.finish()
    warnings = parsed.warnings.found
    return DryRun(
        would_accept=not violations,
        items=count if parsed.total is None else parsed.total,
        symbols=[
            symbol_count(*symbol, number, dimensions(symbol[0], check.options))
            for symbol, number in sorted(symbols.items())
        ],
        errors=violations.listed,
        errors_total=len(violations),
        warnings=list(map(request_warning, warnings.listed)),
        warnings_total=len(warnings),
    )
