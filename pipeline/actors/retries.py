"""Dramatiq middleware for retries that lose no message."""

from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Retries

from pipeline.actors.failure_recorder import ERROR_CODE
from pipeline.errors import ObjectMissingError
from pipeline.model.failure_reasons import BROKER_UNAVAILABLE

#: Milliseconds before the first retry after a missing object. With the default of three retries,
#: the last one comes after 3.5 to 7 seconds.
_MISSING_BACKOFF = 500
#: Message option that states whether the last attempt ended with a missing object.
_MISSING = "object_missing"


class SafeRetries(Retries):
    """Dramatiq's retries, except that a message that cannot be requeued becomes a dead letter.

    Dramatiq itself acknowledges a message even if its retry cannot be enqueued, and so loses the
    message.

    After a missing object the retries come sooner, because the object may be missing only for a
    moment: some S3 servers replace an object by deleting the old one first. A request object is
    replaced when a client that got no response sends its request again, and a worker may be reading
    the object at that time. An object that is still missing after a few seconds is permanently
    missing. A message whose retries were used up by other errors gets one retry more, so that it
    never fails after a single look.
    """

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Enqueue the retry, or fail the message."""
        if exception is not None:
            missing = isinstance(exception, ObjectMissingError)
            backoff = min(_MISSING_BACKOFF, self.min_backoff) if missing else self.min_backoff
            message.options["min_backoff"] = backoff
            self._allow_second_look(broker, message, missing=missing)
        try:
            super().after_process_message(  # type: ignore[no-untyped-call] # Dramatiq has no types
                broker, message, result=result, exception=exception
            )
        except Exception:
            # The message has attempts left, and its retry may have been enqueued despite the error.
            message.options[ERROR_CODE] = BROKER_UNAVAILABLE
            message.fail()
            raise

    def _allow_second_look(self, broker: Broker, message: MessageProxy, *, missing: bool) -> None:
        """Allow one more retry if the object was not missing in the previous attempt."""
        again = message.options.get(_MISSING, False)
        message.options[_MISSING] = missing
        # An actor with a limit of its own is not retried by Dramatiq.
        if (
            missing
            and not again
            and "max_retries" not in broker.get_actor(message.actor_name).options
        ):
            retries = message.options.get("retries", 0)
            message.options["max_retries"] = max(self.max_retries, retries + 1)
