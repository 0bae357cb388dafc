"""Dry runs: validation of a request without accepting a job."""

from collections import Counter

from msgspec import UNSET

from api.http.problems import Violations
from api.intake.bulk_request import ParsedRequest
from api.intake.serials import SerialSource
from api.intake.validation import RequestLimits
from api.presenters import request_warning, symbol_count
from api.schemas.tasks import DryRun, SerialExamples
from render.dimensions import dimensions
from render.image import ErrorCorrection

#: Maximum number of serials that are shown.
_EXAMPLES = 4


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
    symbols = Counter[tuple[int, ErrorCorrection]]()
    for valid in parsed.valid_items(check, limits.chunk_size):
        symbols.update(check.symbols(valid))
    check.finish()
    warnings = parsed.warnings.found
    return DryRun(
        would_accept=not violations,
        items=check.count if parsed.total is None else parsed.total,
        symbols=[
            symbol_count(*symbol, number, dimensions(symbol[0], check.options))
            for symbol, number in sorted(symbols.items())
        ],
        errors=violations.listed,
        errors_total=len(violations),
        warnings=list(map(request_warning, warnings.listed)),
        warnings_total=len(warnings),
        serials=_examples(parsed.serials) if parsed.serials and not violations else UNSET,
    )


def _examples(serials: SerialSource) -> SerialExamples:
    """Return the first serials and the last one."""
    made = [*serials.make()]
    return SerialExamples(made if len(made) <= _EXAMPLES else [*made[: _EXAMPLES - 1], made[-1]])
