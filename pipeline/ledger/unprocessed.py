"""Number of unprocessed chunks of each tenant, counted from the jobs in flight."""

import time
from collections import Counter
from collections.abc import Callable

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

#: Number of jobs that one script reads. Redis serves other clients between two scripts.
_BATCH = 100
#: Largest number of batches. If more jobs are in flight, evenly spaced batches stand for all.
_MOST_BATCHES = 20
#: Seconds for which a count is used again.
_FRESH = 1.0


class UnprocessedChunks:
    """Counts unprocessed chunks by tenant.

    A count is remembered for a second, together with the chunks that this process has admitted
    meanwhile.

    Args:
        client: Redis client that decodes responses.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = Scripts(client).run
        self._clock = clock
        self._counted_at = float("-inf")
        self._counts: Counter[str] = Counter()

    def by_tenant(self) -> Counter[str]:
        """Return the number of unprocessed chunks of each tenant that has any.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        if self._clock() - self._counted_at >= _FRESH:
            self._counts = self._count()
            self._counted_at = self._clock()
        return self._counts

    def add(self, tenant: str, chunks: int) -> None:
        """Note that ``chunks`` of a tenant have been admitted."""
        self._counts[tenant] += chunks

    def _count(self) -> Counter[str]:
        jobs, counts = self._read(0)
        ranks = range(_BATCH, jobs, _BATCH)
        step = -(-len(ranks) // (_MOST_BATCHES - 1)) or 1
        for rank in ranks[step - 1 :: step]:
            counts.update(self._read(rank)[1])
        read = min(jobs, _BATCH * (1 + len(ranks[step - 1 :: step])))
        return Counter({tenant: -(-count * jobs // read) for tenant, count in counts.items()})

    def _read(self, rank: int) -> tuple[int, Counter[str]]:
        prefix, suffix = keys.job("/").split("/")
        staged = keys.staged("/").split("/")[1]
        arguments = (prefix, suffix, staged, rank, _BATCH)
        jobs, *counts = self._run("count_unprocessed", [keys.ACTIVE_JOBS], *arguments)
        return int(jobs), Counter(dict(zip(counts[::2], map(int, counts[1::2]), strict=True)))
