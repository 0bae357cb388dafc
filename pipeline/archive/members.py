"""ZIP members in their final form: deflated or stored, with known checksum and size.

The worker that renders a chunk also turns its images into members. Staging and bundling then only
copy bytes: the single thread that writes a bundle neither compresses an image nor computes its
CRC-32.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import NamedTuple, Self

from isal import isal_zlib

#: The size of a local file header without name and extra field (APPNOTE.TXT 6.3.10, section 4.3.7).
HEADER_BYTES = 30
#: Suffixes of files that are already compressed.
_COMPRESSED = (".png", ".pdf")
#: ISA-L at level 1 deflates an SVG in half of zlib's time to about the same size. Its output is
#: deterministic on the machines that ``render.writers.png`` names. ISA-L may compute a wrong hash
#: for a position at the start of the file. The output for an SVG does not depend on that hash: the
#: four-byte sequences that begin at the first, second and third byte of an SVG never occur again in
#: the file, so the compressor finds no match for them.
_LEVEL = 1
#: Window size in bits; negative for raw deflate data without zlib's header and checksum.
_WINDOW_BITS = -15
#: zlib level of spooled files: takes half the time of the default level and gives a tenth more
#: bytes.
_SPOOL_LEVEL = 1
#: Bytes of a spooled file that are kept in memory; the rest goes to a temporary file.
_SPOOL_BYTES = 1024 * 1024


class ZipMember(NamedTuple):
    """A file in a ZIP.

    Attributes:
        name: name in the archive.
        data: the file's data as stored in the archive, deflated or not.
        method: ``zipfile.ZIP_DEFLATED`` or ``zipfile.ZIP_STORED``.
        crc: CRC-32 of the uncompressed file.
        size: size of the uncompressed file, in bytes.
    """

    name: str
    data: bytes
    method: int
    crc: int
    size: int


def make_member(name: str, file: bytes) -> ZipMember:
    """Return a file as a member: PNG and PDF are stored, because they are compressed already."""
    if name.endswith(_COMPRESSED):
        return store_member(name, file)
    deflated = isal_zlib.compress(file, _LEVEL, _WINDOW_BITS)
    return ZipMember(name, deflated, zipfile.ZIP_DEFLATED, zlib.crc32(file), len(file))


def store_member(name: str, file: bytes) -> ZipMember:
    """Return a file as a stored, uncompressed member."""
    return ZipMember(name, file, zipfile.ZIP_STORED, zlib.crc32(file), len(file))


def read_members(archive: bytes) -> Iterator[ZipMember]:
    """Yield the members of a ZIP that a ``MemberStream`` wrote, in order.

    Raises:
        zipfile.BadZipFile: ``archive`` is not a ZIP.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for found in opened.infolist():
            start = found.header_offset + HEADER_BYTES + len(found.filename.encode())
            data = archive[start : start + found.compress_size]
            yield ZipMember(found.filename, data, found.compress_type, found.CRC, found.file_size)


class SpooledFile:
    """A file of any size that is deflated while it is written; a context manager.

    When :meth:`close` returns, the size and the checksum are known, and the data can be read.

    Attributes:
        crc: CRC-32 of the uncompressed file.
        size: size of the uncompressed file, in bytes.
        compressed_size: size of the deflated data, in bytes.
    """

    def __init__(self) -> None:
        self._spool = SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - closed by __exit__
        self._deflater = zlib.compressobj(_SPOOL_LEVEL, zlib.DEFLATED, _WINDOW_BITS)
        self.crc = 0
        self.size = 0
        self.compressed_size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data`` to the file."""
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)
        self._keep(self._deflater.compress(data))

    def close(self) -> None:
        """Finish the file: complete the deflated data."""
        self._keep(self._deflater.flush())

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the deflated data in pieces of at most ``size`` bytes."""
        self._spool.seek(0)
        while piece := self._spool.read(size):
            yield piece

    def _keep(self, deflated: bytes) -> None:
        self._spool.write(deflated)
        self.compressed_size += len(deflated)
