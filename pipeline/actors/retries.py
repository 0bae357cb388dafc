"""Dramatiq middleware: retries that lose no message."""

from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Retries

from pipeline.actors.failure_recorder import ERROR_CODE
from pipeline.errors import ObjectMissingError
from pipeline.model.failure_reasons import BROKER_UNAVAILABLE

#: Milliseconds before the first retry of what met a missing object; the three of the default end
#: after 3.5 to 7 seconds.
_MISSING_BACKOFF = 500


class SafeRetries(Retries):
    """Dramatiq's retries, but a message that cannot be put back becomes a dead letter.

    Without it a message whose retry cannot be enqueued is acknowledged all the same, and lost.

    An object that is missing is soon looked for again. Some S3 servers replace an object by
    removing it first, and a request that is sent twice, because its first answer was lost, is
    replaced while it is read. What is still not there after a few seconds is gone.
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
        try:
            super().after_process_message(  # type: ignore[no-untyped-call] # Dramatiq has no types
                broker, message, result=result, exception=exception
            )
        except Exception:
            # Its tries are not spent, and the retry may have got out all the same.
            message.options[ERROR_CODE] = BROKER_UNAVAILABLE
            message.fail()
            raise
