"""The figures of the capacity page (``deploy/capacity/README.md``), formatted as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.capacity import sizing
from deploy.capacity.check import MAX_ERROR, Compared
from deploy.capacity.measured import JOB, Demand, Measured
from deploy.capacity.sizing import Limit, Size

_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


class PageError(Exception):
    """Raised when the page lacks the two marker lines that enclose the figures."""


def insert(page: Path, figures: str) -> None:
    """Write ``figures`` into the page, between the two marker lines.

    Raises:
        PageError: the page lacks the marker lines.
    """
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise PageError(f"{page} must have the lines {_BEGIN} and {_END} around the figures.")
    page.write_text(f"{before}{_BEGIN}\n{figures}\n{_END}{after}", "utf-8")


def figures_of(
    measured: Measured,
    demand: Demand,
    compared: Sequence[Compared],
    sizes: Sequence[Size],
    limits: Sequence[Limit],
) -> str:
    """Return all figures of the capacity page as Markdown."""
    return "\n\n".join(
        [
            _source(measured),
            "### Measured: one job by itself",
            _demand(measured, demand),
            "### The model compared with the measurement",
            _check(compared),
            "### Modelled: what a load requires",
            _sizes(sizes),
            _dollars(sizes),
            "### Limits, in the order in which a growing load reaches them",
            _limits(limits),
        ]
    )


def _source(measured: Measured) -> str:
    load = " / ".join(f"{value:.1f}" for value in measured.load_average)
    how = "a quick run, with few repetitions" if measured.quick else "a full run"
    others = max(measured.throughput.other_cores.values())
    return (
        f"Measured on {measured.machine}, {measured.begun[:10]}, in {how}; load average at the end "
        f"{load}.\nOther programs used up to {others:.1f} of the {measured.cores} cores.\n"
        f"The job is {JOB.replace(' svg', ' SVG')}."
    )


def _demand(measured: Measured, demand: Demand) -> str:
    cpu, usage = measured.job.cpu_seconds, measured.usage
    worker, api = 1000 * demand.worker, 1000 * demand.api
    waits = 1000 * sum(phase.wait for phase in demand.phases)
    methods = ", ".join(f"{count} {method}" for method, count in sorted(usage.s3.items()))
    rows = [
        ("CPU of a worker", f"{worker:.1f} ms"),
        ("CPU of the API", f"{api:.1f} ms"),
        ("CPU of the S3 server", f"{1000 * cpu['s3']:.1f} ms"),
        ("CPU of Valkey", f"{1000 * demand.redis:.1f} ms"),
        ("time in which the job needs no core", f"{waits:.0f} ms"),
        ("S3 requests", f"{sum(usage.s3.values())} ({methods})"),
        ("Redis commands", f"{usage.redis.commands}"),
        ("memory of Redis after the job's end", f"{measured.job.ledger_bytes / 1000:.1f} kB"),
        ("size of the ZIP", f"{measured.job.bundle_bytes / 1000:.0f} kB"),
    ]
    return _table(("demand of one job", "measured"), rows)


def _check(compared: Iterable[Compared]) -> str:
    rows = [
        (
            str(each.workers),
            f"{each.other_cores:.2f}",
            f"{each.measured:.1f}",
            f"{each.modelled:.1f}",
            f"{each.error:+.0%}",
            "yes" if abs(each.error) < MAX_ERROR else "NO",
        )
        for each in compared
    ]
    columns = (
        "workers",
        "cores used by other programs",
        "jobs per second, measured",
        "modelled",
        "error",
        f"under {MAX_ERROR:.0%}",
    )
    return _table(columns, rows)


def _sizes(sizes: Sequence[Size]) -> str:
    columns = ("jobs per minute", *(f"{each.jobs_a_minute:,.0f}" for each in sizes))
    rows = [
        ("symbols per day", *(f"{each.jobs_a_minute * 500 * 1440:,.0f}" for each in sizes)),
        ("installations, each with one Redis", *(f"{each.installations}" for each in sizes)),
        ("worker processes, each with one core", *(f"{each.workers:,}" for each in sizes)),
        ("API processes, each with one core", *(f"{each.api:,}" for each in sizes)),
        ("Redis commands per second", *(f"{each.redis_commands:,.0f}" for each in sizes)),
        ("cores of Redis", *(f"{each.redis_cores:.2f}" for each in sizes)),
        ("assumed `QRMILL_JOB_TTL`, s", *(f"{each.job_ttl}" for each in sizes)),
        ("memory of Redis with that TTL, GB", *(f"{_gb(each):,.1f}" for each in sizes)),
        ("S3 writes per second", *(f"{each.s3_writes:,.0f}" for each in sizes)),
        ("S3 reads per second", *(f"{each.s3_reads:,.0f}" for each in sizes)),
        ("S3 prefixes required", *(f"{_prefixes(each)}" for each in sizes)),
        ("p50, s", *(f"{each.p50:.2f}" for each in sizes)),
        ("p99, s", *(f"{each.p99:.2f}" for each in sizes)),
    ]
    return _table(columns, rows)


def _gb(each: Size) -> float:
    return each.redis_bytes / 1e9


def _prefixes(each: Size) -> int:
    share = max(each.s3_writes / sizing.PREFIX_WRITES, each.s3_reads / sizing.PREFIX_READS)
    return max(1, -int(-share // 1))


def _dollars(sizes: Sequence[Size]) -> str:
    columns = (
        "dollars per million symbols, at jobs per minute",
        *(f"{each.jobs_a_minute:,.0f}" for each in sizes),
    )
    rows = [(name, *(f"{each.dollars[name]:.3f}" for each in sizes)) for name in sizes[0].dollars]
    rows.append(("total", *(f"{sum(each.dollars.values()):.2f}" for each in sizes)))
    return _table(columns, rows)


def _limits(limits: Iterable[Limit]) -> str:
    rows = [(f"{_rounded(limit.jobs_a_minute):,}", limit.what, limit.remedy) for limit in limits]
    return _table(("at jobs per minute", "limit", "what to do"), rows)


def _rounded(value: float) -> int:
    digits = len(str(int(value))) - 2
    return int(round(value, -digits)) if digits > 0 else round(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
