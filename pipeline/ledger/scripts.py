"""The ledger's Lua scripts: loaded from ``pipeline/ledger/lua``, run as one atomic step each.

Every script begins with the same lines, constants and then ``prelude.lua``: the transition table of
``pipeline.model.states``, the Redis server's clock, so that a worker's wrong clock moves nothing,
what becomes of a job's callback when the job ends (``call_back``) and when it is opened again
(``recall``), the count of jobs that end (``count_end``), and the counts of the last hour
(``count``), which stand in a ring of a field a minute, so that they never grow. A script that
begins something with a job's entry asks first whether that is ``newer`` than what this release
reads, and answers ``NEWER`` then. Redis knows scripts by their content, so those of two releases
run side by side. A process reads all of them when its clients are opened and none later, so that it
runs none that came after its Python.
"""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis
from redis.sentinel import SentinelConnectionPool

from pipeline.ledger.connection import NEWER_MARK, translated
from pipeline.model.states import DURATION_BOUNDS, TRANSITIONS
from pipeline.model.versions import VERSION

#: Milliseconds that a replica has to take a write; in one network it takes less than one.
_REPLICA_TIME = 100

if TYPE_CHECKING:
    from redis.commands.core import Script


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
    """Return every script by its name, each with the constants and the prelude before it."""
    files = resources.files("pipeline.ledger").joinpath("lua").iterdir()
    sources = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".lua")
    }
    prelude = _constants() + sources.pop("prelude")
    return {name: prelude + source for name, source in sources.items()}


def _constants() -> str:
    """Return the constants of Python that the scripts share, in Lua."""
    table = ", ".join(
        f'["{state} {event}"] = "{after}"' for (state, event), after in TRANSITIONS.items()
    )
    return (
        f'local NEWER_MARK = "{NEWER_MARK}"\n'
        f"local VERSION = {VERSION}\n"
        f"local TRANSITIONS = {{{table}}}\n"
        f"local DURATION_BOUNDS = {{{', '.join(map(str, DURATION_BOUNDS))}}}\n"
    )
