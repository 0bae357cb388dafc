"""Consecutive members of a ZIP in final form, packed and moved to their place all at once.

The worker that renders a chunk packs its members: local file headers, data, and records of the
central directory. The process that writes the bundle copies the bytes, and adds the block's place
in the bundle to every offset. The bytes are those that :class:`pipeline.archive.zip_stream` writes
member by member, because the constant fields are those of zipstream-ng.
"""

import struct
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from zipstream import ZipStreamInfo
from zipstream.ng import ZIP64_LIMIT

from pipeline.archive.members import ZipMember

DateTime = tuple[int, int, int, int, int, int]

#: Permissions of the members of a bundle.
MODE = 0o644
#: A local file header (APPNOTE.TXT 6.3.10, section 4.3.7) without name; 30 bytes.
_LOCAL = np.dtype(
    [
        *(("begin", "V6"), ("flags", "<u2"), ("method", "<u2"), ("time", "V4"), ("crc", "<u4")),
        *(("stored", "<u4"), ("size", "<u4"), ("name", "<u2"), ("extra", "<u2")),
    ]
)
#: A record of the central directory (section 4.3.12) without name; 46 bytes.
_CENTRAL = np.dtype(
    [
        *(("begin", "V8"), ("flags", "<u2"), ("method", "<u2"), ("time", "V4"), ("crc", "<u4")),
        *(("stored", "<u4"), ("size", "<u4"), ("name", "<u2"), ("middle", "V12")),
        ("offset", "<u4"),
    ]
)
CENTRAL_BYTES = _CENTRAL.itemsize
_OFFSET = _CENTRAL.fields["offset"][1] if _CENTRAL.fields else 0
#: Flag of a name in UTF-8 that is not ASCII (section 4.4.4).
_UTF8 = 0x800
#: The extra field of an offset that needs ZIP64 (section 4.5.3), and the version that reads it.
_ZIP64_OFFSET = struct.Struct("<HHQ")
_ZIP64_VERSION = 45


class MemberBlock(NamedTuple):
    """Consecutive members of a ZIP.

    Attributes:
        data: the local file header and the data of each member.
        directory: the members' records in the central directory.
        lengths: the length of each record in bytes, as unsigned 16-bit integers, little-endian.
        base: offset that the records have for the start of ``data``.
    """

    data: bytes | memoryview
    directory: bytes | memoryview
    lengths: bytes | memoryview
    base: int = 0

    @property
    def members(self) -> int:
        """Number of members."""
        return len(self.lengths) // 2


def pack_members(members: Sequence[ZipMember], stamp: DateTime, mode: int = MODE) -> MemberBlock:
    """Return ``members`` as a block.

    Args:
        members: the members.
        stamp: time of all members.
        mode: permissions of all members.

    Raises:
        zipfile.LargeZipFile: the members have 2 GiB or more.
    """
    local_template, central_template = _templates(stamp, mode)
    names = [member.name.encode() for member in members]
    local = np.frombuffer(local_template * len(members), _LOCAL).copy()
    central = np.frombuffer(central_template * len(members), _CENTRAL).copy()
    for records in (local, central):
        records["flags"] = [0 if member.name.isascii() else _UTF8 for member in members]
        records["method"] = [member.method for member in members]
        records["crc"] = [member.crc for member in members]
        records["size"] = [member.size for member in members]
        records["stored"] = [len(member.data) for member in members]
        records["name"] = [*map(len, names)]
    ends = np.cumsum(local["stored"].astype(np.int64) + local["name"] + _LOCAL.itemsize)
    if len(ends) and ends[-1] > ZIP64_LIMIT:
        raise zipfile.LargeZipFile("the files of a chunk have 2 GiB or more")
    central["offset"][1:] = ends[:-1]
    lengths = central["name"] + CENTRAL_BYTES
    data = [member.data for member in members]
    return MemberBlock(
        _interleaved(local.tobytes(), _LOCAL.itemsize, names, data),
        _interleaved(central.tobytes(), CENTRAL_BYTES, names, [b""] * len(names)),
        lengths.astype("<u2").tobytes(),
    )


def moved_directory(block: MemberBlock, start: int) -> bytes:
    """Return the directory of a block whose data is at ``start`` in the archive."""
    lengths = np.frombuffer(block.lengths, "<u2").astype(np.int64)
    records = np.frombuffer(block.directory, np.uint8).copy()
    places = (np.cumsum(lengths) - lengths + _OFFSET)[:, np.newaxis] + np.arange(4)
    offsets = records[places].view("<u4").astype(np.int64) + (start - block.base)
    if len(offsets) and offsets[-1, 0] > ZIP64_LIMIT:
        return _directory_with_zip64(block, offsets[:, 0].tolist(), lengths.tolist())
    records[places] = offsets.astype("<u4").view(np.uint8)
    return records.tobytes()


def _templates(stamp: DateTime, mode: int) -> tuple[bytes, bytes]:
    """Return zipstream-ng's records of a member without name and data."""
    info = ZipStreamInfo("", stamp)
    info.external_attr = mode << 16
    info.CRC = info.file_size = info.compress_size = info.header_offset = 0
    header: bytes = info.FileHeader(zip64=False)
    record: bytes = info._central_directory_header_data()  # noqa: SLF001 - see zip_stream
    return header, record


def _interleaved(records: bytes, size: int, names: Sequence[bytes], data: Sequence[bytes]) -> bytes:
    starts = range(0, len(records), size)
    parts = zip((records[at : at + size] for at in starts), names, data, strict=True)
    return b"".join([piece for part in parts for piece in part])


def _directory_with_zip64(block: MemberBlock, offsets: list[int], lengths: list[int]) -> bytes:
    """Return the directory of a block that is beyond what an offset of 31 bits reaches.

    As zipfile does, zipstream-ng writes larger offsets as ZIP64, for readers that take an offset
    for a signed number.
    """
    moved, at = [], 0
    for offset, length in zip(offsets, lengths, strict=True):
        record = bytearray(block.directory[at : at + length])
        at += length
        if offset <= ZIP64_LIMIT:
            struct.pack_into("<L", record, _OFFSET, offset)
        else:
            record[4] = max(record[4], _ZIP64_VERSION)  # version made by
            record[6] = max(record[6], _ZIP64_VERSION)  # version needed
            struct.pack_into("<H", record, 30, _ZIP64_OFFSET.size)
            struct.pack_into("<L", record, _OFFSET, 0xFFFFFFFF)
            record += _ZIP64_OFFSET.pack(1, 8, offset)
        moved.append(record)
    return b"".join(moved)
