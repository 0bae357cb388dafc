"""The ledger's Lua scripts, loaded from ``pipeline/ledger/lua``; each runs as one atomic step.

Every script is prefixed with constants and with ``prelude.lua``, which provide:

- the transition table of ``pipeline.model.states``;
- ``now``, the Redis server's clock, so that a wrong clock of a worker has no effect;
- ``call_back``, which schedules a job's callback when the job ends, and ``recall``, which removes
  the callback when the job is reopened;
- ``count_end``, which counts ended jobs;
- ``count``, which counts events of the last hour in a ring of one field per minute, so that the
  counts never grow;
- ``bundle_sha256``, the SHA-256 of a job's recorded bundle;
- ``purged``, which reports whether a job was purged, and has the sweep delete its objects again;
- ``newer``, which reports whether a job's entry has a version that this release cannot read. A
  script that begins work on an entry checks this first and returns the error ``NEWER``.

Redis identifies scripts by their content, so the scripts of two releases run side by side. A
process reads all scripts when its clients are opened and none later, so that it never runs a script
that is newer than its Python code.
"""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis
from redis.sentinel import SentinelConnectionPool

from pipeline.ledger.connection import NEWER_MARK, translated
from pipeline.model.states import DURATION_BOUNDS, TRANSITIONS
from pipeline.model.versions import VERSION

#: Milliseconds to wait until a replica has a write; within one network, less than 1 ms is needed.
_REPLICA_TIME = 100

if TYPE_CHECKING:
    from redis.commands.core import Script


class Scripts:
    """The scripts, run by one Redis client that decodes responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._sources = _sources()
        self._registered: dict[str, Script] = {}

    def run(self, name: str, names: list[str], *arguments: str | int) -> Any:  # noqa: ANN401 - a script's reply has no type
        """Run the script ``name`` with the keys ``names``.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(self._sources[name])
        with translated():
            return script(keys=names, args=arguments)

    def run_and_replicate(self, name: str, names: list[str], *arguments: str | int) -> Any:  # noqa: ANN401 - as above
        """Run a script and, with Redis Sentinel, wait until a replica has its writes.

        If no replica has the writes within :data:`_REPLICA_TIME`, a failover may lose them. The
        writes of :meth:`run` always have this risk.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        if not isinstance(self._client.connection_pool, SentinelConnectionPool):
            return self.run(name, names, *arguments)
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.register_script(self._sources[name])(keys=names, args=arguments)
            pipe.wait(1, _REPLICA_TIME)
            return pipe.execute()[0]


@cache
def _sources() -> dict[str, str]:
    """Return each script by its name, prefixed with the constants and the prelude."""
    files = resources.files("pipeline.ledger").joinpath("lua").iterdir()
    sources = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".lua")
    }
    prelude = _constants() + sources.pop("prelude")
    return {name: prelude + source for name, source in sources.items()}


def _constants() -> str:
    """Return Lua code that defines the Python constants shared by all scripts."""
    table = ", ".join(
        f'["{state} {event}"] = "{after}"' for (state, event), after in TRANSITIONS.items()
    )
    return (
        f'local NEWER_MARK = "{NEWER_MARK}"\n'
        f"local VERSION = {VERSION}\n"
        f"local TRANSITIONS = {{{table}}}\n"
        f"local DURATION_BOUNDS = {{{', '.join(map(str, DURATION_BOUNDS))}}}\n"
    )
