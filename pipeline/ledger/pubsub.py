"""Listening to a Redis channel in a thread, however often the connection is lost."""

import threading
from collections.abc import Callable

import redis
import structlog

log = structlog.get_logger(__name__)

#: Seconds the listener waits for a message before it looks whether it should stop, and before it
#: connects again after Redis went away.
_TICK = 0.5


class Subscriber:
    """Hands on what is said on one channel.

    Args:
        client: of either kind.
        channel: its name.
        on_message: called with each message, as text.
        on_gap: called when messages may have been missed: at the beginning, and after a loss.
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
        """Begin to listen, in a thread that does not keep the process alive."""
        threading.Thread(target=self._listen, name=f"listener {self._channel}", daemon=True).start()

    def stop(self) -> None:
        """Stop soon, and catch up a last time. Only a flag is set: a signal handler may do it."""
        self._stopped = True

    def _listen(self) -> None:
        pause = threading.Event()
        while not self._stopped:
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - whatever it was, others still wait
                reason = f"{type(error).__name__}: {error}"
                log.warning("subscription lost", channel=self._channel, reason=reason)
                # Who waits finds out for itself whether Redis answers.
                self._on_gap()
                pause.wait(_TICK)
        self._on_gap()

    def _follow(self) -> None:
        with self._client.pubsub() as channel:  # type: ignore[no-untyped-call] # redis-py has no types here
            channel.subscribe(self._channel)
            while not self._stopped:
                message = channel.get_message(timeout=_TICK)
                if message is None:
                    continue
                if message["type"] == "subscribe":  # what was said before then went unheard
                    self._on_gap()
                elif message["type"] == "message":
                    said = message["data"]
                    self._on_message(said if isinstance(said, str) else said.decode())
