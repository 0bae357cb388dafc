"""The check-up: every part that the service needs is tried, and what to do is said where it fails.

Nothing is left behind, in Redis or in S3.
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

#: Seconds that two clocks may differ without a word, and without harm.
_SAME_TIME, _HARMLESS = 2.0, 60.0


class Finding(msgspec.Struct, frozen=True):
    """What a check has found.

    Attributes:
        name: of what was checked.
        state: ``warn`` for what works and should be looked at.
        found: what is there, in words and figures.
        advice: what to do; empty when all is well.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


class Check(NamedTuple):
    """One check.

    Attributes:
        name: of what it checks.
        look: does it.
        advice: what to do when that raises because a part is away or refuses.
        needed: the checks after it make no sense when it fails.
        explain: what to do about S3's refusal instead, given that and ``advice``.
    """

    name: str
    look: Callable[[], Finding]
    advice: str
    needed: bool = False
    explain: Callable[[StoreUnavailableError, str], str] = lambda _, advice: advice

    def run(self) -> Finding:
        """Return what was found; a part that is away is a finding too."""
        try:
            return self.look()
        except StoreUnavailableError as error:
            return Finding(self.name, "fail", str(error), self.explain(error, self.advice))
        except (redis.RedisError, UnavailableError, ObjectMissingError) as error:
            return Finding(self.name, "fail", str(error) or type(error).__name__, self.advice)


def run_checks(checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield what each check finds, up to one that is needed and fails."""
    for check in checks:
        finding = check.run()
        yield finding
        if check.needed and finding.state == "fail":
            return


def compare_clocks(name: str, seconds: float) -> Finding:
    """Return what to think of a clock that is ``seconds`` ahead of this machine's."""
    found = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(seconds) < _SAME_TIME:
        return Finding(name, "ok", found)
    state: Literal["warn", "fail"] = "warn" if abs(seconds) < _HARMLESS else "fail"
    advice = "Let both machines take the time from one source (NTP): timedatectl, chronyc tracking."
    return Finding(name, state, found, advice)
