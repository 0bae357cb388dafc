"""Every symbol as rendered is verified, and every fault that is made fails and names its item."""

import random
import re
import tracemalloc
from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import UnverifiedError
from pipeline.model.jobs import Item
from render.image import (
    MAX_SIZE,
    ErrorCorrection,
    Image,
    ImageFormat,
    symbol_side,
)
from render.qr.versions import LEVELS
from render.writers.eps import write_epss
from render.writers.pdf import write_pdfs
from render.writers.png import write_pngs
from render.writers.svg_strokes import write_stroked_svgs
from tests.rendered import ITEMS, Rendered, matrix, render
from tests.unit.render.samples import CSET82, least_side

FORMATS: tuple[ImageFormat, ...] = ("svg", "png", "pdf", "eps")

values = st.none() | st.text(CSET82, min_size=1, max_size=20)
items = st.builds(Item, lot=values, serial=values, expiry=st.none() | st.just("271231"))
every_format = pytest.mark.parametrize("image_format", FORMATS)


def with_modules(chunk: Rendered, place: int, rows: NDArray[np.uint64]) -> Rendered:
    """The chunk with other modules in one symbol, and in its file."""
    symbols, size = rows[np.newaxis], chunk.job.size
    if chunk.job.format == "svg":
        (data,) = write_stroked_svgs(symbols)
    elif chunk.job.format == "png":
        (data,) = write_pngs(symbols, size)
    else:
        write = write_pdfs if chunk.job.format == "pdf" else write_epss
        (data,) = write(symbols, Decimal(size))
    return with_image(chunk, place, chunk.images[place]._replace(data=data, rows=rows.tobytes()))


def with_image(chunk: Rendered, place: int, image: Image) -> Rendered:
    images = [*chunk.images]
    images[place] = image
    return chunk._replace(images=images)


def flipped(image: Image, modules: Iterable[tuple[int, int]]) -> NDArray[np.uint64]:
    rows = matrix(image)
    for x, y in modules:
        rows[y, x // 64] ^= np.uint64(1 << x % 64)
    return rows


def fault_of(chunk: Rendered) -> str:
    with pytest.raises(UnverifiedError) as raised:
        chunk.verify()
    return str(raised.value)


@given(
    items=st.lists(items, min_size=1, max_size=8),
    level=st.sampled_from(LEVELS),
    image_format=st.sampled_from(FORMATS),
    data=st.data(),
)
def test_what_is_rendered_is_verified(
    items: list[Item], level: ErrorCorrection, image_format: ImageFormat, data: st.DataObject
) -> None:
    uris = [row.uri for row in render("svg", items, level=level).rows]
    least = least_side(uris, level)
    size = data.draw(st.integers(least, 300) | st.just(least) | st.just(MAX_SIZE))
    render(image_format, items, size, level).verify()


@every_format
def test_symbols_of_several_versions_in_one_chunk_are_verified(image_format: ImageFormat) -> None:
    long = [Item("L" * length, "S" * length) for length in range(1, 21)]
    chunk = render(image_format, long)
    assert len({image.version for image in chunk.images}) > 2
    chunk.verify()


def test_a_symbol_of_the_largest_version_is_verified() -> None:
    chunk = render("svg", [Item("a" * 2850)], level="L")
    assert chunk.images[0].version == 40
    chunk.verify()


@pytest.mark.parametrize("image_format", FORMATS)
def test_large_symbols_are_verified_in_little_memory_for_chunks_of_any_length(
    image_format: ImageFormat,
) -> None:
    chunk = render(image_format, [Item("a" * 2850, f"{n:03}") for n in range(60)], level="L")
    many = chunk._replace(rows=chunk.rows * 5, images=chunk.images * 5)
    chunk.verify()  # builds tables
    tracemalloc.start()
    many.verify()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


@every_format
@pytest.mark.parametrize("place", [0, 11, 23])
def test_one_wrong_module_in_a_codeword_is_found_out(image_format: ImageFormat, place: int) -> None:
    """A decoder corrects it, and a label would have less to lose."""
    chunk = render(image_format)
    image = chunk.images[place]
    side = symbol_side(image.version)
    damaged = with_modules(chunk, place, flipped(image, [(side - 1, side - 1)]))
    assert "by correcting errors" in (error := fault_of(damaged))
    assert chunk.rows[place].file in error


@every_format
def test_more_wrong_modules_than_the_level_corrects_are_found_out(
    image_format: ImageFormat,
) -> None:
    chunk = render(image_format)
    side = symbol_side(chunk.images[5].version)
    many = [(x, y) for x in range(9, side) for y in range(9, side)]
    rows = flipped(chunk.images[5], random.Random(1).sample(many, len(many) // 3))
    assert re.match(
        r"item 6 \(00006_LOT-5_SER000005\.\w+\) failed verification: the symbol cannot be read$",
        fault_of(with_modules(chunk, 5, rows)),
    )


def test_any_module_that_differs_in_a_png_is_found_out() -> None:
    """Those of the function patterns too, which the decoder does not need."""
    chunk = render("png", ITEMS[:1])
    (image,) = chunk.images
    side = symbol_side(image.version)
    for module in ((x, y) for x in range(0, side, 2) for y in range(side)):
        (data,) = write_pngs(flipped(image, [module])[np.newaxis], chunk.job.size)
        error = fault_of(with_image(chunk, 0, image._replace(data=data)))
        assert "modules that differ from the encoded symbol: 1" in error, module


@every_format
def test_an_image_of_another_item_is_found_out(image_format: ImageFormat) -> None:
    chunk = render(image_format)
    images = [*chunk.images]
    images[3], images[4] = images[4], images[3]
    error = fault_of(chunk._replace(images=images))
    assert "item 4 (00004_LOT-3_SER000003." in error
    assert "does not encode the URI of the item" in error
    assert "(2 items of the chunk failed verification)" in error
    assert "SER000004" not in error  # nothing of the other item


@every_format
@pytest.mark.parametrize("with_the_image", [False, True])
def test_a_uri_of_another_item_is_found_out(
    image_format: ImageFormat, *, with_the_image: bool
) -> None:
    chunk = render(image_format)
    rows, images = [*chunk.rows], [*chunk.images]
    rows[7] = msgspec.structs.replace(rows[7], uri=rows[8].uri)
    if with_the_image:
        images[7] = images[8]
    error = fault_of(chunk._replace(rows=rows, images=images))
    assert "item 8 (00008_LOT-0_SER000007." in error
    assert "the URI is not that of the item" in error


@every_format
@pytest.mark.parametrize("change", [{"version": 5}, {"error_correction": "H"}])
def test_a_manifest_row_that_describes_another_symbol_is_found_out(
    image_format: ImageFormat, change: dict[str, object]
) -> None:
    chunk = render(image_format)
    rows = [*chunk.rows]
    rows[2] = msgspec.structs.replace(rows[2], **change)
    assert "item 3 (" in (error := fault_of(chunk._replace(rows=rows)))
    assert "version or error correction level" in error


@pytest.mark.parametrize("size", ["20.295mm", "13mm", "13.653mm", "4.1mm", "205mm", "400"])
def test_the_size_of_an_svg_does_not_matter(size: str) -> None:
    chunk = render("svg")
    sized = [
        image._replace(data=image.data.replace(b'="41"', f'="{size}"'.encode()))
        for image in chunk.images
    ]
    assert sized[0].data.count(size.encode()) == 2
    chunk._replace(images=sized).verify()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda svg: svg.replace(b"h7", b"h6", 1), "as drawn"),
        (lambda svg: svg.replace(b'stroke="#000"', b'stroke="#777"'), "as drawn"),
        (lambda svg: svg.replace(b'fill="#fff"', b'fill="none"'), "as drawn"),
        (lambda svg: svg.replace(b'width="', b'width="1'), "not square"),
        (lambda svg: svg.replace(b'width="41"', b'width="0mm"'), "cannot be drawn"),
        (lambda svg: svg[:-10], "cannot be drawn"),
        (lambda _: b"", "cannot be drawn"),
        (lambda _: b"\xff\xfe", "cannot be drawn"),
    ],
)
def test_an_svg_that_draws_something_else_is_found_out(
    change: Callable[[bytes], bytes], fault: str
) -> None:
    """A defect of the writer is in every file; one is drawn per chunk."""
    chunk = render("svg")
    changed = [image._replace(data=change(image.data)) for image in chunk.images]
    assert all(old.data != new.data for old, new in zip(chunk.images, changed, strict=True))
    assert fault in fault_of(chunk._replace(images=changed))


def test_items_are_counted_from_one_in_the_job() -> None:
    chunk = render("png", chunk_index=2)
    damaged = with_image(chunk, 5, chunk.images[5]._replace(data=chunk.images[5].data[:-1]))
    assert fault_of(damaged).startswith("item 54 (00054_LOT-5_SER000005.png) failed verification")


def test_every_png_with_a_fault_is_counted() -> None:
    chunk = render("png")
    broken = [image._replace(data=image.data[:-1]) for image in chunk.images]
    with pytest.raises(UnverifiedError) as raised:
        chunk._replace(images=broken).verify()
    assert raised.value.count == len(broken)
