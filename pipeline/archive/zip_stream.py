"""zipstream-ng's ``ZipStream``, fit for 100,000 members and for members made elsewhere.

It leans on what is not public in the library, so ``pyproject.toml`` keeps to the releases that have
it: ``_pos`` is how many bytes were written, as ``_track`` counts them; ``_gen_file_entry`` writes a
member and appends it to ``_filelist``; the end of the archive takes that list's length, and of each
entry ``_central_directory_header_data()``. The tests ask other readers of ZIP.
"""

import time
from collections.abc import Iterator
from typing import Any

from zipstream import ZipStream, ZipStreamInfo

from pipeline.archive.members import ZipMember

#: Bytes of the directory that are handed on at once.
_RUN_BYTES = 1024 * 1024
#: A local file header's time and date stand behind its first ten bytes (APPNOTE.TXT 6.3.10,
#: section 4.3.7), in four bytes.
_STAMP = slice(10, 14)
#: A regular file that its owner may read and write, as the library has it for data.
_ATTRIBUTES = 0o600 << 16

DateTime = tuple[int, int, int, int, int, int]


class MemberStream(ZipStream):
    """A ``ZipStream`` whose members all carry one given time, and may be copied as they are.

    The library's own stamp is the time at which a member is added.
    """

    def __init__(self, stamp: time.struct_time | DateTime) -> None:
        super().__init__()
        year, month, day, hour, minute, second = stamp[:6]
        self._stamp: DateTime = (year, month, day, hour, minute, second)
        date = (year - 1980) << 9 | month << 5 | day
        clock = hour << 11 | minute << 5 | second // 2
        self._stamp_bytes = clock.to_bytes(2, "little") + date.to_bytes(2, "little")
        # The library keeps an object per member here: 41 MiB more at 100,000 members. Their
        # entries in the directory, about 100 bytes each, take 7 MiB.
        self._filelist = _CentralDirectory(self._stamp)

    def copy(self, member: ZipMember) -> bytes:
        """Return a member as it stands in the archive; its place there is behind the last one.

        What is known before needs no data descriptor behind the data, and no ZIP64: an image never
        has 4 GiB.
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
    """Replaces the library's list of members: keeps the directory's bytes instead."""

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
    """A run of the directory's bytes, asked as the library asks one entry."""

    __slots__ = ()

    def _central_directory_header_data(self) -> bytes:
        return self
