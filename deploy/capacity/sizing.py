"""What a load takes: processes, Redis, S3, dollars, and which wall comes first.

The demands are measured, the latency of an S3 elsewhere is assumed, and the rest follows from the
utilisation law: what is busy is rate times demand.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from deploy.capacity.measured import Demand, Measured, with_remote_s3
from deploy.capacity.simulation import Load, Plan, simulate

#: Milliseconds that an S3 elsewhere takes for a request: assumed. AWS tells of 100 to 200 for the
#: first byte; within one region less is usual.
S3_MS = 30.0
#: How busy a process is planned to be at most, so that a burst does not queue for long.
BUSY = 0.7
THREADS = 2
#: Seconds for which ended jobs are kept: the default of ``QRMILL_JOB_TTL``. Where so many jobs do
#: not fit, it is less, in whole hours.
JOB_TTL, _HOUR = 7 * 86_400, 3600
#: Seconds between two comparisons of the sweep with S3 (``pipeline.maintenance.sweep``).
_COMPARE = 3600
#: Jobs on a page of S3's listing (S3 API Reference, ListObjectsV2), and in one question to Redis.
_PAGE = 1000
#: Seconds that the sweep and Redis compute for a page: measured with 20,000 jobs in S3, on two
#: cores, by itself and not by ``make bench``.
_PAGE_SECONDS = 0.022
#: Jobs that a sweep removes at most (``pipeline.maintenance.retention``), a second after the one
#: before, and the seconds that takes: measured as those of a page, with 1000 objects.
_REMOVALS, _TICK, _REMOVAL_SECONDS = 250, 1.0, 0.5
#: Requests a second that S3 serves at least for one prefix, before it splits it further: AWS,
#: Amazon S3 User Guide, "Best practices design patterns: optimizing Amazon S3 performance".
PREFIX_WRITES, PREFIX_READS = 3500, 5500
#: GB of the largest single Redis node that is reckoned with.
_REDIS_GB = 100
#: Workers of the stack whose idle commands were counted.
_IDLE_WORKERS = 2

#: List prices in dollars, us-east-1, on demand, 2026: a vCPU for an hour (half an m7g.large), a GB
#: of Redis for an hour (a 13 GiB cache.r7g.large), a GB in S3 Standard for a month.
VCPU_HOUR, REDIS_GB_HOUR, S3_GB_MONTH = 0.0816 / 2, 0.219 / 14, 0.023
_MONTH = 30 * 86_400

_ANOTHER = "another installation (Redis, API, workers, sweep) for some of the API keys"


class Size(NamedTuple):
    """What so many jobs a minute take. Bytes, seconds, and requests a second.

    Attributes:
        installations: so many that none comes to a wall that only another one moves; all figures
            but the times are of all of them together.
        job_ttl: seconds for which ended jobs can be kept, the default at most.
        p50, p99: of a job from its sending to its answer, simulated.
        dollars: of a million symbols, by what they are spent on.
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


class Wall(NamedTuple):
    """What ends at so many jobs a minute, and what to do then.

    Attributes:
        moved_by: a shorter ``QRMILL_JOB_TTL``, another installation alone, or neither.
    """

    jobs_a_minute: float
    what: str
    then: str
    moved_by: Literal["ttl", "another", "neither"]


def worker_rate(demand: Demand, threads: int = THREADS) -> float:
    """Return the jobs a second that a worker process with a core of its own can do.

    It ends at that core, for its interpreter lock, or at its threads, which S3 keeps waiting.
    """
    held = sum(phase.cpu + phase.wait for phase in (demand.chunk, demand.bundle))
    return min(1 / demand.worker, threads / held)


def workers_for(rate: float, demand: Demand) -> int:
    """Return how many worker processes ``rate`` jobs a second take when each is not too busy."""
    return max(1, math.ceil(rate / (worker_rate(demand) * BUSY)))


def size(measured: Measured, demand: Demand, jobs_a_minute: float, s3_ms: float, jobs: int) -> Size:
    """Return what a load takes when every process has a core, and S3 is elsewhere.

    Args:
        measured: of one job, as is its ``demand``.
        demand: as this machine has it.
        jobs_a_minute: the load.
        s3_ms: milliseconds that S3 takes for a request.
        jobs: how many to simulate.
    """
    rate, asked = jobs_a_minute / 60, measured.asked
    away = with_remote_s3(demand, s3_ms / 1000)
    found = walls(measured, demand, s3_ms)
    installations = installations_for(jobs_a_minute, found)
    each = rate / installations
    ttl = job_ttl_for(60 * each, found)
    workers, api = workers_for(each, away), max(1, math.ceil(each * away.api / BUSY))
    plan = Plan(workers=workers, threads=THREADS, api=api)
    p50, p99 = percentiles(simulate(plan, Load(rate=each, seconds=jobs / each), away).times)
    workers, api = workers * installations, api * installations
    kept = rate * ttl * measured.job.ledger_bytes
    idle = measured.redis_idle_commands_a_second * workers / _IDLE_WORKERS
    return Size(
        jobs_a_minute,
        installations,
        ttl,
        workers,
        api,
        redis_commands=rate * asked.redis.commands + idle,
        redis_cores=rate * away.redis,
        redis_bytes=kept,
        s3_writes=rate * asked.writes,
        s3_reads=rate * asked.reads,
        p50=p50,
        p99=p99,
        dollars=dollars(measured, rate, workers + api, ttl),
    )


def dollars(measured: Measured, rate: float, processes: int, job_ttl: int) -> dict[str, float]:
    """Return what a million symbols cost at ``rate`` jobs a second, by what it is spent on."""
    job, symbols = measured.job, rate * 3600 * measured.job.items  # in an hour
    stored = rate * 3600 * job.bundle_bytes / 1e9 * job_ttl / _MONTH
    hourly = {
        "processes": processes * VCPU_HOUR,
        "Redis": rate * job_ttl * job.ledger_bytes / 1e9 * REDIS_GB_HOUR,
        "S3 requests": measured.asked.dollars_a_million * symbols / 1e6,
        "S3 storage": stored * S3_GB_MONTH,
    }
    return {name: spent / symbols * 1e6 for name, spent in hourly.items()}


def walls(measured: Measured, demand: Demand, s3_ms: float) -> list[Wall]:
    """Return what ends first, second and so on, by the defaults, with workers enough.

    Args:
        measured: of one job, as is its ``demand``.
        demand: as this machine has it.
        s3_ms: milliseconds that S3 takes for a request.
    """
    job, asked = measured.job, measured.asked
    found = [
        Wall(
            60 * _REMOVALS / (_TICK + _REMOVAL_SECONDS + s3_ms / 1000),
            "the sweep removes fewer jobs than come: they stay for longer than `QRMILL_JOB_TTL`, "
            "in Redis too",
            _ANOTHER,
            "another",
        ),
        Wall(
            60 * _COMPARE * _PAGE / (JOB_TTL * (_PAGE_SECONDS + s3_ms / 1000)),
            f"the sweep's comparison with S3, which lists {_PAGE:,} of the kept jobs in a request, "
            "takes longer than the hour until the next one",
            "keep jobs for a shorter time (`QRMILL_JOB_TTL`), or another installation",
            "ttl",
        ),
        Wall(
            60 * _REDIS_GB * 1e9 / (JOB_TTL * job.ledger_bytes),
            f"a Redis of {_REDIS_GB} GB is full of ended jobs",
            "keep jobs for a shorter time (`QRMILL_JOB_TTL`), or another installation",
            "ttl",
        ),
        Wall(
            60 * BUSY / demand.redis,
            f"Redis' one thread is {BUSY:.0%} busy",
            _ANOTHER,
            "another",
        ),
        Wall(
            60 * min(PREFIX_WRITES / asked.writes, PREFIX_READS / asked.reads),
            "all requests to S3 together reach the limit of one prefix",
            "nothing: keys begin with a random task id (behind `jobs/` in the main bucket), so S3 "
            "splits them further as the load grows; until it has, it answers 503 and the calls are "
            "repeated",
            "neither",
        ),
    ]
    return sorted(found)


def installations_for(jobs_a_minute: float, found: Iterable[Wall]) -> int:
    """Return how many installations a load takes when jobs are kept no longer than they can be."""
    least = min(wall.jobs_a_minute for wall in found if wall.moved_by == "another")
    return max(1, math.ceil(jobs_a_minute / least))


def job_ttl_for(jobs_a_minute: float, found: Iterable[Wall]) -> int:
    """Return the seconds for which one installation can keep jobs that come at this rate."""
    least = min(wall.jobs_a_minute for wall in found if wall.moved_by == "ttl")
    return min(JOB_TTL, int(JOB_TTL * least / jobs_a_minute) // _HOUR * _HOUR)


def percentiles(times: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
