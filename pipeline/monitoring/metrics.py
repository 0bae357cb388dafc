"""What the service counts and times in its own processes, for Prometheus.

How many jobs ended and how is not here: the ledger counts that, once a job, in the step that ends
it (:mod:`pipeline.monitoring.ledger_metrics`). Every label has few values: formats, steps, actions.
Nothing is made at import, because a service's folder has to be ready before its first metric
(:mod:`pipeline.monitoring.metrics_server`).
"""

from contextlib import AbstractContextManager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from render.image import ImageFormat

Step = Literal["render", "stage", "bundle"]
Action = Literal["chunks", "bundle", "late", "removed", "revived"]

_STEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


class AcceptedMetrics:
    """What the API has accepted. A request that was sent again and is no new job does not count."""

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
    """How long a worker takes for the steps of a job; a step that failed counts too."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "qrmill_step_seconds",
            "Seconds to render a chunk, to stage it, to build and upload a bundle.",
            ["step", "format"],
            buckets=_STEP_BUCKETS,
            registry=self.registry,
        )

    def time(self, step: Step, image_format: ImageFormat) -> AbstractContextManager[object]:
        """Time the block as one step of a job of that format."""
        return self._seconds.labels(step, image_format).time()


class SweepMetrics:
    """What the sweep did, and when it last got to its end."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._actions = Counter(
            "qrmill_sweep_actions",
            "Jobs that the sweep moved, failed, removed, or brought back from S3.",
            ["action"],
            registry=self.registry,
        )
        for action in get_args(Action):
            self._actions.labels(action)
        self._completed_at = Gauge(
            "qrmill_sweep_completed_timestamp_seconds",
            "When this process last got through a sweep without an error.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def count(self, action: Action) -> None:
        """Count one job to which ``action`` was done."""
        self._actions.labels(action).inc()

    def completed(self) -> None:
        """Note that a sweep got to its end."""
        self._completed_at.set_to_current_time()
