"""A job's bundle as a stream of bytes: manifest first, then every image, in order.

The same job gives the same bytes whoever makes them: every member carries the time the job was
accepted, in UTC, and nothing else depends on the machine, the clock or the order of arrival.
"""

import time
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from zipfile import ZIP_DEFLATED

from pipeline.archive.manifest import ManifestRow, manifest_csv, manifest_json
from pipeline.archive.members import ZipMember
from pipeline.archive.zip_stream import MemberStream

#: The manifest's JSON waits for its turn behind the CSV, in memory up to this size, then on disk.
_SPOOL_BYTES = 2 * 1024 * 1024
#: zlib's level for the manifests: half the time of its default for a tenth more bytes.
_LEVEL = 1


def stream_archive(
    accepted_at: int, rows: Iterable[list[ManifestRow]], chunks: Iterable[list[ZipMember]]
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: the job's time, in seconds since the epoch.
        rows: the rows of one chunk after another; read once, before any image.
        chunks: the images of one chunk after another.
    """
    archive = MemberStream(time.gmtime(accepted_at))
    with SpooledTemporaryFile(_SPOOL_BYTES) as spool:
        yield from _manifest(archive, "manifest.csv", manifest_csv(rows, spool))
        yield from _manifest(archive, "manifest.json", manifest_json(spool))
        for members in chunks:
            yield b"".join(map(archive.copy, members))
        yield from archive.finalize()


def _manifest(archive: MemberStream, name: str, data: Iterable[bytes]) -> Iterator[bytes]:
    archive.add(data, name, compress_type=ZIP_DEFLATED, compress_level=_LEVEL)
    yield from archive.file()
