"""Jobs of a newer release, which the sweep leaves to the sweep of that release."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from pipeline.errors import NewerVersionError

log = structlog.get_logger(__name__)


class NewerVersions:
    """Skips jobs whose records a newer release has written, and logs each job once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    @contextmanager
    def left(self, task_id: str) -> Iterator[None]:
        """Skip a job if the block that processes it raises ``NewerVersionError``."""
        try:
            yield
        except NewerVersionError as error:
            if task_id not in self._seen:
                self._seen.add(task_id)
                log.warning("left to a newer release", task_id=task_id, reason=str(error))
