"""zipstream-ng's ``ZipStream``, extended for 100,000 members and for members made elsewhere.

This module uses private parts of the library, so ``pyproject.toml`` limits its releases: ``_pos``
is the number of bytes written, as counted by ``_track``; ``_gen_file_entry`` writes a member and
appends it to ``_filelist``; the end of the archive is written from that list's length and each
entry's ``_central_directory_header_data()``. Tests read the archives with other ZIP readers.
"""

import time
from collections.abc import Iterator
from typing import Any

from zipstream import ZipStream, ZipStreamInfo

from pipeline.archive.members import ZipMember

#: Bytes of the central directory that are yielded at once.
_RUN_BYTES = 1024 * 1024
#: The four bytes of a local file header that hold time and date (APPNOTE.TXT 6.3.10,
#: section 4.3.7).
_STAMP = slice(10, 14)
#: External attributes: a file with mode 0600, as the library writes for data.
_ATTRIBUTES = 0o600 << 16

DateTime = tuple[int, int, int, int, int, int]


class MemberStream(ZipStream):
    """A ``ZipStream`` whose members all carry the same time, and can be copied in final form.

    The library itself stamps each member with the time at which the member is added.
    """

    def __init__(self, stamp: time.struct_time | DateTime) -> None:
        super().__init__()
        year, month, day, hour, minute, second = stamp[:6]
        self._stamp: DateTime = (year, month, day, hour, minute, second)
        date = (year - 1980) << 9 | month << 5 | day
        clock = hour << 11 | minute << 5 | second // 2
        self._stamp_bytes = clock.to_bytes(2, "little") + date.to_bytes(2, "little")
        # The library keeps one object per member here, which takes 41 MiB more at 100,000 members.
        # Their entries in the central directory take 7 MiB.
        self._filelist = _CentralDirectory(self._stamp)

    def copy(self, member: ZipMember) -> bytes:
        """Append a member in final form, and return its local header and data.

        Size and checksum are known, so the member needs no data descriptor. It needs no ZIP64
        either, because an image is always smaller than 4 GiB.
        """
        info = ZipStreamInfo(member.name, self._stamp)
        info.compress_type = member.method
        info.CRC = member.crc
        info.file_size = member.size
        info.compress_size = len(member.data)
        info.external_attr = _ATTRIBUTES
        info.header_offset = self._pos
        entry: bytes = self._track(info.FileHeader(zip64=False) + member.data)
        self._filelist.append(info)
        return entry

    def _gen_file_entry(self, **entry: Any) -> Iterator[bytes]:  # noqa: ANN401 - passed on
        pieces = super()._gen_file_entry(**entry)
        header = next(pieces)
        yield header[: _STAMP.start] + self._stamp_bytes + header[_STAMP.stop :]
        yield from pieces


class _CentralDirectory:
    """A replacement for the library's list of members that keeps only their directory entries."""

    def __init__(self, stamp: DateTime) -> None:
        self._stamp = stamp
        self._entries = bytearray()
        self._count = 0

    def append(self, info: ZipStreamInfo) -> None:
        info.date_time = self._stamp
        self._entries += info._central_directory_header_data()  # noqa: SLF001 - see above
        self._count += 1

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
