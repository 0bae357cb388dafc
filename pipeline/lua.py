"""The ledger's Lua scripts: loaded from ``pipeline/scripts``, run as one atomic step each.

Every script begins with the same few lines: the transition table of ``pipeline.model.jobs``, the
Redis server's clock, so that a worker's wrong clock moves nothing, what becomes of a job's callback
when the job ends (``call_back``) and when it is opened again (``recall``), the count of jobs that
end (``count_end``), and the counts of the last hour (``count``), which stand in a ring of a field a
minute, so that they never grow. A script that begins something with a job's entry asks first
whether that is ``newer`` than what this release reads, and answers ``NEWER`` then. Redis knows
scripts by their content, so those of two releases run side by side. A process reads all of them
when its clients are opened and none later, so that it runs none that came after its Python.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis
from redis.sentinel import SentinelConnectionPool

from pipeline.errors import LedgerUnavailableError, NewerVersionError
from pipeline.model.states import DURATION_BOUNDS, TRANSITIONS
from pipeline.model.versions import VERSION

#: Milliseconds that a replica has to take a write; in one network it takes less than one.
_REPLICA_TIME = 100

if TYPE_CHECKING:
    from redis.commands.core import Script

_NEWER = "NEWER"

_PRELUDE = """
local NEWER = redis.error_reply("%s the ledger entry is a newer release's; this reads version %d")
local function newer(job)
    return tonumber(redis.call("HGET", job, "version") or 1) > %d
end
local TRANSITIONS = {%s}
local function transition(state, event)
    return TRANSITIONS[state .. " " .. event] or state
end
local function now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function recall(job, callbacks, task_id)
    redis.call("HDEL", job, "callback_state", "callback_event", "callback_attempts",
               "callback_due_at", "callback_error", "callback_delivered_at",
               "callback_message")
    redis.call("ZREM", callbacks, task_id)
end
local function call_back(job, callbacks, task_id)
    recall(job, callbacks, task_id)
    if (redis.call("HGET", job, "callback_url") or "") ~= "" then
        redis.call("HSET", job, "callback_state", "pending", "callback_attempts", 0,
                   "callback_due_at", now(), "callback_event",
                   task_id .. "_" .. redis.call("HGET", job, "finished_at"))
        redis.call("ZADD", callbacks, now(), task_id)
    end
end
local DURATION_BOUNDS = {%s}
-- Count a job at its end: fields of the hash `counts` are a kind, a format and an outcome.
local function count_end(counts, job, outcome)
    local found = redis.call("HMGET", job, "format", "items", "opened_at", "created_at")
    local elapsed = math.max(0, now() - (found[3] or found[4]))
    local labels = found[1] .. " " .. outcome
    redis.call("HINCRBY", counts, "jobs " .. labels, 1)
    redis.call("HINCRBY", counts, "items " .. labels, found[2])
    redis.call("HINCRBY", counts, "milliseconds " .. labels, elapsed)
    for _, bound in ipairs(DURATION_BOUNDS) do
        if elapsed <= bound * 1000 then
            redis.call("HINCRBY", counts, bound .. " " .. labels, 1)
            break
        end
    end
end
local function count(minutes, what, amount)
    local minute = math.floor(now() / 60000)
    local field = what .. ":" .. minute %% 60
    local before = string.match(redis.call("HGET", minutes, field) or "", "^" .. minute .. " (.*)")
    redis.call("HSET", minutes, field, minute .. " " .. (before or 0) + amount)
end
"""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Redis raises into :class:`LedgerUnavailableError`."""
    try:
        yield
    except redis.RedisError as error:
        if str(error).startswith(_NEWER):
            raise NewerVersionError(str(error).removeprefix(_NEWER).strip()) from error
        raise LedgerUnavailableError(str(error)) from error


class Scripts:
    """The scripts over one Redis client that decodes responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._sources = _sources()
        self._registered: dict[str, Script] = {}

    def run(self, name: str, names: list[str], *arguments: str | int) -> Any:  # noqa: ANN401 - a script's reply has no type
        """Run the script ``name`` with keys ``names``.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(self._sources[name])
        with translated():
            return script(keys=names, args=arguments)

    def run_and_replicate(self, name: str, names: list[str], *arguments: str | int) -> Any:  # noqa: ANN401 - as above
        """Run a script, and where Sentinels watch let a replica know what it did before going on.

        What no replica has taken in time may be forgotten in a failover, as after :meth:`run`.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        if not isinstance(self._client.connection_pool, SentinelConnectionPool):
            return self.run(name, names, *arguments)
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.register_script(self._sources[name])(keys=names, args=arguments)
            pipe.wait(1, _REPLICA_TIME)
            return pipe.execute()[0]


@cache
def _sources() -> dict[str, str]:
    """Return every script by its name."""
    table = ", ".join(
        f'["{state} {event}"] = "{after}"' for (state, event), after in TRANSITIONS.items()
    )
    bounds = ", ".join(map(str, DURATION_BOUNDS))
    prelude = _PRELUDE % (_NEWER, VERSION, VERSION, table, bounds)
    files = resources.files("pipeline").joinpath("scripts").iterdir()
    return {
        file.name.removesuffix(".lua"): prelude + file.read_text("utf-8")
        for file in files
        if file.name.endswith(".lua")
    }
