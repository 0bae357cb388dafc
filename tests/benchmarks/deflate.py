"""Time and bytes of deflate libraries on the scanlines of PNGs: why the renderer uses ISA-L.

Level 0 of ISA-L takes half the time of the next, for files about as small as zlib's level 1. Its
other levels are out: their bytes depend on addresses in memory (1 and 2) and on the processor's
features (3). zlib-ng's level 2 makes smaller files in two to four times the time.
"""

import statistics
import time
import zlib
from collections.abc import Callable

from isal import isal_zlib
from zlib_ng import zlib_ng

from render.chunk import render_chunk
from render.image import RenderOptions
from tests.benchmarks.uris import uris

SIZES = (200, 400, 1000, 2000)
IMAGES = 40
ROUNDS = 5

_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "isal 0": lambda data: isal_zlib.compress(data, 0),
    "isal 1": lambda data: isal_zlib.compress(data, 1),
    "isal 3": lambda data: isal_zlib.compress(data, 3),
    "zlib-ng 1": lambda data: zlib_ng.compress(data, 1),
    "zlib-ng 2": lambda data: zlib_ng.compress(data, 2),
    "zlib-ng 3": lambda data: zlib_ng.compress(data, 3),
    "zlib-ng 6": lambda data: zlib_ng.compress(data, 6),
    "zlib 1": lambda data: zlib.compress(data, 1),
    "zlib 6": lambda data: zlib.compress(data, 6),
}


def main() -> None:
    """Print median µs and mean bytes an image."""
    print(f"{'µs / bytes an image':20}" + "".join(f"{size:>16} px" for size in SIZES))
    streams = {size: _scanlines(size) for size in SIZES}
    seconds: dict[tuple[str, int], list[float]] = {}
    sizes: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):
        for name, compress in _COMPRESSORS.items():
            for size in SIZES:
                taken, compressed = _measure(compress, streams[size])
                seconds.setdefault((name, size), []).extend(taken)
                sizes[name, size] = compressed / IMAGES
    for name in _COMPRESSORS:
        cells = (
            f"{1e6 * statistics.median(seconds[name, size]):.0f} / {sizes[name, size]:.0f}"
            for size in SIZES
        )
        print(f"{name:20}" + "".join(f"{cell:>19}" for cell in cells))


def _measure(compress: Callable[[bytes], bytes], streams: list[bytes]) -> tuple[list[float], int]:
    """Return the seconds that each image takes, and the bytes of all."""
    seconds, size = [], 0
    for stream in streams:
        start = time.perf_counter()
        size += len(compress(stream))
        seconds.append(time.perf_counter() - start)
    return seconds, size


def _scanlines(size: int) -> list[bytes]:
    """Return the filtered scanlines of images, taken out of the renderer's files."""
    images = render_chunk(uris(IMAGES), RenderOptions("png", size))
    return [zlib.decompress(_data(image.data)) for image in images]


def _data(png: bytes) -> bytes:
    """Return the IDAT chunk, which follows signature and IHDR."""
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start])
    return png[start + 4 : start + 4 + length]
