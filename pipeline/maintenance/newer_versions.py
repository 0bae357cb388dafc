"""Jobs of a newer release: this release's sweep leaves them to the sweep of that one."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from pipeline.errors import NewerVersionError

log = structlog.get_logger(__name__)


class NewerVersions:
    """Leaves jobs alone whose records a newer release has written, and logs each once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    @contextmanager
    def left(self, task_id: str) -> Iterator[None]:
        """Leave the job in the block to its release when it raises ``NewerVersionError``."""
        try:
            yield
        except NewerVersionError as error:
            if task_id not in self._seen:
                self._seen.add(task_id)
                log.warning("left to a newer release", task_id=task_id, reason=str(error))
