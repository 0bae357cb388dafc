"""The page's figures as Markdown, and the page with them in it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.capacity import sizing
from deploy.capacity.check import WANTED, Compared
from deploy.capacity.measured import JOB, Demand, Measured
from deploy.capacity.sizing import Size, Wall

_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


class PageError(Exception):
    """The page has no place for its figures."""


def insert(page: Path, figures: str) -> None:
    """Put ``figures`` into their place in the page.

    Raises:
        PageError: the page has no such place.
    """
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise PageError(f"{page} needs the lines {_BEGIN} and {_END}, between which figures go.")
    page.write_text(f"{before}{_BEGIN}\n{figures}\n{_END}{after}", "utf-8")


def figures_of(
    measured: Measured,
    demand: Demand,
    compared: Sequence[Compared],
    sizes: Sequence[Size],
    walls: Sequence[Wall],
) -> str:
    """Return the part of the page that has figures."""
    return "\n\n".join(
        [
            _source(measured),
            "### Measured: one job by itself",
            _demand(measured, demand),
            "### The check",
            _check(compared),
            "### Modelled: what a load takes",
            _sizes(sizes),
            _dollars(sizes),
            "### The first wall",
            _walls(walls),
        ]
    )


def _source(measured: Measured) -> str:
    load = " / ".join(f"{value:.1f}" for value in measured.load_average)
    how = "a quick run, with few repetitions" if measured.quick else "a full run"
    others = max(measured.throughput.other_cores.values())
    return (
        f"Measured on {measured.machine}, {measured.begun[:10]}, in {how}; load average at its end "
        f"{load}. Programs that have nothing to do with it took up to {others:.1f} of the "
        f"{measured.cores} cores meanwhile. The job is {JOB.replace(' svg', ' SVG')}."
    )


def _demand(measured: Measured, demand: Demand) -> str:
    cpu, asked = measured.job.cpu_seconds, measured.asked
    worker, api = 1000 * demand.worker, 1000 * demand.api
    waits = 1000 * sum(phase.wait for phase in demand.phases)
    methods = ", ".join(f"{count} {method}" for method, count in sorted(asked.s3.items()))
    rows = [
        ("CPU of a worker", f"{worker:.1f} ms"),
        ("CPU of the API", f"{api:.1f} ms"),
        ("CPU of the S3 server", f"{1000 * cpu['s3']:.1f} ms"),
        ("CPU of Valkey", f"{1000 * demand.redis:.1f} ms"),
        ("time in which it needs no core", f"{waits:.0f} ms"),
        ("S3 requests", f"{sum(asked.s3.values())} ({methods})"),
        ("Redis commands", f"{asked.redis.commands}"),
        ("memory of Redis after its end", f"{measured.job.ledger_bytes / 1000:.1f} kB"),
        ("size of the ZIP", f"{measured.job.bundle_bytes / 1000:.0f} kB"),
    ]
    return _table(("one job asks", "measured"), rows)


def _check(compared: Iterable[Compared]) -> str:
    rows = [
        (
            str(each.workers),
            f"{each.other_cores:.2f}",
            f"{each.measured:.1f}",
            f"{each.modelled:.1f}",
            f"{each.error:+.0%}",
            "yes" if abs(each.error) < WANTED else "NO",
        )
        for each in compared
    ]
    columns = (
        "workers",
        "cores taken by others",
        "jobs a second, measured",
        "modelled",
        "error",
        f"under {WANTED:.0%}",
    )
    return _table(columns, rows)


def _sizes(sizes: Sequence[Size]) -> str:
    columns = ("jobs a minute", *(f"{each.jobs_a_minute:,.0f}" for each in sizes))
    rows = [
        ("symbols a day", *(f"{each.jobs_a_minute * 500 * 1440:,.0f}" for each in sizes)),
        ("installations, one Redis each", *(f"{each.installations}" for each in sizes)),
        ("worker processes, a core each", *(f"{each.workers:,}" for each in sizes)),
        ("API processes, a core each", *(f"{each.api:,}" for each in sizes)),
        ("Redis commands a second", *(f"{each.redis_commands:,.0f}" for each in sizes)),
        ("cores of Redis", *(f"{each.redis_cores:.2f}" for each in sizes)),
        ("`QRMILL_JOB_TTL` presumed, s", *(f"{each.job_ttl}" for each in sizes)),
        ("memory of Redis with that, GB", *(f"{_gb(each):,.1f}" for each in sizes)),
        ("S3 writes a second", *(f"{each.s3_writes:,.0f}" for each in sizes)),
        ("S3 reads a second", *(f"{each.s3_reads:,.0f}" for each in sizes)),
        ("prefixes that these need", *(f"{_prefixes(each)}" for each in sizes)),
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
    columns = ("dollars a million symbols", *(f"{each.jobs_a_minute:,.0f}" for each in sizes))
    rows = [(name, *(f"{each.dollars[name]:.3f}" for each in sizes)) for name in sizes[0].dollars]
    rows.append(("together", *(f"{sum(each.dollars.values()):.2f}" for each in sizes)))
    return _table(columns, rows)


def _walls(walls: Iterable[Wall]) -> str:
    rows = [(f"{_rounded(wall.jobs_a_minute):,}", wall.what, wall.then) for wall in walls]
    return _table(("at jobs a minute", "what ends", "what then"), rows)


def _rounded(value: float) -> int:
    digits = len(str(int(value))) - 2
    return int(round(value, -digits)) if digits > 0 else round(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
