import random
import re
import tracemalloc
import zlib
from decimal import Decimal
from pathlib import Path

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from render.chunk import render_chunk, render_pages
from render.image import RenderOptions
from render.writers.pdf_document import Page, PageRun, assemble, document_tail, page_run
from render.writers.pdf_objects import HEADER, PAGE_BYTES, page_objects, trailer
from tests.unit.render import samples
from tests.unit.render.oracles import read
from tests.unit.render.pdf_files import pdf_objects
from tests.unit.render.renderers import ghostscript_pages, needs_ghostscript

OPTIONS = RenderOptions("pdf", 400, xdim_mm=0.495)

pages = st.builds(
    Page, st.binary(max_size=40), st.decimals("8", "14400", places=5, allow_nan=False)
)
runs_of_pages = st.lists(st.lists(pages, max_size=30), max_size=6)


def _runs(parts: list[list[Page]]) -> list[PageRun]:
    first, runs = 0, []
    for part in parts:
        runs.append(page_run(part, first))
        first += len(part)
    return runs


def _page_numbers(objects: dict[int, bytes], number: int = 2, parent: int = 0) -> list[int]:
    """Return the object numbers of the pages below a node, with every node checked."""
    node = objects[number]
    if b"/Type/Pages" not in node:
        assert b"/Parent %d 0 R" % parent in node
        return [number]
    kids = [int(kid) for kid in re.findall(rb"(\d+) 0 R", node.partition(b"/Kids[")[2])]
    assert len(kids) <= 8191  # ISO 32000-1, annex C
    below = [page for kid in kids for page in _page_numbers(objects, kid, number)]
    assert b"/Count %d/" % len(below) in node
    return below


def _check(document: bytes, expected: list[Page]) -> None:
    objects = pdf_objects(document)
    assert objects[1] == b"<</Type/Catalog/Pages 2 0 R>>"
    numbers = _page_numbers(objects)
    assert len(numbers) == len(expected)
    for number, page in zip(numbers, expected, strict=True):
        size = f"{page.width.normalize():f}".encode()
        assert (
            b"/MediaBox[0 0 %b %b]/Contents %d 0 R>>" % (size, size, number + 1) in objects[number]
        )
        head = b"<</Length %d/Filter/FlateDecode>>stream\n" % len(page.content)
        assert objects[number + 1] == head + page.content + b"\nendstream"


@given(parts=runs_of_pages)
def test_runs_of_any_lengths_become_a_document_of_their_pages_in_order(
    parts: list[list[Page]],
) -> None:
    _check(b"".join(assemble(_runs(parts))), [page for part in parts for page in part])


@given(parts=runs_of_pages)
def test_the_document_does_not_depend_on_how_it_is_divided(parts: list[list[Page]]) -> None:
    whole = [page for part in parts for page in part]
    assert b"".join(assemble(_runs(parts))) == b"".join(assemble(_runs([whole])))


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1001, 2345])
def test_the_page_tree_has_nodes_of_500_pages(count: int) -> None:
    parts = [[Page(b"%d" % n, Decimal(50 + n)) for n in range(count)]]
    document = b"".join(assemble(_runs(parts)))
    _check(document, parts[0])
    kids = pdf_objects(document)[2].partition(b"/Kids[")[2].count(b" 0 R")
    assert kids == -(-count // 500)


@given(parts=runs_of_pages)
def test_size_and_checksum_follow_from_those_of_the_runs(parts: list[list[Page]]) -> None:
    runs = _runs(parts)
    document = b"".join(assemble(runs))
    tail = b"".join(document_tail([length for run in runs for length in run.lengths]))
    assert len(HEADER) + sum(len(run.data) for run in runs) + len(tail) == len(document)
    checksum = zlib.crc32(HEADER)
    for piece in (*(run.data for run in runs), tail):
        checksum = isal_zlib.crc32_combine(checksum, zlib.crc32(piece), len(piece))
    assert checksum == zlib.crc32(document)


@pytest.mark.long
def test_a_document_of_100_000_pages_is_streamed_in_flat_memory() -> None:
    contents = [Page(bytes(1500), Decimal("57.52913"))] * 500
    tracemalloc.start()
    try:
        pieces = assemble(page_run(contents, first) for first in range(0, 100_000, 500))
        length = sum(map(len, pieces))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length > 100_000 * 1600
    # Two runs of 0.8 MB with their pages, 100,000 lengths, and the offsets of 200 nodes.
    assert peak < 8e6


def test_the_longest_page_object_has_the_length_that_the_table_assumes() -> None:
    # The most objects of a PDF (ISO 32000-1, annex C) and the widest page, with all decimals.
    for number, width in ((3, "8"), (8_388_606, "14399.99999")):
        objects = page_objects(number, number - 1, Decimal(width), b"")
        assert objects.index(b"%d 0 obj\n<</Length" % (number + 1)) == PAGE_BYTES


def test_a_document_that_is_longer_than_pdf_allows_is_refused() -> None:
    assert trailer(4, 10**10 - 1).endswith(b"startxref\n9999999999\n%%EOF\n")
    with pytest.raises(ValueError, match="a PDF of 10000000000 bytes is too long"):
        trailer(4, 10**10)


def test_pages_have_the_content_streams_of_single_files() -> None:
    rnd = random.Random("pages")
    uris = [samples.realistic_uri(rnd) for _ in range(20)]
    run, images = render_pages(uris, OPTIONS, 700)
    files = render_chunk(uris, OPTIONS)
    assert len(run.lengths) == len(images) == 20
    for image, file in zip(images, files, strict=True):
        assert pdf_objects(file.data)[4].partition(b"stream\n")[2] == image.data + b"\nendstream"
        assert image[1:] == file[1:]
        assert image.data in run.data


@needs_ghostscript
def test_other_readers_find_every_page(tmp_path: Path) -> None:
    rnd = random.Random("document")
    uris = [samples.realistic_uri(rnd) for _ in range(1203)]
    runs = [
        render_pages(uris[first : first + 300], OPTIONS, first)[0]
        for first in range(0, len(uris), 300)
    ]
    document = b"".join(assemble(runs))
    (tmp_path / "symbols.pdf").write_bytes(document)
    assert ghostscript_pages(tmp_path / "symbols.pdf") == len(uris)
    with pypdfium2.PdfDocument(document) as opened:
        assert len(opened) == len(uris)
        for number in (0, 1, 499, 500, 501, 999, 1000, 1202):
            page = opened[number].render(scale=300 / 72, grayscale=True)
            assert read(page.to_numpy()) == [uris[number]]
