"""Metrics of the ledger and the queues, read from the backends at every scrape.

The API exposes these metrics, so they are correct even if no worker and no sweep is running. Every
API process on every machine reports the same values: aggregate them with max, never with sum.

The ledger's scripts count ended jobs by outcome, in the atomic step that ends a job. A job counts
once, even if that step is repeated, or if the process dies right after the step. A job that is
reopened and ends again counts again, with its duration measured from the reopening. The counters
restart at zero when Redis has lost its data.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any, cast, get_args

import redis
import structlog
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.inspection import Queues, QueueState
from pipeline.broker.names import QUEUES
from pipeline.errors import BrokerUnavailableError, LedgerReadOnlyError, LedgerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import check_writable, translated
from pipeline.model.failure_reasons import JOB_ERROR_CODES
from pipeline.model.states import DURATION_BOUNDS
from render.image import ImageFormat

log = structlog.get_logger(__name__)

#: Outcomes of a job: ``completed``, the ``error_code`` of its failure, or ``other`` for a code that
#: this release does not know.
OUTCOMES = JOB_ERROR_CODES | {"completed", "other"}
#: Maximum number of jobs in flight to inspect. The oldest jobs are inspected, and the jobs nearest
#: to their deadlines are among the oldest.
_MAX_INSPECTED = 100

Labels = tuple[str, str]


class LedgerCollector(Collector):
    """Collector of the metrics of the ledger and the queues.

    Args:
        client: Redis client that decodes responses.
        queues: queues of the broker.
        heartbeats: heartbeats of the workers.
        max_backlog: limit of the backlog, in messages.
        deadline: seconds that a job may take.
    """

    def __init__(
        self,
        client: redis.Redis,
        queues: Queues,
        heartbeats: Heartbeats,
        *,
        max_backlog: int,
        deadline: int,
    ) -> None:
        self._client = client
        self._queues = queues
        self._heartbeats = heartbeats
        self._max_backlog = max_backlog
        self._deadline = deadline

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; of an unavailable backend, only the ``…_up`` gauge with value 0.

        While Redis rejects writes, its gauge is 0 too, but everything that can be read is reported.
        """
        found: list[Metric] = []
        up = True
        for read in (
            self._memory,
            self._check_redis,
            self._broker_metrics,
            self._in_flight,
            self._ended,
        ):
            try:
                found += read()
            except LedgerUnavailableError as error:
                log.warning("metrics incomplete", reason=str(error))
                up = False
                if not isinstance(error, LedgerReadOnlyError):
                    found = []
                    break
        yield _gauge(
            "qrmill_redis_up",
            "Whether Redis responds to the API and accepts writes (1) or not (0).",
            up,
        )
        yield from found

    def _check_redis(self) -> Iterable[Metric]:
        check_writable(self._client)
        return ()

    def _memory(self) -> Iterable[Metric]:
        with translated():
            info: dict[str, Any] = self._client.info("memory")
        yield _gauge(
            "qrmill_redis_memory_bytes", "Memory that Redis uses.", int(info["used_memory"])
        )
        yield _gauge(
            "qrmill_redis_memory_limit_bytes",
            "Memory at which Redis rejects writes (maxmemory); 0 for no limit.",
            int(info["maxmemory"]),
        )

    def _broker_metrics(self) -> Iterable[Metric]:
        try:
            found = [*self._queue_metrics()]
        except BrokerUnavailableError as error:
            log.warning("metrics incomplete", reason=str(error))
            found = []
        yield _gauge(
            "qrmill_broker_up",
            "Whether the broker responds to the API (1) or not (0).",
            bool(found),
        )
        yield from found
        workers = self._heartbeats.alive()
        yield _gauge("qrmill_workers", "Worker processes with a recent heartbeat.", workers)

    def _queue_metrics(self) -> Iterable[Metric]:
        queues = self._queues.read()
        backlog = sum(queue.size for queue in queues if queue.name in QUEUES)
        yield _messages(queues)
        yield _ages(queues)
        yield _gauge("qrmill_backlog_messages", "Messages that count towards the backlog.", backlog)
        yield _gauge(
            "qrmill_backlog_limit_messages",
            "Backlog at which requests are rejected with 503.",
            self._max_backlog,
        )

    def _in_flight(self) -> Iterable[Metric]:
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.ACTIVE_JOBS)
            pipe.zrange(keys.ACTIVE_JOBS, 0, _MAX_INSPECTED - 1)
            pipe.time()
            count, oldest, (seconds, _) = pipe.execute()
            for task_id in oldest:
                pipe.hmget(keys.job(task_id), "created_at", "deadline_at")
            times = [(int(row[0]), int(row[1])) for row in pipe.execute() if all(row)]
        ages = [seconds - created / 1000 for created, _ in times]
        left = [until / 1000 - seconds for _, until in times]
        used = 1 - min(left, default=self._deadline) / self._deadline
        yield _gauge("qrmill_jobs_in_flight", "Jobs that have not ended.", count)
        yield _gauge(
            "qrmill_oldest_job_seconds",
            "Seconds since the oldest job in flight was accepted.",
            max(0.0, *ages, 0.0),
        )
        yield _gauge(
            "qrmill_job_deadline_used_ratio",
            "Share of its time that the job nearest to its deadline has used; 0 for no job.",
            max(0.0, used),
        )

    def _ended(self) -> Iterable[Metric]:
        with translated():
            counts = cast("dict[str, str]", self._client.hgetall(keys.COUNTS))
        table = _by_labels(counts)
        names = ["format", "outcome"]
        jobs = CounterMetricFamily("qrmill_jobs_ended", "Jobs that have ended.", labels=names)
        items = CounterMetricFamily(
            "qrmill_items_ended", "Items of the jobs that have ended.", labels=names
        )
        seconds = HistogramMetricFamily(
            "qrmill_job_seconds", "Seconds from the acceptance of a job to its end.", labels=names
        )
        for labels, kinds in table.items():
            seconds.add_metric(labels, _buckets(kinds), kinds["milliseconds"] / 1000)
        for labels in product(get_args(ImageFormat), sorted(OUTCOMES)):
            # Starting at 0, so that rate() sees the first job.
            jobs.add_metric(labels, table[labels]["jobs"])
            items.add_metric(labels, table[labels]["items"])
        yield from (jobs, items, seconds)


def _by_labels(counts: Mapping[str, str]) -> defaultdict[Labels, defaultdict[str, int]]:
    table: defaultdict[Labels, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for field, count in counts.items():
        kind, image_format, outcome = field.split(" ", 2)
        labels = (image_format, outcome if outcome in OUTCOMES else "other")
        table[labels][kind] += int(count)
    return table


def _buckets(kinds: Mapping[str, int]) -> list[tuple[str, float]]:
    """Return the cumulative buckets of a Prometheus histogram."""
    total, buckets = 0, []
    for bound in DURATION_BOUNDS:
        total += kinds[str(bound)]
        buckets.append((str(float(bound)), float(total)))
    return [*buckets, ("+Inf", float(kinds["jobs"]))]


def _messages(queues: Iterable[QueueState]) -> Metric:
    family = GaugeMetricFamily(
        "qrmill_queue_messages", "Messages in a queue, by state.", labels=["queue", "state"]
    )
    for queue in queues:
        for state in ("waiting", "in_progress", "delayed", "dead"):
            family.add_metric([queue.name, state], getattr(queue, state))
    return family


def _ages(queues: Iterable[QueueState]) -> Metric:
    family = GaugeMetricFamily(
        "qrmill_queue_oldest_seconds",
        "Seconds for which the oldest message has waited, or has been a dead letter; 0 for none.",
        labels=["queue", "state"],
    )
    for queue in queues:
        family.add_metric([queue.name, "waiting"], queue.oldest_waiting)
        family.add_metric([queue.name, "dead"], queue.oldest_dead)
    return family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
