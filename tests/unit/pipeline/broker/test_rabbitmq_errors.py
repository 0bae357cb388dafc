"""What RabbitMQ writes when it refuses, and what is made of it."""

import pytest
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    StreamLostError,
)

from pipeline.broker.rabbitmq_errors import AmqpRefusedError, explain


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        (
            "ACCESS_REFUSED - access to queue 'render.DQ' in vhost 'q m' refused for user 'x'",
            "access to queue 'render.DQ' in vhost 'q m' refused for user 'x'",
            "configure and read: run `rabbitmqctl set_permissions -p 'q m' x '^((render|",
        ),
        (
            "ACCESS_REFUSED - read access to queue 'render' in vhost '/' refused for user 'a b'",
            "read access to queue 'render' in vhost '/' refused for user 'a b'",
            "set_permissions -p / 'a b' '^((render|",
        ),
        (
            "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'x'",
            "access to exchange 'amq.default' in vhost '/' refused for user 'x'",
            "needs the permission write: ",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'render' in vhost '/'",
            "inequivalent arg 'x-queue-type' for queue 'render' in vhost '/'",
            "Delete the queue",
        ),
    ],
)
def test_a_closed_channel_is_explained(text: str, found: str, advice: str) -> None:
    refused = explain(ChannelClosedByBroker(403, text))
    assert isinstance(refused, AmqpRefusedError)
    assert refused.found == found
    assert advice in refused.advice
    assert str(refused) == f"{found}. {refused.advice}"


def test_a_closed_connection_is_explained_however_often_it_was_wrapped() -> None:
    closed = ConnectionClosedByBroker(530, "NOT_ALLOWED - access to vhost '/' refused for user 'x'")
    for error in (closed, ProbableAccessDeniedError(repr(closed)), AMQPConnectionError(closed)):
        refused = explain(error)
        assert isinstance(refused, AmqpRefusedError)
        assert refused.found == "access to vhost '/' refused for user 'x'"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ConnectionClosedByBroker(
                530, "NOT_ALLOWED - access to vhost '/' refused for user 'x': connection limit (1)"
            ),
            "connection limit (1)",
        ),
        (StreamLostError("Stream connection lost: ConnectionResetError(104)"), "StreamLostError: "),
        (AMQPConnectionError(ConnectionRefusedError(111, "refused")), "ConnectionRefusedError: "),
        (AMQPConnectionError(), "AMQPConnectionError"),
    ],
)
def test_what_no_right_would_mend_is_told_as_it_is(error: Exception, reason: str) -> None:
    told = explain(error)
    assert not isinstance(told, AmqpRefusedError)
    assert reason in str(told)
