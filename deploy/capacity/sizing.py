"""Sizing of a deployment: processes, Redis, S3 and dollars for a load, and the limits of a load.

The demands are measured and the latency of a remote S3 is assumed. The rest follows from the
utilisation law: utilisation is rate times demand.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from deploy.capacity.measured import Demand, Measured, with_remote_s3
from deploy.capacity.simulation import Load, Plan, simulate

#: Milliseconds of a request to a remote S3 (assumed). AWS states 100 to 200 for the first byte.
#: Within one region, the time is usually shorter.
S3_MS = 30.0
#: Planned maximum utilisation of a process, so that a burst does not wait for long.
BUSY = 0.7
THREADS = 2
#: Seconds for which ended jobs are kept: the default of ``QRMILL_JOB_TTL``. If the jobs of that
#: period do not fit, the model uses a shorter period, in whole hours.
JOB_TTL, _HOUR = 7 * 86_400, 3600
#: Seconds between two reconciliations of the sweep with S3
#: (``pipeline.maintenance.reconcile_with_s3``).
_COMPARE = 3600
#: Jobs per page of S3's listing (S3 API Reference, ListObjectsV2), and per query to Redis.
_PAGE = 1000
#: CPU seconds of the sweep and Redis per page: measured with 20,000 jobs in S3, on two cores,
#: separately from ``make bench``.
_PAGE_SECONDS = 0.022
#: Maximum number of jobs that a sweep pass deletes (``pipeline.maintenance.retention``), seconds
#: between two passes, and seconds for these deletions (measured like a page, with 1000 objects).
_REMOVALS, _TICK, _REMOVAL_SECONDS = 250, 1.0, 0.5
#: Minimum rates, in requests per second, that S3 serves for one prefix before it splits the prefix:
#: Amazon S3 User Guide, "Best practices design patterns: optimizing Amazon S3 performance".
PREFIX_WRITES, PREFIX_READS = 3500, 5500
#: Memory in GB of the largest single Redis node that the model assumes.
_REDIS_GB = 100
#: Workers of the idle stack whose Redis commands were counted.
_IDLE_WORKERS = 2

#: List prices in dollars, us-east-1, on demand, 2026: per vCPU and hour (half an m7g.large), per GB
#: of Redis and hour (a 13 GiB cache.r7g.large), per GB in S3 Standard and month.
VCPU_HOUR, REDIS_GB_HOUR, S3_GB_MONTH = 0.0816 / 2, 0.219 / 14, 0.023
_MONTH = 30 * 86_400

_ANOTHER = "Run another installation (Redis, API, workers, sweep) for some of the API keys."
_SHORTER = "Keep jobs for a shorter time (`QRMILL_JOB_TTL`), or run another installation."


class Size(NamedTuple):
    """The deployment for a load. Units are bytes, seconds, and requests per second.

    Attributes:
        jobs_a_minute: the load.
        installations: number of installations. It is large enough that each of them stays below
            the limits that only another installation raises. All figures except ``job_ttl``,
            ``p50`` and ``p99`` are totals of all installations.
        job_ttl: seconds for which ended jobs can be kept; at most the default.
        workers: number of worker processes.
        api: number of API processes.
        p50, p99: percentiles of a job's time from its POST to its last response, simulated.
        dollars: dollars per million symbols, by item.
    """

    jobs_a_minute: float
    installations: int
    job_ttl: int
    workers: int
    api: int
    redis_commands: float
    redis_cores: float
    redis_bytes: float
    s3_writes: float
    s3_reads: float
    p50: float
    p99: float
    dollars: dict[str, float]


class Limit(NamedTuple):
    """A limit that a load reaches at ``jobs_a_minute``.

    Attributes:
        what: description of the limit.
        remedy: what to do about it.
        raised_by: what raises the limit: a shorter ``QRMILL_JOB_TTL`` or another installation
            (``ttl``), only another installation (``another``), or neither of them.
    """

    jobs_a_minute: float
    what: str
    remedy: str
    raised_by: Literal["ttl", "another", "neither"]


def worker_rate(demand: Demand, threads: int = THREADS) -> float:
    """Return the maximum jobs per second of a worker process with a core of its own.

    The limit is either the one core that the threads can use because of the interpreter lock, or
    the number of threads, each of which is occupied while it waits for S3.
    """
    held = sum(phase.cpu + phase.wait for phase in (demand.chunk, demand.bundle))
    return min(1 / demand.worker, threads / held)


def workers_for(rate: float, demand: Demand) -> int:
    """Return the number of worker processes for ``rate`` jobs per second, at most ``BUSY`` busy."""
    return max(1, math.ceil(rate / (worker_rate(demand) * BUSY)))


def size(measured: Measured, demand: Demand, jobs_a_minute: float, s3_ms: float, jobs: int) -> Size:
    """Return the deployment for a load, with one core per process and a remote S3.

    Args:
        measured: the benchmark's report.
        demand: demand of the measured job, on the measured machine.
        jobs_a_minute: the load.
        s3_ms: milliseconds of a request to S3.
        jobs: number of jobs to simulate.
    """
    rate, usage = jobs_a_minute / 60, measured.usage
    remote = with_remote_s3(demand, s3_ms / 1000)
    found = limits(measured, demand, s3_ms)
    installations = installations_for(jobs_a_minute, found)
    each = rate / installations
    ttl = job_ttl_for(60 * each, found)
    workers, api = workers_for(each, remote), max(1, math.ceil(each * remote.api / BUSY))
    plan = Plan(workers=workers, threads=THREADS, api=api)
    p50, p99 = percentiles(simulate(plan, Load(rate=each, seconds=jobs / each), remote).times)
    workers, api = workers * installations, api * installations
    kept = rate * ttl * measured.job.ledger_bytes
    idle = measured.redis_idle_commands_a_second * workers / _IDLE_WORKERS
    return Size(
        jobs_a_minute,
        installations,
        ttl,
        workers,
        api,
        redis_commands=rate * usage.redis.commands + idle,
        redis_cores=rate * remote.redis,
        redis_bytes=kept,
        s3_writes=rate * usage.writes,
        s3_reads=rate * usage.reads,
        p50=p50,
        p99=p99,
        dollars=dollars(measured, rate, workers + api, ttl),
    )


def dollars(measured: Measured, rate: float, processes: int, job_ttl: int) -> dict[str, float]:
    """Return the dollars per million symbols at ``rate`` jobs per second, by item."""
    job, symbols = measured.job, rate * 3600 * measured.job.items  # per hour
    stored = rate * 3600 * job.bundle_bytes / 1e9 * job_ttl / _MONTH
    hourly = {
        "processes": processes * VCPU_HOUR,
        "Redis": rate * job_ttl * job.ledger_bytes / 1e9 * REDIS_GB_HOUR,
        "S3 requests": measured.usage.dollars_a_million * symbols / 1e6,
        "S3 storage": stored * S3_GB_MONTH,
    }
    return {name: spent / symbols * 1e6 for name, spent in hourly.items()}


def limits(measured: Measured, demand: Demand, s3_ms: float) -> list[Limit]:
    """Return the limits of one installation with default settings and enough workers, lowest first.

    Args:
        measured: the benchmark's report.
        demand: demand of the measured job, on the measured machine.
        s3_ms: milliseconds of a request to S3.
    """
    job, usage = measured.job, measured.usage
    found = [
        Limit(
            60 * _REMOVALS / (_TICK + _REMOVAL_SECONDS + s3_ms / 1000),
            "The sweep deletes fewer expired jobs than arrive, so jobs stay for longer than "
            "`QRMILL_JOB_TTL`, in Redis too.",
            _ANOTHER,
            "another",
        ),
        Limit(
            60 * _COMPARE * _PAGE / (JOB_TTL * (_PAGE_SECONDS + s3_ms / 1000)),
            f"The sweep's reconciliation with S3, which lists {_PAGE:,} of the kept jobs per "
            "request, takes longer than the hour until the next one.",
            _SHORTER,
            "ttl",
        ),
        Limit(
            60 * _REDIS_GB * 1e9 / (JOB_TTL * job.ledger_bytes),
            f"A Redis of {_REDIS_GB} GB is full of ended jobs.",
            _SHORTER,
            "ttl",
        ),
        Limit(
            60 * BUSY / demand.redis,
            f"The single thread of Redis is {BUSY:.0%} busy.",
            _ANOTHER,
            "another",
        ),
        Limit(
            60 * min(PREFIX_WRITES / usage.writes, PREFIX_READS / usage.reads),
            "All requests to S3 together reach the limit of one prefix.",
            "Nothing. Keys begin with a random task id (after `jobs/` in the main bucket), so S3 "
            "splits the prefix further as the load grows. Until then S3 returns 503, and the calls "
            "are retried.",
            "neither",
        ),
    ]
    return sorted(found)


def installations_for(jobs_a_minute: float, found: Iterable[Limit]) -> int:
    """Return the number of installations for a load, with ``QRMILL_JOB_TTL`` as short as needed."""
    least = min(limit.jobs_a_minute for limit in found if limit.raised_by == "another")
    return max(1, math.ceil(jobs_a_minute / least))


def job_ttl_for(jobs_a_minute: float, found: Iterable[Limit]) -> int:
    """Return the seconds for which one installation can keep the jobs of this load."""
    least = min(limit.jobs_a_minute for limit in found if limit.raised_by == "ttl")
    return min(JOB_TTL, int(JOB_TTL * least / jobs_a_minute) // _HOUR * _HOUR)


def percentiles(times: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile of ``times``."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
