"""RabbitMQ's reasons for a refused connection or command, with advice for the operator.

RabbitMQ gives its reason in the reply text when it closes a connection or channel (AMQP 0-9-1,
``connection.close`` and ``channel.close``), and pika wraps that text in its own errors. The reply
text never contains a password.
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

#: Permissions that the service's user needs, as patterns for RabbitMQ's ``set_permissions``.
#: Declaring a queue requires ``configure`` on the queue. Naming the queue's dead letter exchange
#: requires ``read`` on the queue and ``write`` on the exchange.
QUEUES = r"^((render|express|bundle)(-[2-9])?|webhook)(\.DQ|\.XQ)?$"
RIGHTS = {"configure": QUEUES, "write": r"^amq\.default$", "read": QUEUES}

Match = re.Match[str]


class AmqpRefusedError(ConnectionClosed):
    """Raised when RabbitMQ refuses the service, or when its certificate is not valid.

    Attributes:
        found: RabbitMQ's reason, or the error of the certificate check.
        advice: what the operator can do.
    """

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}. {advice}")  # type: ignore[no-untyped-call] # Dramatiq's
        self.found = found
        self.advice = advice


def explain(error: BaseException) -> ConnectionClosed:
    """Return a ``ConnectionClosed`` with the innermost reason of pika's ``error``.

    Dramatiq reconnects after ``ConnectionClosed``.
    """
    error = _innermost(error)
    if isinstance(error, SSLCertVerificationError):
        return AmqpRefusedError(
            str(error),
            "RabbitMQ's certificate must contain the host of QRMILL_BROKER_URL and come from an "
            "authority that this machine trusts. Set SSL_CERT_FILE to trust another authority.",
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
        "QRMILL_BROKER_URL has an unknown user or a wrong password. Percent-encode both, and check "
        "them with `rabbitmqctl authenticate_user`. The user guest may connect only from "
        "RabbitMQ's own machine."
    )


def _no_vhost(match: Match) -> str:
    command = f"`rabbitmqctl add_vhost {shlex.quote(match['vhost'])}`"
    return (
        f"Create the vhost with {command}, or correct the path of QRMILL_BROKER_URL "
        "(%2F for the vhost /)."
    )


def _no_permission(match: Match) -> str:
    # RabbitMQ 3.10 does not name the missing permission. For a queue, it is configure or read.
    permissions = {
        "queue": "the permissions configure and read",
        "exchange": "the permission write",
    }
    needed = permissions.get(match["kind"], "all permissions")
    patterns = " ".join(shlex.quote(RIGHTS[right]) for right in ("configure", "write", "read"))
    where, who = shlex.quote(match["vhost"]), shlex.quote(match["user"])
    command = f"`rabbitmqctl set_permissions -p {where} {who} {patterns}`"
    return f"The user of QRMILL_BROKER_URL needs {needed}: run {command}."


def _other_queue(match: Match) -> str:
    return (
        f"Another application declared the queue {match['name']} with other arguments. "
        "Delete the queue, or use another vhost."
    )


_VHOST_AND_USER = r"vhost '(?P<vhost>[^']*)' refused for user '(?P<user>[^']*)'"
#: Patterns of RabbitMQ's reply texts, with the functions that return the advice.
_REFUSALS: tuple[tuple[str, Callable[[Match], str]], ...] = (
    (r"Login was refused", _login),
    (r"vhost (?P<vhost>\S+) not found", _no_vhost),
    # A colon after the user's name means that there are too many connections.
    (rf"access to (?P<kind>){_VHOST_AND_USER}(?!:)", _no_permission),
    (rf"(\w+ )?access to (?P<kind>queue|exchange) '[^']*' in {_VHOST_AND_USER}", _no_permission),
    (r"inequivalent arg '[^']*' for queue '(?P<name>[^']*)' in vhost '[^']*'", _other_queue),
)
