"""Health checks of Redis, S3 and the broker, in threads so that a hanging one blocks no caller."""

import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread
from typing import NamedTuple

import structlog

from pipeline.errors import ObjectMissingError, UnavailableError

log = structlog.get_logger(__name__)

_FRESH = 2.0  # seconds that an answer is good for
_PATIENCE = 1.0  # seconds that a page of the console waits
#: Seconds that a probe waits: Compose's health check gives up after four.
_PROBE_PATIENCE = 3.0


class PartHealth(NamedTuple):
    """How a part answered.

    Attributes:
        milliseconds: that its answer took; None when it did not answer.
        reason: why not; empty when it did.
    """

    name: str
    milliseconds: float | None
    reason: str


class _Part:
    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self.asked_at = float("-inf")
        self.answer: tuple[float | None, str] = (None, "not asked yet")
        self.thread = Thread()

    def ask(self) -> None:
        if not self.thread.is_alive() and time.monotonic() - self.asked_at > _FRESH:
            self.asked_at = time.monotonic()
            self.thread = Thread(target=self._run, name="health", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            self.check()
        except (UnavailableError, ObjectMissingError) as error:
            self.answer = (None, str(error) or type(error).__name__)
        except Exception as error:
            # A defect, but whoever asks must not be told what was true before it.
            log.error("unexpected error", exc_info=error)  # noqa: TRY400 - the level is the page's
            self.answer = (None, type(error).__name__)
        else:
            self.answer = ((time.perf_counter() - started) * 1000, "")


class Health:
    """Asks the parts, each at most once every two seconds and never twice at once."""

    def __init__(self, checks: Mapping[str, Callable[[], None]]) -> None:
        """Take a check of each part, which raises when the part does not answer."""
        self._parts = {name: _Part(check) for name, check in checks.items()}
        self._lock = Lock()

    def look(self, patience: float = _PATIENCE) -> list[PartHealth]:
        """Return how each part answers; this takes ``patience`` seconds at most."""
        with self._lock:
            for part in self._parts.values():
                part.ask()
        deadline = time.monotonic() + patience
        for part in self._parts.values():
            if part.thread.ident is not None:
                part.thread.join(max(0, deadline - time.monotonic()))
        return [self._told(name, part) for name, part in self._parts.items()]

    def unready(self) -> list[str]:
        """Return the names of the backends that do not answer; this takes three seconds at most."""
        down = [part for part in self.look(_PROBE_PATIENCE) if part.milliseconds is None]
        for part in down:
            log.warning("not ready", part=part.name, reason=part.reason)
        return [part.name for part in down]

    def _told(self, name: str, part: _Part) -> PartHealth:
        if part.thread.is_alive():
            seconds = time.monotonic() - part.asked_at
            return PartHealth(name, None, f"no answer for {seconds:.0f} s")
        return PartHealth(name, *part.answer)
