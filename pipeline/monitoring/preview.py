"""A job's first symbols, for people to look at: rendered from the request, as workers do."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from pipeline.rendering import render_symbols
from pipeline.storage.records import JobRecords

_COUNT = 6
#: Jobs whose symbols a process remembers: a request never changes.
_REMEMBERED = 64


class Sample(NamedTuple):
    """A symbol: what it encodes, and its image in the job's format."""

    uri: str
    image: bytes


class Preview:
    """Renders the first symbols of jobs."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._remembered: OrderedDict[str, list[Sample]] = OrderedDict()
        self._lock = Lock()

    def first(self, task_id: str) -> list[Sample]:
        """Return a job's first symbols, six at most.

        Raises:
            ObjectMissingError: the request object is gone.
            StoreUnavailableError: S3 is out of reach.
            UnreadableError: the request object is damaged.
        """
        with self._lock:
            found = self._remembered.get(task_id)
        if found is None:
            found = self._render(task_id)
            with self._lock:
                self._remembered[task_id] = found
                while len(self._remembered) > _REMEMBERED:
                    self._remembered.popitem(last=False)
        return found

    def _render(self, task_id: str) -> list[Sample]:
        head, head_bytes = self._records.read_head(task_id)
        offset, length = head.ranges[0]
        items = self._records.read_items(task_id, head_bytes + offset, length)
        symbols = render_symbols(head, items[:_COUNT])
        return [Sample(uri, image.data) for uri, image in symbols]
