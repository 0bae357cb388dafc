"""Reader of PNG files as modules, for all files of one size together.

A reader of our own, because a general one takes longer to read a PNG than the renderer takes to
write it. It shares no code with the writer, accepts only what a QR code needs, and checks every
byte: the signature and checksums, that each module is one square of equal pixels, and that all
other pixels are light.

Source: Portable Network Graphics (PNG) Specification, third edition: sections 5.3 (chunk layout),
7.2 (scanlines, packed high bit first), 9.2 (filter types 0 None and 2 Up), 11.2.1 (IHDR).
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

#: Length of signature and IHDR chunk in bytes.
HEAD_BYTES = 33
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: What an IHDR has after width and height: 1 bit per pixel, greyscale, no interlacing.
_ONE_BIT_GREY = bytes((1, 0, 0, 0, 0))
#: Chunks that change no pixel: the size of a pixel.
_HARMLESS = frozenset({b"pHYs"})
_FILTER_UP = 2
_QUIET_ZONE = 4  # modules
#: Number of bytes of scanlines that are checked together.
_BATCH_BYTES = 1 << 19

Bytes = NDArray[np.uint8]


class PngError(Exception):
    """Raised when a file is not the PNG of a QR code; the message is a clause about the file."""


class Modules(NamedTuple):
    """The modules of several PNG files.

    Attributes:
        light: uint8 (n, side, side), 1 for light; meaningless for the files in ``faults``.
        faults: what is wrong with a file, by its place among the files.
    """

    light: Bytes
    faults: dict[int, str]


class _Layout(NamedTuple):
    """Positions in images of one size with symbols of one side.

    Attributes:
        first: intp (side + 2,), the scanlines that are stored unfiltered: the image's first, the
            first of each row of modules, and the first below the symbol.
        copies: uint8 (size, 1 + bytes), the other scanlines, which equal the one above: filter Up
            and zeros. The scanlines ``first`` are all zero.
        inner: uint8 (bytes,), the bits of pixels that equal the pixel to their left.
        byte, shift: (side + 2,), position of a pixel of the left margin, of each module of a row,
            and of the right margin.
    """

    first: NDArray[np.intp]
    copies: Bytes
    inner: Bytes
    byte: NDArray[np.intp]
    shift: Bytes


def read_modules(files: Sequence[bytes], side: int, pixels: int) -> Modules:
    """Return the modules of PNG files, which have the same first :data:`HEAD_BYTES`.

    Args:
        files: the files.
        side: side of every symbol, in modules.
        pixels: side of every module, in pixels.
    """
    try:
        size = _image_side(files[0][:HEAD_BYTES])
        layout = _layout(size, side, pixels)
    except PngError as error:
        nothing = np.zeros((len(files), side, side), np.uint8)
        return Modules(nothing, dict.fromkeys(range(len(files)), str(error)))
    batch = max(1, _BATCH_BYTES // layout.copies.size)
    light, faults = [], {}
    for start in range(0, len(files), batch):
        found = _read_batch(files[start : start + batch], layout)
        light.append(found.light)
        faults.update({start + place: fault for place, fault in found.faults.items()})
    return Modules(np.concatenate(light), faults)


def _image_side(head: bytes) -> int:
    """Return the side of a square image, in pixels, from the signature and the IHDR."""
    if not head.startswith(_SIGNATURE):
        raise PngError("it has no PNG signature")
    header = dict(_chunks(head, len(_SIGNATURE))).get(b"IHDR", b"")
    if header[8:] != _ONE_BIT_GREY:
        raise PngError("it is not a greyscale image of one bit per pixel")
    width, height = struct.unpack_from(">II", header)
    if width != height:
        raise PngError(f"it has {width} x {height} pixels and is not square")
    return int(width)


@lru_cache(maxsize=256)
def _layout(size: int, side: int, pixels: int) -> _Layout:
    margin = (size - side * pixels) // 2
    if pixels < 1 or margin < _QUIET_ZONE * pixels:
        raise PngError(f"{size} pixels have no room for the symbol and its quiet zone")
    borders = margin + pixels * np.arange(side + 1)
    first = np.concatenate(([0], borders))
    stride = -(-size // 8)
    copies = np.zeros((size, 1 + stride), np.uint8)
    copies[:, 0] = _FILTER_UP
    copies[first, 0] = 0
    inner = np.zeros(8 * stride, np.bool_)  # the bits after the last pixel may have any value
    inner[1:size] = True
    inner[borders] = False
    return _Layout(first, copies, np.packbits(inner), first // 8, (7 - first % 8).astype(np.uint8))


def _read_batch(files: Sequence[bytes], layout: _Layout) -> Modules:
    scanlines, faults = _scanlines(files, layout.copies.shape)
    lines = scanlines[:, layout.first]
    scanlines[:, layout.first] = 0
    pixels = lines[:, :, 1:]
    changes = pixels >> 1
    changes[:, :, 1:] |= pixels[:, :, :-1] << 7
    changes ^= pixels
    changes &= layout.inner
    # One module more on each side, which belongs to the quiet zone.
    light: Bytes = pixels.take(layout.byte, axis=2) >> layout.shift & np.uint8(1)
    whole = (scanlines == layout.copies).all((1, 2)) & ~lines[:, :, 0].any(1)
    whole &= ~changes.any((1, 2))
    quiet = light[:, (0, -1)].all((1, 2)) & light[:, :, (0, -1)].all((1, 2))
    for place in np.flatnonzero(~quiet).tolist():
        faults.setdefault(place, "its quiet zone is not light")
    for place in np.flatnonzero(~whole).tolist():
        faults.setdefault(place, "its pixels are not whole modules")
    return Modules(light[:, 1:-1, 1:-1], faults)


def _scanlines(files: Sequence[bytes], shape: tuple[int, ...]) -> tuple[Bytes, dict[int, str]]:
    """Return the filtered scanlines of files, zero for a file with a fault, and the faults."""
    scanlines = np.zeros((len(files), *shape), np.uint8)
    faults = {}
    for place, file in enumerate(files):
        try:
            scanlines[place] = np.frombuffer(_image_data(file), np.uint8).reshape(shape)
        except PngError as error:
            faults[place] = str(error)
        except ValueError:  # of reshape
            faults[place] = "its image data have a wrong length"
    return scanlines, faults


def _image_data(file: bytes) -> bytes:
    """Return the inflated image data of a file whose head is known."""
    data, kind = [], b""
    for kind, content in _chunks(file, HEAD_BYTES):
        if kind == b"IDAT":
            data.append(content)
        elif kind not in _HARMLESS and kind != b"IEND":
            raise PngError("it has a chunk that a QR code does not need")
    if kind != b"IEND":
        raise PngError("it is truncated")
    try:
        inflated: bytes = isal_zlib.decompress(b"".join(data))
    except isal_zlib.error:  # type: ignore[misc] # a class, which the stub declares as a variable
        raise PngError("its image data are damaged") from None
    return inflated


def _chunks(file: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk up to the end of the file."""
    while start < len(file):
        end = start + 12 + int.from_bytes(file[start : start + 4])
        checksum = int.from_bytes(file[end - 4 : end])
        if end > len(file) or zlib.crc32(file[start + 4 : end - 4]) != checksum:
            raise PngError("a checksum is wrong")
        yield file[start + 4 : start + 8], file[start + 8 : end - 4]
        start = end
