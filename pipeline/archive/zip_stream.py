"""zipstream-ng's ``ZipStream``, extended for 100,000 members, which it copies in final form.

Every local file header has the member's final size and checksum, so that programs that read the
archive from front to back, such as Java's ``ZipInputStream``, can read it.

This module uses private parts of the library, so ``pyproject.toml`` limits the library's version.
``_pos`` is the number of bytes written, as counted by ``_track``. The library writes the end of the
archive from the length of ``_filelist`` and from each entry's ``_central_directory_header_data()``.
Tests read the archives with other ZIP readers.
"""

import time
from collections.abc import Iterable, Iterator
from zipfile import ZIP_DEFLATED, ZIP_STORED

from zipstream import ZipStream, ZipStreamInfo

from pipeline.archive.member_block import MODE, DateTime, MemberBlock, moved_directory
from pipeline.archive.members import SpooledFile, ZipMember

#: Bytes of the central directory that are yielded at once.
_RUN_BYTES = 1024 * 1024
#: Bytes of a spooled file that are yielded at once.
_COPY_BYTES = 1024 * 1024


class MemberStream(ZipStream):
    """A ``ZipStream`` that gives all members the same time, and copies members in final form.

    Args:
        stamp: time of all members.
        mode: permissions of all members.
    """

    def __init__(self, stamp: time.struct_time | DateTime, mode: int = MODE) -> None:
        super().__init__()
        year, month, day, hour, minute, second = stamp[:6]
        self._stamp: DateTime = (year, month, day, hour, minute, second)
        self._attributes = mode << 16
        # The library keeps one object per member here. For 100,000 members the objects take 41 MiB,
        # and the members' entries in the central directory take 7 MiB.
        self._filelist = _CentralDirectory()

    def copy(self, member: ZipMember) -> bytes:
        """Append a member, and return its local file header and data."""
        header = self._header(member.name, member.method, member.crc, member.size, len(member.data))
        entry: bytes = self._track(header + member.data)
        return entry

    def copy_block(self, block: MemberBlock) -> bytes | memoryview:
        """Append a block of members, and return its local file headers and data."""
        self._filelist.extend(moved_directory(block, self._pos), block.members)
        self._track(block.data)
        return block.data

    def skip(self, data: bytes) -> bytes:
        """Append ``data`` that belongs to no member, so that readers of the ZIP ignore it."""
        passed: bytes = self._track(data)
        return passed

    def copy_spooled(self, name: str, file: SpooledFile) -> Iterator[bytes]:
        """Append a deflated file as a member, and yield its local file header and data."""
        yield self._track(
            self._header(name, ZIP_DEFLATED, file.crc, file.size, file.compressed_size)
        )
        for piece in file.pieces(_COPY_BYTES):
            yield self._track(piece)

    def copy_stored(
        self, name: str, crc: int, size: int, pieces: Iterable[bytes]
    ) -> Iterator[bytes]:
        """Append a file of known checksum and size as a stored member, and yield it piece by piece.

        Args:
            name: name in the archive.
            crc: CRC-32 of the file.
            size: size of the file, in bytes.
            pieces: the file; consumed while the member is yielded.
        """
        yield self._track(self._header(name, ZIP_STORED, crc, size, size))
        for piece in pieces:
            yield self._track(piece)

    def _header(self, name: str, method: int, crc: int, size: int, compressed_size: int) -> bytes:
        """Enter a member in the central directory, and return its local file header.

        The member needs no data descriptor, because its size and checksum are known. It needs no
        ZIP64 either, because images and manifests are smaller than 4 GiB. So is ``symbols.pdf``: at
        the limit of 100,000 items, 4 GiB are 43 kB per page, and a page has 2 kB. A larger file
        raises ``zipfile.LargeZipFile``.
        """
        info = ZipStreamInfo(name, self._stamp)
        info.compress_type = method
        info.CRC = crc
        info.file_size = size
        info.compress_size = compressed_size
        info.external_attr = self._attributes
        info.header_offset = self._pos
        header: bytes = info.FileHeader(zip64=False)
        self._filelist.append(info)
        return header


class _CentralDirectory:
    """A replacement for the library's list of members; keeps only the directory entries."""

    def __init__(self) -> None:
        self._entries = bytearray()
        self._count = 0

    def append(self, info: ZipStreamInfo) -> None:
        self._entries += info._central_directory_header_data()  # noqa: SLF001 - see above
        self._count += 1

    def extend(self, records: bytes, count: int) -> None:
        self._entries += records
        self._count += count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator["_Entries"]:
        for start in range(0, len(self._entries), _RUN_BYTES):
            yield _Entries(self._entries[start : start + _RUN_BYTES])


class _Entries(bytes):
    """A run of directory entries, with the interface that the library expects of one entry."""

    __slots__ = ()

    def _central_directory_header_data(self) -> bytes:
        return self
