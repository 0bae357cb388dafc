"""Health checks of Redis, S3 and the broker, in threads, so that a hang blocks no caller."""

import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread
from typing import NamedTuple

import structlog

from pipeline.errors import ObjectMissingError, UnavailableError

log = structlog.get_logger(__name__)

_FRESH = 2.0  # seconds for which a result is reused
_PATIENCE = 1.0  # seconds that a page of the console waits for the checks
#: Seconds that a readiness probe waits for the checks. Compose's health check times out after 4 s.
_PROBE_PATIENCE = 3.0


class DependencyHealth(NamedTuple):
    """Health of a dependency.

    Attributes:
        name: name of the dependency.
        milliseconds: response time; None if the dependency is unavailable.
        reason: why the dependency is unavailable; empty if it is available.
    """

    name: str
    milliseconds: float | None
    reason: str


class _Dependency:
    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self.started_at = float("-inf")
        self.result: tuple[float | None, str] = (None, "not checked yet")
        self.thread = Thread()

    def start_check(self) -> None:
        if not self.thread.is_alive() and time.monotonic() - self.started_at > _FRESH:
            self.started_at = time.monotonic()
            self.thread = Thread(target=self._run, name="health", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            self.check()
        except (UnavailableError, ObjectMissingError) as error:
            self.result = (None, str(error) or type(error).__name__)
        except Exception as error:
            # A defect of the service. The error replaces the result of the previous check, which
            # callers must not get any more.
            log.error("unexpected error", exc_info=error)  # noqa: TRY400 - the level of this event is documented
            self.result = (None, type(error).__name__)
        else:
            self.result = ((time.perf_counter() - started) * 1000, "")


class Health:
    """Health checks of the dependencies.

    Each check runs at most once every two seconds, and never twice at the same time.
    """

    def __init__(self, checks: Mapping[str, Callable[[], None]]) -> None:
        """Initialize with one check per dependency; a failed check raises an exception."""
        self._dependencies = {name: _Dependency(check) for name, check in checks.items()}
        self._lock = Lock()

    def latest(self, patience: float = _PATIENCE) -> list[DependencyHealth]:
        """Return the health of each dependency; takes at most ``patience`` seconds."""
        with self._lock:
            for dependency in self._dependencies.values():
                dependency.start_check()
        deadline = time.monotonic() + patience
        for dependency in self._dependencies.values():
            if dependency.thread.ident is not None:
                dependency.thread.join(max(0, deadline - time.monotonic()))
        return [self._health(name, each) for name, each in self._dependencies.items()]

    def unready(self) -> list[str]:
        """Return the names of the unavailable dependencies; takes at most three seconds."""
        down = [each for each in self.latest(_PROBE_PATIENCE) if each.milliseconds is None]
        for dependency in down:
            log.warning("not ready", part=dependency.name, reason=dependency.reason)
        return [dependency.name for dependency in down]

    def _health(self, name: str, dependency: _Dependency) -> DependencyHealth:
        if dependency.thread.is_alive():
            seconds = time.monotonic() - dependency.started_at
            return DependencyHealth(name, None, f"no response for {seconds:.0f} s")
        return DependencyHealth(name, *dependency.result)
