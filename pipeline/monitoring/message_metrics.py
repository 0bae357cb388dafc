"""Dramatiq's own Prometheus middleware, answered for by our listener.

To be imported when metrics are wanted: Dramatiq's module makes its folder at import.
"""

from collections.abc import Callable

from dramatiq import Broker, MessageProxy
from dramatiq.middleware.prometheus import Prometheus


class MessageMetrics(Prometheus):
    """Messages processed, failed, retried and given up, and how long each took."""

    @property
    def forks(self) -> list[Callable[[], int]]:
        """No process of its own that listens: :mod:`pipeline.monitoring.metrics_server` does."""
        return []

    def after_process_boot(self, broker: Broker) -> None:
        """Make the metrics, those of rare events at 0: the first one is a rate then."""
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
        """Leave out ``dramatiq_delayed_messages_inprogress``, which is never right (#672)."""
