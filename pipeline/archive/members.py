"""The members of a ZIP in the form they have in it: deflated or stored, their check sums known.

A chunk's images become members where they are rendered. Staging and bundling then copy bytes: the
one thread that writes a bundle compresses no image and computes no check sum.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from isal import isal_zlib

#: The size of a local file header without name and extra field (APPNOTE.TXT 6.3.10, section 4.3.7).
HEADER_BYTES = 30
#: Endings of names whose files are compressed already.
_COMPRESSED = frozenset({".png"})
#: ISA-L at level 1 deflates an SVG in half of zlib's time to about as many bytes. They are always
#: the same on the machines that ``render.writers.png`` names: no four bytes from the first, second
#: or third on come again in an SVG, so the hash that goes wrong there is never found.
_LEVEL = 1
#: Bits of the window; negative for deflated data alone, without zlib's header and check sum.
_WINDOW_BITS = -15


class ZipMember(NamedTuple):
    """A file in a ZIP.

    Attributes:
        name: within the archive.
        data: its bytes as they stand there.
        method: ``zipfile.ZIP_DEFLATED`` or ``zipfile.ZIP_STORED``.
        crc: CRC-32 of the file.
        size: of the file, in bytes.
    """

    name: str
    data: bytes
    method: int
    crc: int
    size: int


def make_member(name: str, file: bytes) -> ZipMember:
    """Return a file as a member: PNG is stored, as it is compressed already; SVG is deflated."""
    if PurePosixPath(name).suffix in _COMPRESSED:
        return store_member(name, file)
    deflated = isal_zlib.compress(file, _LEVEL, _WINDOW_BITS)
    return ZipMember(name, deflated, zipfile.ZIP_DEFLATED, zlib.crc32(file), len(file))


def store_member(name: str, file: bytes) -> ZipMember:
    """Return a file as a member that is not compressed."""
    return ZipMember(name, file, zipfile.ZIP_STORED, zlib.crc32(file), len(file))


def read_members(archive: bytes) -> Iterator[ZipMember]:
    """Yield the members of a ZIP that a ``MemberStream`` wrote, in their order.

    Raises:
        zipfile.BadZipFile: it is none.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for found in opened.infolist():
            start = found.header_offset + HEADER_BYTES + len(found.filename.encode())
            data = archive[start : start + found.compress_size]
            yield ZipMember(found.filename, data, found.compress_type, found.CRC, found.file_size)
