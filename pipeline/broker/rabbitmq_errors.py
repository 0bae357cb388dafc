"""Why there is no connection to RabbitMQ, in its own words, and what to do where it refuses.

It says what it refuses in the reply text of a connection or channel that it closes (AMQP 0-9-1,
``connection.close`` and ``channel.close``). pika wraps that. No such text has a password in it.
"""

import re
import shlex
from collections.abc import Callable
from ssl import SSLCertVerificationError

from dramatiq import ConnectionClosed
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorPhaseErrorBase,
)

from pipeline.broker.names import ALL_QUEUES

#: What the service's user has to have, as RabbitMQ's ``set_permissions`` takes it: who declares a
#: queue configures it; who names its dead letters' exchange reads it and writes that exchange.
QUEUES = rf"^({'|'.join(ALL_QUEUES)})(\.DQ|\.XQ)?$"
RIGHTS = {"configure": QUEUES, "write": r"^amq\.default$", "read": QUEUES}

Match = re.Match[str]


class AmqpRefusedError(ConnectionClosed):
    """RabbitMQ refuses the service, or is not who it has to be.

    Attributes:
        found: what was refused.
        advice: what to do.
    """

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}. {advice}")  # type: ignore[no-untyped-call] # Dramatiq's
        self.found = found
        self.advice = advice


def explain(error: BaseException) -> ConnectionClosed:
    """Return what Dramatiq takes for a lost connection, with the reason of pika's error."""
    error = _innermost(error)
    if isinstance(error, SSLCertVerificationError):
        return AmqpRefusedError(
            str(error),
            "Have the host of QRMILL_BROKER_URL in RabbitMQ's certificate, from an authority that "
            "this machine trusts; SSL_CERT_FILE names another.",
        )
    text = str(error)
    for pattern, advise in _REFUSALS:
        if match := re.search(pattern, text):
            return AmqpRefusedError(match[0], advise(match))
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return ConnectionClosed(reason)


def _innermost(error: BaseException) -> BaseException:
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return _innermost(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return _innermost(error.exception)
    if error.args and isinstance(error.args[0], BaseException):
        return _innermost(error.args[0])
    return error


def _login(_: Match) -> str:
    return (
        "QRMILL_BROKER_URL has a user that is not there, or a wrong password: percent-encode both, "
        "and try them with `rabbitmqctl authenticate_user`. The user guest is let in from "
        "RabbitMQ's own machine alone."
    )


def _no_vhost(match: Match) -> str:
    made = f"`rabbitmqctl add_vhost {shlex.quote(match['vhost'])}`"
    return f"Make it with {made}, or correct the path of QRMILL_BROKER_URL (%2F for the vhost /)."


def _no_right(match: Match) -> str:
    # RabbitMQ 3.10 does not say which right it is: of a queue, it may be one or the other.
    needed = {"queue": "configure and read", "exchange": "write"}.get(match["kind"], "all rights")
    patterns = " ".join(shlex.quote(RIGHTS[right]) for right in ("configure", "write", "read"))
    where, who = shlex.quote(match["vhost"]), shlex.quote(match["user"])
    command = f"`rabbitmqctl set_permissions -p {where} {who} {patterns}`"
    return f"The user of QRMILL_BROKER_URL needs {needed} there: {command}."


def _other_queue(match: Match) -> str:
    return f"Somebody else declared the queue {match['name']}: delete it, or take another vhost."


_VHOST_AND_USER = r"vhost '(?P<vhost>[^']*)' refused for user '(?P<user>[^']*)'"
#: What RabbitMQ writes, and what to do then.
_REFUSALS: tuple[tuple[str, Callable[[Match], str]], ...] = (
    (r"Login was refused", _login),
    (r"vhost (?P<vhost>\S+) not found", _no_vhost),
    (rf"access to (?P<kind>){_VHOST_AND_USER}(?!:)", _no_right),  # else it has too many connections
    (rf"(\w+ )?access to (?P<kind>queue|exchange) '[^']*' in {_VHOST_AND_USER}", _no_right),
    (r"inequivalent arg '[^']*' for queue '(?P<name>[^']*)' in vhost '[^']*'", _other_queue),
)
