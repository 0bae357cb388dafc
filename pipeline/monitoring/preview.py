"""Preview of a job's first symbols, rendered from the request in a format that browsers show."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import msgspec

from pipeline.archive.manifest import ManifestRow, manifest_row
from pipeline.model.records import RequestHead
from pipeline.rendering import render_symbols
from pipeline.storage.records import JobRecords
from render.image import Image, ImageFormat

_COUNT = 6
#: Formats that browsers show in an ``img`` element.
_SHOWN = frozenset({"png", "svg"})
#: Maximum number of jobs whose symbols a process caches. Cached symbols never become stale, because
#: a request never changes.
_CACHED = 64


class Sample(NamedTuple):
    """A symbol of the preview.

    Attributes:
        uri: URI that the symbol encodes.
        hri: human-readable interpretation of its data, as in the manifest.
        file: name of its file in the bundle.
        page: number of its page in that file; None unless all symbols are in one PDF.
        image: image in the job's format if browsers show that format, otherwise an SVG of the same
            modules and size.
        format: format of the image.
    """

    uri: str
    hri: str | None
    file: str
    page: int | None
    image: bytes
    format: ImageFormat


class Preview:
    """Previews of jobs, with a cache; thread-safe."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._remembered: OrderedDict[str, list[Sample]] = OrderedDict()
        self._lock = Lock()

    def first(self, task_id: str) -> list[Sample]:
        """Return a job's first symbols, six at most.

        Raises:
            ObjectMissingError: the request object does not exist.
            StoreUnavailableError: S3 is unreachable.
            UnreadableError: the request object is damaged.
        """
        with self._lock:
            found = self._remembered.get(task_id)
        if found is None:
            found = self._render(task_id)
            with self._lock:
                self._remembered[task_id] = found
                while len(self._remembered) > _CACHED:
                    self._remembered.popitem(last=False)
        return found

    def _render(self, task_id: str) -> list[Sample]:
        head, head_bytes, _ = self._records.read_request(task_id)
        offset, length = head.ranges[0]
        items = self._records.read_items(task_id, head_bytes + offset, length)
        shown = _as_shown(head)
        symbols = render_symbols(shown, items[:_COUNT])
        return [
            _sample(manifest_row(head, index, item, uri, image), image, shown.format)
            for index, (item, (uri, image)) in enumerate(zip(items, symbols, strict=False), 1)
        ]


def _sample(row: ManifestRow, image: Image, shown: ImageFormat) -> Sample:
    return Sample(row.uri, row.hri, row.file, row.page or None, image.data, shown)


def _as_shown(head: RequestHead) -> RequestHead:
    """Return a job whose images browsers show: SVG in place of PDF and EPS."""
    if head.format in _SHOWN:
        return head
    layout = msgspec.structs.replace(head.layout, outlines=True, pages="each")
    return msgspec.structs.replace(head, format="svg", layout=layout)
