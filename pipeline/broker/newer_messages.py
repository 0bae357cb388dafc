"""Dramatiq middleware that requeues the messages of a newer release for that release's workers.

A message with a newer schema version is requeued with a delay, without counting an attempt, until a
worker that knows the version takes it. Without this middleware the message would become a dead
letter, and its job would fail. If requeueing fails, the sweep of the newer release enqueues the
missing work again.

A message for an unknown actor becomes a dead letter before any middleware sees it. A release that
adds an actor therefore gives the actor its own queue, which older workers do not consume.
"""

from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware, SkipMessage

from pipeline.errors import NewerVersionError
from pipeline.model.versions import refuse_newer

log = structlog.get_logger(__name__)

#: Message option that contains the schema version.
OPTION = "version"
_AGAIN = 5_000  # milliseconds until a requeued message is delivered again

Arguments = ParamSpec("Arguments")


class LeaveNewer(Middleware):
    """Requeues messages with a newer schema version.

    Must be the first middleware, so that the others never see such messages.
    """

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Skip a message with a newer schema version.

        Raises:
            SkipMessage: the message has a newer version.
        """
        try:
            refuse_newer(message.options.get(OPTION, 1), str(message))
        except NewerVersionError as error:
            _skip(error)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Requeue a skipped message."""
        broker.enqueue(message, delay=_AGAIN)  # type: ignore[arg-type] # a proxy, as in Dramatiq's retries


def requeue_if_newer(actor: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Wrap an actor so that a message whose job has a newer ledger entry is requeued as well."""

    @wraps(actor)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            actor(*args, **kwargs)
        except NewerVersionError as error:
            _skip(error)

    return run


def _skip(error: NewerVersionError) -> NoReturn:
    log.warning("left to a newer release", reason=str(error))
    raise SkipMessage(str(error))
