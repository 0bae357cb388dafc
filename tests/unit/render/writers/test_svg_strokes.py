import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.writers.svg_strokes import write_stroked_svgs
from tests.unit.render.oracles import Matrix, matrices, pack, svg_pixels

_SVG = "{http://www.w3.org/2000/svg}"
_PATH = re.compile(r"(?:M\d+ \d+h\d+(?:m\d+ 0h\d+)*)*")
_COMMAND = re.compile(r"M(\d+) (\d+)|m(\d+) 0|h(\d+)")


def _draw(path: str | None, side: int) -> Matrix:
    """Return the matrix that a path of horizontal strokes draws."""
    assert path is not None
    assert _PATH.fullmatch(path)
    matrix = np.zeros((side, side), np.bool_)
    x = y = 0
    for start_x, start_y, gap, length in _COMMAND.findall(path):
        if length:
            assert not matrix[y, x : x + int(length)].any()
            matrix[y, x : x + int(length)] = True
            x += int(length)
        elif gap:
            x += int(gap)
        else:
            x, y = int(start_x), int(start_y)
    return matrix


@given(drawn=matrices(st.integers(1, 12) | st.sampled_from([37, 57, 63, 64, 65, 99, 100, 128])))
def test_the_path_draws_the_matrix_and_nothing_else(drawn: NDArray[np.bool_]) -> None:
    side = drawn.shape[1]
    whole = side + 2 * QUIET_ZONE
    documents = write_stroked_svgs(pack(drawn))
    assert len(documents) == len(drawn)
    for matrix, document in zip(drawn, documents, strict=True):
        root = ET.fromstring(document)  # noqa: S314 - written by the code under test
        assert root.tag == _SVG + "svg"
        assert (root.get("width"), root.get("height")) == (str(whole), str(whole))
        assert root.get("viewBox") == f"-4 -4.5 {whole} {whole}"
        assert root.get("shape-rendering") == "crispEdges"
        background, modules = root
        assert (background.tag, background.get("fill")) == (_SVG + "path", "#fff")
        assert background.get("d") == f"M-4-4.5h{whole}v{whole}h-{whole}z"
        assert (modules.tag, modules.get("stroke")) == (_SVG + "path", "#000")
        np.testing.assert_array_equal(_draw(modules.get("d"), side), matrix)


@pytest.mark.parametrize("zoom", [1, 2, 7])
@pytest.mark.parametrize("side", [21, 57, 61, 101])
def test_a_rasteriser_paints_every_module_exactly(side: int, zoom: int) -> None:
    dark = np.random.default_rng(side).random((1, side, side)) < 0.5
    [document] = write_stroked_svgs(pack(dark))
    pixels = svg_pixels(document, zoom)
    expected = np.pad(~dark[0], QUIET_ZONE, constant_values=True).repeat(zoom, 0).repeat(zoom, 1)
    np.testing.assert_array_equal(pixels, expected * 255)


@pytest.mark.parametrize("value", [0, 1])
def test_matrices_of_one_colour(value: int) -> None:
    matrix = np.full((3, 64, 64), value, np.bool_)
    for document in write_stroked_svgs(pack(matrix)):
        path = ET.fromstring(document)[1].get("d")  # noqa: S314 - written by the code under test
        np.testing.assert_array_equal(_draw(path, 64), matrix[0])


def test_no_symbol_gives_no_document() -> None:
    assert write_stroked_svgs(np.zeros((0, 21, 1), np.uint64)) == []


@given(matrices(sides=st.sampled_from([21, 25, 57, 177])))
def test_what_an_svg_begins_with_does_not_come_again(drawn: NDArray[np.bool_]) -> None:
    """Or its deflated bytes would not always be the same: see ``pipeline.archive.members``."""
    for svg in write_stroked_svgs(pack(drawn)):
        assert not any(svg[place : place + 4] in svg[place + 1 :] for place in range(3))
