import re
import zlib
from decimal import Decimal

import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.writers.pdf import write_pages, write_pdfs
from tests.unit.render.oracles import Vertex, matrices, pack, winding
from tests.unit.render.pdf_files import pdf_objects

WIDTH = Decimal("63.14173")
SIDES = st.integers(1, 12) | st.sampled_from([21, 37, 64, 94, 95, 128])
_CONTENT = re.compile(
    rb"%QR\n0 0 0 1 k\n(\d[\d.]*) 0 0 -(\d[\d.]*) 0 (\d[\d.]*) cm\n((?:.*[mlh]\n)*)f\n"
)
_OPERATOR = re.compile(rb"(\d+) (\d+) ([ml])\n|(h)\n")


def _rings(path: bytes) -> list[list[Vertex]]:
    """Return the vertices of the closed subpaths of a path, which has nothing else."""
    assert _OPERATOR.sub(b"", path) == b""
    rings: list[list[Vertex]] = []
    closed = True
    for x, y, operator, close in _OPERATOR.findall(path):
        assert closed == (operator == b"m")
        if operator == b"m":
            rings.append([])
        closed = bool(close)
        if not closed:
            rings[-1].append((int(x), int(y)))
    assert closed
    return rings


@given(drawn=matrices(SIDES))
def test_the_path_fills_the_matrix_and_nothing_else(drawn: NDArray[np.bool_]) -> None:
    side = drawn.shape[1]
    for matrix, page in zip(drawn, write_pages(pack(drawn), WIDTH), strict=True):
        content = _CONTENT.fullmatch(zlib.decompress(page))
        assert content
        assert content[1] == content[2]
        assert float(content[1]) == pytest.approx(63.14173 / (side + 8), abs=5e-6)
        assert content[3] == b"63.14173"
        rings = _rings(content[4])
        np.testing.assert_array_equal(winding(rings, side), np.pad(matrix, QUIET_ZONE))


@given(drawn=matrices(SIDES), width=st.decimals("8", "2700", places=5))
def test_the_cross_reference_table_finds_every_object(
    drawn: NDArray[np.bool_], width: Decimal
) -> None:
    pages = write_pages(pack(drawn), width)
    for page, pdf in zip(pages, write_pdfs(pack(drawn), width), strict=True):
        objects = pdf_objects(pdf)
        assert sorted(objects) == [1, 2, 3, 4]
        assert objects[1] == b"<</Type/Catalog/Pages 2 0 R>>"
        assert objects[2] == b"<</Type/Pages/Resources<<>>/Count 1/Kids[3 0 R]>>"
        size = f"{width.normalize():f}".encode()
        assert objects[3] == (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %b %b]/Contents 4 0 R>>" % (size, size)
        )
        head = b"<</Length %d/Filter/FlateDecode>>stream\n" % len(page)
        assert objects[4] == head + page + b"\nendstream"


def test_another_reader_finds_one_page_of_the_exact_size_without_metadata() -> None:
    [pdf] = write_pdfs(pack(np.ones((1, 37, 37), np.bool_)), WIDTH)
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1
        assert document.get_version() == 14
        assert document[0].get_size() == pytest.approx((63.14173, 63.14173), abs=1e-5)
        assert not any(document.get_metadata_dict().values())
        [path] = document[0].get_objects()
        assert path.type == pypdfium2.raw.FPDF_PAGEOBJ_PATH
    assert not re.search(rb"/(Info|ID|CreationDate|ModDate|Metadata|Producer)\b", pdf)


@given(drawn=matrices(sides=st.sampled_from([21, 25, 57, 177])))
def test_what_a_content_stream_begins_with_does_not_come_again(drawn: NDArray[np.bool_]) -> None:
    """Or its deflated bytes would not always be the same: see ``pipeline.archive.members``."""
    for page in write_pages(pack(drawn), WIDTH):
        content = zlib.decompress(page)
        assert not any(content[place : place + 4] in content[place + 1 :] for place in range(3))


def test_no_symbol_gives_no_file() -> None:
    nothing = np.zeros((0, 21, 1), np.uint64)
    assert write_pages(nothing, WIDTH) == write_pdfs(nothing, WIDTH) == []
