"""PNG files of packed modules: 1 bit per pixel, every module a whole number of pixels wide.

Source: Portable Network Graphics (PNG) Specification, third edition: section 5.3 (chunk layout),
11.2.2 (IHDR), 11.3.4.3 (pHYs), 7.2 (scanlines, packed high bit first), 9.2 (filter types 0 None and
2 Up).

The data are deflated by ISA-L at level 0, which is the fastest level (``python -m tests.benchmarks
deflate``). One release of ISA-L writes the same bytes at level 0 on every x86-64 processor with
SSE4.2, which means since 2008. Other levels give smaller files, but not always the same bytes:
levels 1 and 2 compute the hash of the third byte from the address of their state, so that about one
thread in a thousand writes a different file of the same pixels; level 3 depends on the processor.
"""

import struct
import zlib
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from render.image import module_pixels
from render.lines import Words

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FILTER_NONE, _FILTER_UP = 0, 2
_WHITE = 255
#: An inch has exactly 0.0254 metres (11.3.4.3).
_METRES_PER_INCH = Fraction(254, 10_000)
_UNIT_METRE = 1
_DEFLATE_LEVEL = 0
#: Number of bytes of scanlines that are computed together.
_BATCH_BYTES = 1 << 19


class _Geometry(NamedTuple):
    """Positions of modules in images of one size, for symbols of one side length.

    Attributes:
        pixels: side of a module in pixels.
        margin: number of pixels above the symbol, and to the left of it.
        columns: intp (m, bytes per scanline), the up to m module columns that have pixels in each
            byte of a scanline.
        parts: uint8 (m, bytes per scanline), the bits of the byte that belong to each of these
            columns; 0 where a byte has fewer than m columns.
    """

    pixels: int
    margin: int
    columns: NDArray[np.intp]
    parts: NDArray[np.uint8]


def write_pngs(rows: Words, size: int, dpi: int | None = None) -> list[bytes]:
    """Return a PNG of ``size`` x ``size`` pixels for each symbol, centred on white.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark.
        size: side in pixels; at least one pixel per module, including the quiet zones.
        dpi: pixels per inch; None writes no resolution.

    Raises:
        ValueError: If ``size`` is too small for the matrices.
    """
    side = rows.shape[1]
    geometry = _geometry(side, size)
    # Images differ only in the first scanline of each row of modules.
    image = _blank(side, size, geometry)
    start = geometry.margin
    of_rows = image[start : start + side * geometry.pixels : geometry.pixels, 1:]
    head = _head(size, dpi)
    batch = max(1, _BATCH_BYTES // of_rows.size)
    pngs = []
    for first in range(0, len(rows), batch):
        for scanlines in _scanlines(rows[first : first + batch], geometry):
            of_rows[:] = scanlines
            data = isal_zlib.compress(image, _DEFLATE_LEVEL)
            pngs.append(b"".join((head, *_chunk(b"IDAT", data), _end())))
    return pngs


@lru_cache(maxsize=256)
def _geometry(side: int, size: int) -> _Geometry:
    pixels = module_pixels(side, size)
    if pixels < 1:
        raise ValueError(f"{side} modules and their quiet zones do not fit {size} pixels")
    margin = (size - pixels * side) // 2
    pixel = np.arange(-(-size // 8) * 8)
    module = (pixel - margin) // pixels
    byte = pixel // 8
    # Modules with pixels in the same byte are numbered from left to right.
    place = module - module[byte * 8]
    columns = np.zeros((place.max() + 1, len(pixel) // 8), np.intp)
    parts = np.zeros(columns.shape, np.uint8)
    drawn = np.flatnonzero((module >= 0) & (module < side))
    columns[place[drawn], byte[drawn]] = module[drawn]
    bits = (0x80 >> pixel % 8).astype(np.uint8)
    np.bitwise_or.at(parts, (place[drawn], byte[drawn]), bits[drawn])
    return _Geometry(pixels, margin, columns, parts)


def _blank(side: int, size: int, geometry: _Geometry) -> NDArray[np.uint8]:
    """Return filtered scanlines without modules: uint8 (size, 1 + bytes), filter type first.

    A scanline that equals the one above has the filter Up, which makes all its bytes zero. The
    image's first scanline, the first one of each row of modules, and the first one below the symbol
    are not filtered.
    """
    image = np.zeros((size, 1 + geometry.parts.shape[1]), np.uint8)
    image[:, 0] = _FILTER_UP
    below = geometry.margin + side * geometry.pixels
    image[geometry.margin : below : geometry.pixels, 0] = _FILTER_NONE
    image[[0, below], 0] = _FILTER_NONE
    image[[0, below], 1:] = _WHITE
    return image


def _scanlines(rows: Words, geometry: _Geometry) -> NDArray[np.uint8]:
    """Return one scanline per row of modules: uint8 (n, side, bytes), 1 for white."""
    modules = np.unpackbits(rows.view(np.uint8), axis=2, bitorder="little")
    np.negative(modules, out=modules)  # a byte of ones where the module is dark
    scanlines = np.zeros((*rows.shape[:2], geometry.parts.shape[1]), np.uint8)
    for columns, parts in zip(geometry.columns, geometry.parts, strict=True):
        dark = modules.take(columns, axis=2, mode="clip")
        dark &= parts
        scanlines |= dark
    return np.invert(scanlines, out=scanlines)


@lru_cache(maxsize=256)
def _head(size: int, dpi: int | None) -> bytes:
    """Return what precedes the pixels: the header and, if known, pixels per metre (pHYs)."""
    header = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
    head = b"".join((_SIGNATURE, *_chunk(b"IHDR", header)))
    if dpi is None:
        return head
    per_metre = round(Fraction(dpi) / _METRES_PER_INCH)
    resolution = struct.pack(">IIB", per_metre, per_metre, _UNIT_METRE)
    return head + b"".join(_chunk(b"pHYs", resolution))


@cache
def _end() -> bytes:
    return b"".join(_chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return length, type, data and checksum of a chunk (5.3)."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)
