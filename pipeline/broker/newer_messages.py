"""Dramatiq middleware that leaves the messages of a newer release to its workers.

Such a message goes back onto its queue after a while, its tries uncounted, for as long as no worker
that knows its version has taken it. Without this it would be a dead letter, and its job would have
failed. Should one not get back, the newer release's sweep asks for what is missing.

A message for an actor that there is not becomes a dead letter before any middleware sees it; so a
release that adds an actor gives it a queue of its own, which older workers do not read.
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

#: Message option that has the version.
OPTION = "version"
_AGAIN = 5_000  # milliseconds

Arguments = ParamSpec("Arguments")


class LeaveNewer(Middleware):
    """Must be the first middleware, so that the others never see messages with a newer version."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Skip a message of a newer version.

        Raises:
            SkipMessage: it is one.
        """
        try:
            refuse_newer(message.options.get(OPTION, 1), str(message))
        except NewerVersionError as error:
            _leave(error)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Put a skipped message back."""
        broker.enqueue(message, delay=_AGAIN)  # type: ignore[arg-type] # as Dramatiq's own retries


def requeue_if_newer(actor: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Let an actor's message be left as well when the ledger entry that it is about is newer."""

    @wraps(actor)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            actor(*args, **kwargs)
        except NewerVersionError as error:
            _leave(error)

    return run


def _leave(error: NewerVersionError) -> NoReturn:
    log.warning("left to a newer release", reason=str(error))
    raise SkipMessage(str(error))
