"""Output of ``qrmill submit --dry-run``: symbols with their sizes, and invalid values."""

import typer

from api.cli.output import (
    EX_FAILED,
    pluralize,
    print_document,
    print_line,
    print_violations,
    print_warnings,
)
from api.client import DryRun, SymbolCount


def print_dry_run(outcome: DryRun, *, as_json: bool) -> None:
    """Print the result of a dry run, and exit with code 1 if the request would be rejected.

    Raises:
        typer.Exit: the request would be rejected.
    """
    print_warnings(outcome.warnings, outcome.warnings_total)
    if as_json:
        print_document(outcome)
    else:
        invalid = pluralize(outcome.errors_total, "invalid value")
        print_line(f"{pluralize(outcome.items, 'item')}; {invalid}")
        for row in outcome.symbols:
            print_line(_describe_symbols(row))
        if outcome.serials:
            samples = ", ".join(outcome.serials.samples)
            print_line(f"serials such as {samples}; none is reserved by a dry run")
        print_violations(outcome.errors, outcome.errors_total)
    if not outcome.would_accept:
        raise typer.Exit(EX_FAILED)


def _describe_symbols(row: SymbolCount) -> str:
    """Return one line with the symbols of a version and the size of their images."""
    parts = [
        f"version {row.version}-{row.error_correction}: {pluralize(row.count, 'symbol')}",
        f"{row.width_px} pixels wide" if row.width_px is not None else "",
        f"{_micrometre(row.width_mm)} mm wide" if row.width_mm is not None else "",
        f"X-dimension {_micrometre(row.xdim_mm)} mm" if row.xdim_mm is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _micrometre(millimetres: float) -> str:
    """Return a length in millimetres, rounded to a micrometre and without trailing zeros."""
    return f"{millimetres:.3f}".rstrip("0").rstrip(".")
