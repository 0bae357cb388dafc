"""A job's bundle as a stream of bytes: the manifest first, then every image in order.

The same job gives the same bytes on every worker: each member carries the time at which the job was
accepted, in UTC, and nothing depends on the machine, the clock or the order in which chunks were
staged.
"""

import time
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from zipfile import ZIP_DEFLATED

from pipeline.archive.manifest import ManifestRow, manifest_csv, manifest_json
from pipeline.archive.members import ZipMember
from pipeline.archive.zip_stream import MemberStream

#: The rows of manifest.json are kept while manifest.csv is written: in memory up to this size in
#: bytes, then in a temporary file.
_SPOOL_BYTES = 2 * 1024 * 1024
#: zlib level of the manifests: half the time of the default level, for a tenth more bytes.
_LEVEL = 1


def stream_archive(
    accepted_at: int, rows: Iterable[list[ManifestRow]], chunks: Iterable[list[ZipMember]]
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: time of the job's acceptance, in seconds since the epoch.
        rows: the manifest rows of each chunk; consumed before any image.
        chunks: the images of each chunk, as ZIP members.
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
