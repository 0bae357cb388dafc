"""A subscription to a Redis channel in a thread that reconnects after a lost connection."""

import threading
from collections.abc import Callable

import redis
import structlog

log = structlog.get_logger(__name__)

#: Seconds to wait for a message before checking whether to stop, and seconds to wait before
#: reconnecting after a lost connection.
_TICK = 0.5


class Subscriber:
    """A subscriber that passes the messages of one channel to a callback.

    Args:
        client: Redis client; it may decode responses or not.
        channel: name of the channel.
        on_message: called with the text of each message.
        on_gap: called when messages may have been missed: after each subscription, after a lost
            connection, and when the subscriber stops.
    """

    def __init__(
        self,
        client: redis.Redis,
        channel: str,
        on_message: Callable[[str], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._client = client
        self._channel = channel
        self._on_message = on_message
        self._on_gap = on_gap
        self._stopped = False

    def start(self) -> None:
        """Start listening in a daemon thread."""
        threading.Thread(target=self._listen, name=f"listener {self._channel}", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread soon; it calls ``on_gap`` a last time.

        This method only sets a flag, so a signal handler may call it.
        """
        self._stopped = True

    def _listen(self) -> None:
        pause = threading.Event()
        while not self._stopped:
            try:
                self._receive()
            except Exception as error:  # noqa: BLE001 - the thread must survive every error
                reason = f"{type(error).__name__}: {error}"
                log.warning("subscription lost", channel=self._channel, reason=reason)
                # Each waiting request then checks for itself whether Redis responds.
                self._on_gap()
                pause.wait(_TICK)
        self._on_gap()

    def _receive(self) -> None:
        with self._client.pubsub() as channel:  # type: ignore[no-untyped-call] # redis-py has no types here
            channel.subscribe(self._channel)
            while not self._stopped:
                message = channel.get_message(timeout=_TICK)
                if message is None:
                    continue
                if message["type"] == "subscribe":  # earlier messages were missed
                    self._on_gap()
                elif message["type"] == "message":
                    data = message["data"]
                    self._on_message(data if isinstance(data, str) else data.decode())
