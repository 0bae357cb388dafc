"""Checks and findings of the doctor.

Checks leave no data behind, neither in Redis nor in S3.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec
import redis

from pipeline.errors import (
    ObjectMissingError,
    StoreUnavailableError,
    UnavailableError,
)

#: Difference between two clocks, in seconds, from which the finding is a warning, and difference
#: from which the finding is a failure.
_WARN_FROM, _FAIL_FROM = 2.0, 60.0


class Finding(msgspec.Struct, frozen=True):
    """Result of a check.

    Attributes:
        name: name of the check.
        state: outcome; ``warn`` means that the service works but needs attention.
        found: what the check has found.
        advice: what to do; empty if the state is ``ok``.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


class Check(NamedTuple):
    """One check of the doctor.

    Attributes:
        name: name of the check.
        inspect: performs the check.
        advice: advice for the case that ``inspect`` raises an exception, because a dependency is
            unavailable or denies access.
        required: whether a failure of this check skips the checks after it.
        explain: function that returns the advice on an error of S3; its arguments are the error and
            ``advice``, the default.
    """

    name: str
    inspect: Callable[[], Finding]
    advice: str
    required: bool = False
    explain: Callable[[StoreUnavailableError, str], str] = lambda _, advice: advice

    def run(self) -> Finding:
        """Return the finding; an unavailable dependency is a finding too."""
        try:
            return self.inspect()
        except StoreUnavailableError as error:
            return Finding(self.name, "fail", str(error), self.explain(error, self.advice))
        except (redis.RedisError, UnavailableError, ObjectMissingError) as error:
            return Finding(self.name, "fail", str(error) or type(error).__name__, self.advice)


def run_checks(checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield the finding of each check, up to the first required one that fails."""
    for check in checks:
        finding = check.run()
        yield finding
        if check.required and finding.state == "fail":
            return


def compare_clocks(name: str, seconds: float) -> Finding:
    """Return the finding about a clock that is ``seconds`` ahead of this machine's clock."""
    found = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's clock"
    if abs(seconds) < _WARN_FROM:
        return Finding(name, "ok", found)
    state: Literal["warn", "fail"] = "warn" if abs(seconds) < _FAIL_FROM else "fail"
    advice = "Synchronize both machines with NTP. Check them with timedatectl or chronyc tracking."
    return Finding(name, state, found, advice)
