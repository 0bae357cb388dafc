"""A job's bundle as a stream of bytes: the manifest first, then every image in order.

The same job gives the same bytes on every worker: each member carries the time at which the job was
accepted, in UTC, and nothing depends on the machine, the clock or the order in which chunks were
staged.
"""

import time
from collections.abc import Iterable, Iterator

from pipeline.archive.manifest import ManifestRow, write_manifests
from pipeline.archive.members import SpooledFile, ZipMember, make_member
from pipeline.archive.zip_stream import MemberStream


def stream_archive(
    accepted_at: int,
    rows: Iterable[list[ManifestRow]],
    chunks: Iterable[list[ZipMember]],
    warnings: bytes | None = None,
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: time of the job's acceptance, in seconds since the epoch.
        rows: the manifest rows of each chunk; consumed before any image.
        chunks: the images of each chunk, as ZIP members.
        warnings: the content of ``warnings.json``; None if the request has no warnings.
    """
    archive = MemberStream(time.gmtime(accepted_at))
    # A local file header has its member's size, so both manifests are complete before the first
    # byte is yielded.
    with SpooledFile() as as_csv, SpooledFile() as as_json:
        write_manifests(rows, as_csv, as_json)
        yield from archive.copy_spooled("manifest.csv", as_csv)
        yield from archive.copy_spooled("manifest.json", as_json)
    if warnings is not None:
        yield archive.copy(make_member("warnings.json", warnings))
    for members in chunks:
        yield b"".join(map(archive.copy, members))
    yield from archive.finalize()
