"""What the ledger and the queues say, for Prometheus: read from Redis at every scrape.

The API answers with these, so they are right when no worker and no sweep runs. Every API process
of every machine says the same: take their maximum, never their sum.

How jobs ended is counted by the ledger's scripts in the step that ends a job, so a job counts once
however often that step runs and whoever dies after it. One that is opened again and ends again
counts again, timed from then. The counts begin at zero when Redis has lost everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import cast, get_args

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
from pipeline.errors import BrokerUnavailableError, LedgerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.model.failure_reasons import JOB_ERROR_CODES
from pipeline.model.states import DURATION_BOUNDS
from render.image import ImageFormat

log = structlog.get_logger(__name__)

#: How a job can end: completed, or the ``error_code`` of its failure; ``other``: a new one.
OUTCOMES = JOB_ERROR_CODES | {"completed", "other"}
#: Jobs in flight that are looked at, the oldest first: those nearest their deadlines are there.
_LOOKED_AT = 100

Labels = tuple[str, str]


class LedgerCollector(Collector):
    """Reads at every scrape.

    Args:
        client: decodes responses.
        queues: what stands in them.
        heartbeats: of the workers.
        max_backlog: messages that may wait.
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
        """Yield what Redis and the broker say; only that they do not answer when they do not."""
        try:
            found = [*self._broker_metrics(), *self._in_flight(), *self._ended()]
        except LedgerUnavailableError as error:
            log.warning("metrics incomplete", reason=str(error))
            found = []
        yield _gauge("qrmill_redis_up", "Whether Redis answers the API.", bool(found))
        yield from found

    def _broker_metrics(self) -> Iterable[Metric]:
        try:
            found = [*self._queue_metrics()]
        except BrokerUnavailableError as error:
            log.warning("metrics incomplete", reason=str(error))
            found = []
        yield _gauge("qrmill_broker_up", "Whether the broker answers the API.", bool(found))
        yield from found
        workers = self._heartbeats.alive()
        yield _gauge("qrmill_workers", "Worker processes that show signs of life.", workers)

    def _queue_metrics(self) -> Iterable[Metric]:
        queues = self._queues.read()
        backlog = sum(queue.size for queue in queues if queue.name in QUEUES)
        yield _messages(queues)
        yield _ages(queues)
        yield _gauge("qrmill_backlog_messages", "Messages that count as backlog.", backlog)
        yield _gauge(
            "qrmill_backlog_limit_messages",
            "Backlog over which requests are answered 503.",
            self._max_backlog,
        )

    def _in_flight(self) -> Iterable[Metric]:
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.ACTIVE_JOBS)
            pipe.zrange(keys.ACTIVE_JOBS, 0, _LOOKED_AT - 1)
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
            "Share of its time that the job nearest to its deadline has used; 0 when none is.",
            max(0.0, used),
        )

    def _ended(self) -> Iterable[Metric]:
        with translated():
            counts = cast("dict[str, str]", self._client.hgetall(keys.COUNTS))
        table = _by_labels(counts)
        names = ["format", "outcome"]
        jobs = CounterMetricFamily("qrmill_jobs_ended", "Jobs that ended.", labels=names)
        items = CounterMetricFamily("qrmill_items_ended", "Items of those jobs.", labels=names)
        seconds = HistogramMetricFamily(
            "qrmill_job_seconds", "Seconds from a job's acceptance to its end.", labels=names
        )
        for labels, kinds in table.items():
            seconds.add_metric(labels, _buckets(kinds), kinds["milliseconds"] / 1000)
        for labels in product(get_args(ImageFormat), sorted(OUTCOMES)):
            # At 0 before the first one, which is a rate then.
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
    """Return the cumulative buckets that a histogram has in Prometheus."""
    total, buckets = 0, []
    for bound in DURATION_BOUNDS:
        total += kinds[str(bound)]
        buckets.append((str(float(bound)), float(total)))
    return [*buckets, ("+Inf", float(kinds["jobs"]))]


def _messages(queues: Iterable[QueueState]) -> Metric:
    family = GaugeMetricFamily(
        "qrmill_queue_messages", "Messages of a queue.", labels=["queue", "state"]
    )
    for queue in queues:
        for state in ("waiting", "in_progress", "delayed", "dead"):
            family.add_metric([queue.name, state], getattr(queue, state))
    return family


def _ages(queues: Iterable[QueueState]) -> Metric:
    family = GaugeMetricFamily(
        "qrmill_queue_oldest_seconds",
        "Age of a queue's oldest message that waits, or that is a dead letter.",
        labels=["queue", "state"],
    )
    for queue in queues:
        family.add_metric([queue.name, "waiting"], queue.oldest_waiting)
        family.add_metric([queue.name, "dead"], queue.oldest_dead)
    return family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
