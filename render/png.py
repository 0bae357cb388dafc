"""PNG of a matrix of modules: 1 bit a pixel, an exact side, every module a whole number of pixels.

Source: Portable Network Graphics (PNG) Specification, third edition: section 5.3 (chunk layout),
11.2.2 (IHDR), 7.2 (scanlines, packed high bit first), 9.2 (filter types 0 None and 2 Up).
"""

import struct
import zlib

import numpy as np

from render.image import module_pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FILTER_NONE, _FILTER_UP = 0, 2


def write_png(matrix: list[bytes], size: int) -> bytes:
    """Return a PNG of ``size`` x ``size`` pixels with ``matrix`` in its middle, the rest white.

    Args:
        matrix: one ``bytes`` a row, one byte a module, 1 for dark and 0 for light; square.
        size: side in pixels; at least one pixel a module with the quiet zones.

    Raises:
        ValueError: ``size`` is too small for the matrix.
    """
    pixels = module_pixels(len(matrix), size)
    if pixels < 1:
        raise ValueError(f"{len(matrix)} modules and their quiet zones do not fit {size} pixels")
    scanlines = _scanlines(matrix, size, pixels)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(scanlines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _scanlines(matrix: list[bytes], size: int, pixels: int) -> np.ndarray:
    """Return filtered scanlines, shape (size, 1 + ceil(size / 8)), uint8, filter type first.

    A scanline like the one above is filtered with Up, which leaves zeros.
    """
    dark = np.frombuffer(b"".join(matrix), np.uint8).reshape(len(matrix), -1)
    margin = (size - pixels * len(matrix)) // 2
    light = np.ones((len(matrix), size), np.uint8)
    light[:, margin : margin + pixels * len(matrix)] -= np.repeat(dark, pixels, axis=1)
    rows = np.packbits(light, axis=1)
    white = np.packbits(np.ones(size, np.uint8))
    filtered = np.zeros((size, 1 + len(white)), np.uint8)
    filtered[:, 0] = _FILTER_UP
    starts = margin + pixels * np.arange(len(matrix))
    for start, row in [(0, white), *zip(starts, rows, strict=True), (starts[-1] + pixels, white)]:
        filtered[start, 0] = _FILTER_NONE
        filtered[start, 1:] = row
    return filtered


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
