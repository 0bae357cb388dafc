"""Metrics that the service's processes count and measure themselves.

Ended jobs are counted elsewhere: the ledger counts each job once, in the atomic step that ends it
(:mod:`pipeline.monitoring.ledger_metrics`). Every label has few values: formats, steps, actions.
No metric is created at import, because the metrics directory must be prepared before the first
metric is created (:mod:`pipeline.monitoring.metrics_server`).
"""

from contextlib import AbstractContextManager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from render.image import ImageFormat

Step = Literal["render", "verify", "stage", "bundle"]
Action = Literal["chunks", "bundle", "late", "removed", "revived"]

_STEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


class AcceptedMetrics:
    """Metrics of accepted jobs; a replayed request, which creates no job, does not count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._jobs = Counter(
            "qrmill_jobs_accepted", "Jobs accepted.", ["format"], registry=self.registry
        )
        self._items = Counter(
            "qrmill_items_accepted", "Items of accepted jobs.", ["format"], registry=self.registry
        )

    def count(self, image_format: ImageFormat, items: int) -> None:
        """Count a job and its items."""
        self._jobs.labels(image_format).inc()
        self._items.labels(image_format).inc(items)


class StepMetrics:
    """Durations of the steps of a job in a worker; failed steps count too."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "qrmill_step_seconds",
            "Seconds to render, verify or stage a chunk, or to build and upload a bundle.",
            ["step", "format"],
            buckets=_STEP_BUCKETS,
            registry=self.registry,
        )

    def time(self, step: Step, image_format: ImageFormat) -> AbstractContextManager[object]:
        """Return a context manager that measures its block as one step of a job."""
        return self._seconds.labels(step, image_format).time()


class VerificationMetrics:
    """Numbers of symbols read back; those of a chunk that is retried count again."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._verified = Counter(
            "qrmill_symbols_verified",
            "Symbols that matched their items when they were read back, by format.",
            ["format"],
            registry=self.registry,
        )
        self._unverified = Counter(
            "qrmill_symbols_unverified",
            "Symbols that differed from their items when they were read back, by format.",
            ["format"],
            registry=self.registry,
        )
        for image_format in get_args(ImageFormat):
            self._unverified.labels(image_format)

    def count_verified(self, image_format: ImageFormat, symbols: int) -> None:
        """Count the symbols of a verified chunk."""
        self._verified.labels(image_format).inc(symbols)

    def count_unverified(self, image_format: ImageFormat, symbols: int) -> None:
        """Count the symbols of a chunk that failed verification."""
        self._unverified.labels(image_format).inc(symbols)


class SweepMetrics:
    """Metrics of the sweep: its actions, and the time of its last complete pass."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._actions = Counter(
            "qrmill_sweep_actions",
            "Jobs that the sweep rescued, failed, deleted, or restored from S3, by action.",
            ["action"],
            registry=self.registry,
        )
        for action in get_args(Action):
            self._actions.labels(action)
        self._completed_at = Gauge(
            "qrmill_sweep_completed_timestamp_seconds",
            "End of this process's last sweep pass without an error, in seconds since the epoch.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def count(self, action: Action) -> None:
        """Count one job to which ``action`` was applied."""
        self._actions.labels(action).inc()

    def completed(self) -> None:
        """Record that a sweep pass has completed."""
        self._completed_at.set_to_current_time()
