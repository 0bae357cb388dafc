"""From a bulk request in any form to a job's request, or to what would become of it."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from api.http.problems import Violations, invalid
from api.intake.validation import ItemCheck, Rules, Run
from api.schemas.tasks import BulkRequest, DryRun, SymbolCount
from pipeline.service import EncodedItems, JobRequest
from render.gs1.gtin import normalize_gtin
from render.image import ErrorCorrection


class Form(NamedTuple):
    """A bulk request as one of its forms says it.

    Attributes:
        head: all but its items, of the right types.
        total: how many items it has; None when that is known once they are taken.
        runs: its items. What is wrong with them is noted while they are taken.
    """

    head: BulkRequest
    total: int | None
    runs: Iterator[Run]


def accept_form(form: Form, rules: Rules, violations: Violations) -> JobRequest:
    """Return the checked request.

    Args:
        form: what was sent.
        rules: of the service.
        violations: what was wrong already.

    Raises:
        ProblemError: 422 with every bad value when it is not valid.
    """
    head = form.head
    check = ItemCheck(head, rules, violations)
    items = EncodedItems(rules.chunk_size)
    for run in form.runs:
        good = check.good(run)
        if not violations:
            items.append(good)
    if violations:
        raise invalid(violations)
    return JobRequest(
        gtin=normalize_gtin(head.gtin),
        items=items,
        format=head.format,
        size=head.size,
        error_correction=head.error_correction,
        link_base=rules.link_base,
        callback_url=head.callback_url or "",
    )


def try_form(form: Form, rules: Rules, violations: Violations) -> DryRun:
    """Return what would become of a request; takes the same as :func:`accept_form`."""
    check = ItemCheck(form.head, rules, violations)
    count, symbols = 0, Counter[tuple[int, ErrorCorrection]]()
    for run in form.runs:
        count += len(run.items)
        symbols.update(check.symbols(check.good(run)))
    return DryRun(
        would_accept=not violations,
        items=count if form.total is None else form.total,
        symbols=[SymbolCount(*symbol, number) for symbol, number in sorted(symbols.items())],
        errors=violations.listed,
        errors_total=len(violations),
    )
