"""One PDF or page per chunk is drawn by pdfium from the bytes that are delivered."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib
from msgspec import UNSET

from pipeline.archive.manifest import ManifestRow, StagedPage
from pipeline.errors import UnverifiedError
from pipeline.model.jobs import Item
from pipeline.model.layout import Layout
from pipeline.verification.rasters import MODULE_PIXELS, RASTERISERS
from render.image import symbol_side
from render.writers.pdf import write_pages
from render.writers.pdf_document import Page, page_document, page_run
from tests.rendered import ITEMS, Rendered, matrix, render
from tests.unit.render.oracles import read

SINGLE = Layout(xdim_mm=0.495, pages="single")

xdims = st.floats(0.1, 5.0).map(lambda xdim: round(xdim, 4))


def fault_of(chunk: Rendered) -> str:
    with pytest.raises(UnverifiedError) as raised:
        chunk.verify()
    return str(raised.value)


@given(xdim_mm=xdims, length=st.integers(0, 20), pages=st.sampled_from(["each", "single"]))
def test_pdfs_of_every_size_are_verified(xdim_mm: float, length: int, pages: str) -> None:
    items = [Item("L" * length or None, f"S{number}") for number in range(3)]
    layout = Layout(xdim_mm=xdim_mm, pages=pages)  # type: ignore[arg-type] # one of the literals
    render("pdf", items, layout=layout).verify()


@given(xdim_mm=xdims, length=st.integers(0, 20))
def test_svgs_of_every_size_are_verified(xdim_mm: float, length: int) -> None:
    items = [Item("L" * length or None, f"S{number}") for number in range(3)]
    render("svg", items, layout=Layout(xdim_mm=xdim_mm, outlines=True)).verify()


@pytest.mark.parametrize("xdim_mm", [0.1, 0.495, 5.0])
def test_pages_of_the_largest_version_are_verified(xdim_mm: float) -> None:
    chunk = render("pdf", [Item("a" * 2850)], level="L", layout=Layout(xdim_mm=xdim_mm))
    assert chunk.images[0].version == 40
    chunk.verify()


def test_the_dark_of_a_page_is_far_from_the_limit_of_dark() -> None:
    """pdfium shows K as a dark grey."""
    chunk = render("pdf", ITEMS[:1])
    side = MODULE_PIXELS * (symbol_side(chunk.images[0].version) + 8)
    pixels = RASTERISERS["pdf"](chunk.images[0].data, side)
    assert pixels.shape == (side, side)
    assert {*np.unique(pixels).tolist()} <= {*range(48)} | {*range(240, 256)}


def test_a_page_is_drawn_from_the_bytes_of_the_run() -> None:
    chunk = render("pdf", chunk_index=3, layout=SINGLE)
    assert chunk.run is not None
    chunk.verify()
    start = 0
    for row in chunk.rows:
        assert row.staged_page is not UNSET
        assert row.page == row.index
        end = start + row.staged_page.bytes
        document = page_document(chunk.run[start:end], row.index - 1)
        with pypdfium2.PdfDocument(document) as opened:
            assert len(opened) == 1
            assert read(opened[0].render(scale=4, grayscale=True).to_numpy()) == [row.uri]
        start = end
    assert start == len(chunk.run)


def without_the_last_bytes(content: bytes) -> bytes:
    return isal_zlib.compress(isal_zlib.decompress(content)[:-200])


def in_another_colour(content: bytes) -> bytes:
    return isal_zlib.compress(isal_zlib.decompress(content).replace(b"0 0 0 1 k", b"0 1 0 0 k"))


def moved(content: bytes) -> bytes:
    return isal_zlib.compress(re.sub(rb"0 0 -", b"0 9 -", isal_zlib.decompress(content), count=1))


def of_nothing(_: bytes) -> bytes:
    return isal_zlib.compress(b"")


@pytest.mark.parametrize(
    "change", [without_the_last_bytes, in_another_colour, moved, of_nothing, lambda _: b"damaged"]
)
@pytest.mark.parametrize("pages", ["each", "single"])
def test_pages_that_draw_something_else_are_found_out(
    pages: str, change: Callable[[bytes], bytes]
) -> None:
    """A defect of the writer is in every page; one is drawn per chunk."""
    width = Decimal("57.52913")
    chunk = render("pdf", layout=SINGLE)
    contents = [Page(change(image.data), width) for image in chunk.images]
    run = page_run(contents, 0)
    if pages == "single":
        changed = [
            with_length(row, length) for row, length in zip(chunk.rows, run.lengths, strict=True)
        ]
        chunk = chunk._replace(run=run.data, rows=changed)
    else:
        chunk = render("pdf", layout=Layout(xdim_mm=0.495))
        documents = [page_document(page_run([page], 0).data, 0) for page in contents]
        images = [
            image._replace(data=document)
            for image, document in zip(chunk.images, documents, strict=True)
        ]
        chunk = chunk._replace(images=images)
    error = fault_of(chunk)
    assert "as drawn" in error
    assert "item 1 (" in error


def with_length(row: ManifestRow, length: int) -> ManifestRow:
    return msgspec.structs.replace(row, staged_page=StagedPage(length, 0))


def test_a_page_of_another_symbol_in_the_run_is_found_out() -> None:
    chunk = render("pdf", layout=SINGLE)
    rows = matrix(chunk.images[0])
    rows[3, 0] ^= np.uint64(1 << 3)
    (content,) = write_pages(rows[np.newaxis], Decimal("57.52913"))
    pages = [Page(image.data, Decimal("57.52913")) for image in chunk.images]
    run = page_run([Page(content, pages[0].width), *pages[1:]], 0)
    changed = [
        with_length(row, length) for row, length in zip(chunk.rows, run.lengths, strict=True)
    ]
    assert "as drawn" in fault_of(chunk._replace(run=run.data, rows=changed))


@pytest.mark.parametrize("file", [b"", b"%PDF-1.4\n", bytes(range(256)) * 9])
def test_what_is_no_pdf_cannot_be_drawn(file: bytes) -> None:
    chunk = render("pdf")
    images = [image._replace(data=file) for image in chunk.images]
    assert "cannot be drawn" in fault_of(chunk._replace(images=images))


def test_threads_may_draw_at_the_same_time() -> None:
    chunks = [render("pdf", ITEMS[:4]), render("pdf", ITEMS[:4], layout=SINGLE)] * 100
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(chunk.verify) for chunk in chunks]:
            done.result()
