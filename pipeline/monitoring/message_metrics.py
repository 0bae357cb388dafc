"""Dramatiq's Prometheus middleware, exposed by the service's own metrics server.

Import this module only if metrics are enabled: Dramatiq's Prometheus module creates the metrics
directory when it is imported.
"""

from collections.abc import Callable

from dramatiq import Broker, MessageProxy
from dramatiq.middleware.prometheus import Prometheus


class MessageMetrics(Prometheus):
    """Metrics of messages: processed, failed, retried and rejected, with durations."""

    @property
    def forks(self) -> list[Callable[[], int]]:
        """Empty, so that Dramatiq starts no metrics server of its own.

        :mod:`pipeline.monitoring.metrics_server` serves the metrics instead.
        """
        return []

    def after_process_boot(self, broker: Broker) -> None:
        """Create the metrics, with rare counters at 0, so that rate() sees their first event."""
        super().after_process_boot(broker)  # type: ignore[no-untyped-call] # Dramatiq has no types
        rare = (
            self.total_errored_messages,
            self.total_retried_messages,
            self.total_rejected_messages,
        )
        for actor in broker.actors.values():
            for counter in rare:
                counter.labels(actor.queue_name, actor.actor_name)

    def before_delay_message(self, broker: Broker, message: MessageProxy) -> None:
        """Skip ``dramatiq_delayed_messages_inprogress``, which is never correct (Dramatiq #672)."""
