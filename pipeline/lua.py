"""The ledger's Lua scripts: loaded from ``pipeline/scripts``, run as one atomic step each.

Every script begins with the same few lines: the transition table of ``pipeline.jobs``, the Redis
server's clock, so that a worker's wrong clock moves nothing, and the counts of the last hour. These
stand in a ring of a field a minute, so that they never grow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis

from pipeline.jobs import TRANSITIONS

if TYPE_CHECKING:
    from redis.commands.core import Script

_PRELUDE = """
local TRANSITIONS = {%s}
local function transition(state, event)
    return TRANSITIONS[state .. " " .. event] or state
end
local function now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function count(minutes, what, amount)
    local minute = math.floor(now() / 60000)
    local field = what .. ":" .. minute %% 60
    local before = string.match(redis.call("HGET", minutes, field) or "", "^" .. minute .. " (.*)")
    redis.call("HSET", minutes, field, minute .. " " .. (before or 0) + amount)
end
"""


class LedgerUnavailableError(Exception):
    """Redis did not answer; what was asked may or may not have happened, and can be asked again."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Redis raises into :class:`LedgerUnavailableError`."""
    try:
        yield
    except redis.RedisError as error:
        raise LedgerUnavailableError(str(error)) from error


class Scripts:
    """The scripts over one Redis client that decodes responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._registered: dict[str, Script] = {}

    def run(self, name: str, names: list[str], *arguments: str | int) -> Any:  # noqa: ANN401 - a script's reply has no type
        """Run the script ``name`` with keys ``names``.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(_source(name))
        with translated():
            return script(keys=names, args=arguments)


@cache
def _source(name: str) -> str:
    table = ", ".join(
        f'["{state} {event}"] = "{after}"' for (state, event), after in TRANSITIONS.items()
    )
    body = resources.files("pipeline").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return _PRELUDE % table + body
