import random
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from render.image import QUIET_ZONE
from render.writers.png import write_pngs
from tests.unit.render.oracles import Matrix, pack, png_pixels


def _expected(matrix: Matrix, size: int) -> NDArray[np.int64]:
    """Return the grey values that an image must have, pixel by pixel."""
    side = len(matrix)
    scale = size // (side + 2 * QUIET_ZONE)
    margin = (size - scale * side) // 2
    pixels = np.full((size, size), 255)
    symbol = pixels[margin : margin + scale * side, margin : margin + scale * side]
    symbol[:] = 255 * ~matrix.repeat(scale, 0).repeat(scale, 1)
    return pixels


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and data of each chunk, check sums proved."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place = 8
    chunks: list[tuple[bytes, bytes]] = []
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        data = png[place + 8 : place + 8 + length]
        [checksum] = struct.unpack_from(">I", png, place + 8 + length)
        assert checksum == zlib.crc32(kind + data)
        chunks.append((kind, data))
        place += 12 + length
    return chunks


@given(
    side=st.integers(1, 70) | st.sampled_from([101, 125, 177]),
    spare=st.integers(0, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_pixel_is_that_of_its_module(side: int, spare: int, seed: int) -> None:
    size = side + 2 * QUIET_ZONE + spare
    drawn = np.random.default_rng(seed).random((2, side, side)) < 0.5
    for matrix, png in zip(drawn, write_pngs(pack(drawn), size), strict=True):
        np.testing.assert_array_equal(png_pixels(png), _expected(matrix, size))


@pytest.mark.parametrize("size", [50, 57, 399, 400, 401, 2000])
@pytest.mark.parametrize("value", [0, 1])
def test_one_colour_at_sizes_that_leave_a_remainder(size: int, value: int) -> None:
    matrix = np.full((1, 37, 37), value, np.bool_)
    [png] = write_pngs(pack(matrix), size)
    np.testing.assert_array_equal(png_pixels(png), _expected(matrix[0], size))


def test_the_file_is_a_one_bit_grey_image_of_three_chunks(tmp_path: Path) -> None:
    [png] = write_pngs(pack(np.eye(21, dtype=np.bool_)[None]), 300)
    kinds = [kind for kind, _ in _chunks(png)]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    path = tmp_path / "symbol.png"
    path.write_bytes(png)
    with PillowImage.open(path) as image:
        assert (image.size, image.mode) == ((300, 300), "1")
        image.verify()


@pytest.mark.parametrize(
    ("dpi", "per_metre"),
    [(72, 2835), (96, 3780), (203, 7992), (300, 11811), (600, 23622), (1200, 47244), (2400, 94488)],
)
def test_a_resolution_is_written_before_the_data(dpi: int, per_metre: int) -> None:
    rows = pack(np.eye(21, dtype=np.bool_)[None])
    [plain], [png] = write_pngs(rows, 300), write_pngs(rows, 300, dpi)
    chunks = _chunks(png)
    assert [kind for kind, _ in chunks] == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert chunks.pop(1)[1] == struct.pack(">IIB", per_metre, per_metre, 1)
    assert chunks == _chunks(plain)


def test_the_data_are_as_many_scanlines_as_the_image_has_rows() -> None:
    [png] = write_pngs(pack(np.eye(37, dtype=np.bool_)[None]), 403)
    data = zlib.decompress(dict(_chunks(png))[b"IDAT"])
    assert len(data) == 403 * (1 + 51)
    # A row of modules is written once and then repeated with filter Up, which leaves zeros.
    filters = data[:: 1 + 51]
    assert filters.count(0) == 1 + 37 + 1
    assert filters.count(2) == 403 - (1 + 37 + 1)


def test_an_image_does_not_depend_on_those_written_before_it() -> None:
    drawn = np.random.default_rng(3).random((150, 37, 37)) < 0.5
    together = write_pngs(pack(drawn), 2000)
    assert together[77:80] == write_pngs(pack(drawn[77:80]), 2000)
    assert together[149:] == write_pngs(pack(drawn[149:]), 2000)


def test_a_size_below_one_pixel_a_module_is_refused() -> None:
    rows = pack(np.ones((1, 37, 37), np.bool_))
    assert len(write_pngs(rows, 45)) == 1
    with pytest.raises(ValueError, match="37 modules and their quiet zones do not fit 44 pixels"):
        write_pngs(rows, 44)


def test_no_symbol_gives_no_file() -> None:
    assert write_pngs(np.zeros((0, 21, 1), np.uint64), 400) == []


def test_every_thread_makes_the_same_file() -> None:
    """Wherever its stack lies: ISA-L's levels 1 and 2 fail this now and then."""
    drawn = pack(np.random.default_rng(7).random((1, 25, 25)) < 0.5)
    threads, files = 100, set(write_pngs(drawn, 120))
    before = threading.stack_size()
    try:
        for stack in random.Random(1).choices(range(1 << 20, 1 << 29, 1 << 16), k=20):
            threading.stack_size(stack)
            together = threading.Barrier(threads)  # so that no two have the same stack

            def draw(together: threading.Barrier = together) -> None:
                together.wait()
                files.update(write_pngs(drawn, 120))

            running = [threading.Thread(target=draw) for _ in range(threads)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
    finally:
        threading.stack_size(before)
    assert len(files) == 1
