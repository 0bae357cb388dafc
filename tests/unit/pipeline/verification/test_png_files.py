"""A PNG that differs in any byte or pixel is found out; Pillow says what its pixels are."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as PillowImage

from pipeline.model.jobs import Item
from pipeline.verification.png_files import HEAD_BYTES, read_modules
from render.image import symbol_side
from tests.rendered import render
from tests.unit.render.oracles import png_pixels

SIDE, PIXELS = 29, 3
#: Not a multiple of eight, so that scanlines end with bits that are no pixels.
SIZE = 115
(IMAGE,) = render("png", [Item("L1", None, None)], SIZE).images
FILE = IMAGE.data


def fault(file: bytes) -> str | None:
    """What is wrong with a file, among sound ones."""
    if file[:HEAD_BYTES] != FILE[:HEAD_BYTES]:
        return read_modules([file], SIDE, PIXELS).faults.get(0)
    found = read_modules([FILE, file, FILE], SIDE, PIXELS)
    assert {0, 2}.isdisjoint(found.faults)
    return found.faults.get(1)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 8
    while start < len(file):
        (length,) = struct.unpack_from(">I", file, start)
        yield file[start + 4 : start + 8], file[start + 8 : start + 8 + length]
        start += 12 + length


def rebuilt(*others: tuple[bytes, bytes]) -> bytes:
    """The file with other chunks in place of the data, and with all checksums right."""
    (head, *_, end) = chunks(FILE)
    return FILE[:8] + b"".join(chunk(*each) for each in (head, *others, end))


def data_of(file: bytes) -> bytes:
    return b"".join(content for kind, content in chunks(file) if kind == b"IDAT")


def of_pillow(mode: str, **options: object) -> bytes:
    """The same pixels as Pillow writes them."""
    file = io.BytesIO()
    PillowImage.fromarray(png_pixels(FILE)).convert(mode).save(file, "png", **options)
    return file.getvalue()


def test_the_modules_are_those_that_another_reader_sees() -> None:
    assert (IMAGE.module_px, symbol_side(IMAGE.version)) == (PIXELS, SIDE)
    found = read_modules([FILE, FILE], SIDE, PIXELS)
    margin = (SIZE - SIDE * PIXELS) // 2
    centres = slice(margin + 1, margin + SIDE * PIXELS, PIXELS)
    expected = png_pixels(FILE)[centres, centres] == 255
    assert found.faults == {}
    assert np.array_equal(found.light, [expected, expected])


def test_every_changed_byte_is_found_out() -> None:
    for place in range(len(FILE)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(FILE)
            changed[place] ^= change
            assert fault(bytes(changed)), (place, change)


def test_every_truncation_is_found_out() -> None:
    assert [length for length in range(len(FILE)) if not fault(FILE[:length])] == []
    assert fault(FILE + b"\0")


def test_every_changed_pixel_is_found_out_behind_right_checksums() -> None:
    scanlines = zlib.decompress(data_of(FILE))
    seen = 0
    for place in range(len(scanlines)):
        for bit in range(8):
            changed = bytearray(scanlines)
            changed[place] ^= 1 << bit
            file = rebuilt((b"IDAT", zlib.compress(bytes(changed), 1)))
            found = read_modules([file], SIDE, PIXELS)
            if found.faults or not np.array_equal(
                found.light, read_modules([FILE], SIDE, PIXELS).light
            ):
                seen += 1
                continue
            # Only bits that are no pixels: after the last one of an unfiltered scanline.
            assert np.array_equal(png_pixels(file), png_pixels(FILE)), (place, bit)
    unused = 8 * -(-SIZE // 8) - SIZE
    assert seen == 8 * len(scanlines) - unused * (SIDE + 2)


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_modules_of_another_size_than_the_manifest_says_are_found_out(pixels: int) -> None:
    assert read_modules([FILE], SIDE, pixels).faults


@pytest.mark.parametrize("side", [25, 33])
def test_a_symbol_of_another_side_is_found_out(side: int) -> None:
    assert read_modules([FILE], side, PIXELS).faults


def test_a_quiet_zone_of_three_modules_is_too_narrow() -> None:
    file = io.BytesIO()
    cut = PIXELS * 3 + SIDE * PIXELS + PIXELS * 3
    margin = (SIZE - cut) // 2
    whole = PillowImage.fromarray(png_pixels(FILE)).convert("1")
    whole.crop((margin, margin, margin + cut, margin + cut)).save(file, "png")
    assert "no room" in (fault(file.getvalue()) or "")


def test_harmless_chunks_and_divided_data_are_accepted() -> None:
    data = data_of(FILE)
    resolution = (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    parts = [(b"IDAT", data[:100]), (b"IDAT", b""), (b"IDAT", data[100:])]
    assert fault(rebuilt(resolution, *parts)) is None


@pytest.mark.parametrize(
    "others",
    [
        [],
        [(b"tRNS", b"\0\0"), (b"IDAT", data_of(FILE))],
        [(b"PLTE", b"\0" * 6), (b"IDAT", data_of(FILE))],
        [(b"IDAT", data_of(FILE)), (b"tEXt", b"a\0b")],
        [(b"IDAT", zlib.compress(b""))],
        [(b"IDAT", zlib.compress(zlib.decompress(data_of(FILE)) + b"\0"))],
        [(b"IDAT", zlib.decompress(data_of(FILE)))],
    ],
    ids=["no data", "transparency", "palette", "text", "empty", "too long", "not deflated"],
)
def test_other_chunks_and_wrong_data_are_found_out(others: list[tuple[bytes, bytes]]) -> None:
    assert fault(rebuilt(*others))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_other_kinds_of_png_are_found_out(mode: str) -> None:
    assert "one bit" in (fault(of_pillow(mode)) or "")


def test_an_image_that_is_not_square_is_found_out() -> None:
    file = io.BytesIO()
    PillowImage.new("1", (SIZE, SIZE + 1), 1).save(file, "png")
    assert "not square" in (fault(file.getvalue()) or "")


def test_a_fault_is_reported_for_its_own_file_in_a_group_of_several_batches() -> None:
    (image,) = render("png", [Item("L1")], 2000).images
    side = symbol_side(image.version)
    files = [image.data] * 5
    files[3] = image.data[:-20] + b"\0" + image.data[-19:]
    found = read_modules(files, side, image.module_px or 0)
    assert found.faults == {3: "a checksum is wrong"}
    assert found.light.shape == (5, side, side)
    assert np.array_equal(found.light[4], found.light[0])
