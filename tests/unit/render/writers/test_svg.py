import random
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.archive.members import make_member
from render.chunk import render_chunk
from render.image import QUIET_ZONE, RenderOptions
from render.writers.svg import write_svgs
from tests.unit.render import samples
from tests.unit.render.oracles import Vertex, matrices, pack, svg_pixels, winding

_SVG = "{http://www.w3.org/2000/svg}"
_RING = re.compile(r"m(-?\d+)(?: |(?=-))(-?\d+)((?:h-?\d+(?:v-?\d+|z))+)")
_STEP = re.compile(r"h(-?\d+)(?:v(-?\d+)|z)")
SIDES = st.integers(1, 12) | st.sampled_from([21, 37, 63, 64, 65, 94, 95, 96, 128])


def _rings(path: str | None) -> list[list[Vertex]]:
    """Return the vertices of the rings of a path, which has nothing else."""
    assert path is not None
    assert _RING.sub("", path) == ""
    rings = []
    start_x = start_y = 0
    for dx, dy, steps in _RING.findall(path):
        start_x, start_y = start_x + int(dx), start_y + int(dy)
        ring = [(start_x, start_y)]
        for across, down in _STEP.findall(steps):
            x, y = ring[-1]
            ring.append((x + int(across), y))
            if down:
                ring.append((x + int(across), y + int(down)))
        assert steps.count("z") == 1
        assert ring[-1][0] == start_x
        rings.append(ring)
    return rings


@given(drawn=matrices(SIDES))
def test_the_path_fills_the_matrix_and_nothing_else(drawn: NDArray[np.bool_]) -> None:
    whole = drawn.shape[1] + 2 * QUIET_ZONE
    documents = write_svgs(pack(drawn), "22.275mm")
    assert len(documents) == len(drawn)
    for matrix, document in zip(drawn, documents, strict=True):
        root = ET.fromstring(document)  # noqa: S314 - written by the code under test
        assert root.attrib == {
            "width": "22.275mm",
            "height": "22.275mm",
            "viewBox": f"0 0 {whole} {whole}",
        }
        background, modules = root
        assert background.tag == modules.tag == _SVG + "path"
        assert background.attrib == {"fill": "#fff", "d": f"M0 0h{whole}v{whole}h-{whole}z"}
        assert set(modules.attrib) == {"fill", "d"}
        assert modules.get("fill") == "#000"
        rings = _rings(modules.get("d"))
        np.testing.assert_array_equal(winding(rings, len(matrix)), np.pad(matrix, QUIET_ZONE))


@pytest.mark.parametrize("zoom", [1, 2, 7])
@pytest.mark.parametrize("side", [21, 57, 61, 101])
def test_a_rasteriser_paints_every_module_exactly(side: int, zoom: int) -> None:
    dark = np.random.default_rng(side).random((1, side, side)) < 0.5
    [document] = write_svgs(pack(dark), str(side + 2 * QUIET_ZONE))
    pixels = svg_pixels(document, zoom)
    expected = np.pad(~dark[0], QUIET_ZONE, constant_values=True).repeat(zoom, 0).repeat(zoom, 1)
    np.testing.assert_array_equal(pixels, expected * 255)


def test_no_symbol_gives_no_document() -> None:
    assert write_svgs(np.zeros((0, 21, 1), np.uint64), "1mm") == []


@given(drawn=matrices(sides=st.sampled_from([21, 25, 57, 177])))
def test_what_an_svg_begins_with_does_not_come_again(drawn: NDArray[np.bool_]) -> None:
    """Or its deflated bytes would not always be the same: see ``pipeline.archive.members``."""
    for svg in write_svgs(pack(drawn), "22.275mm"):
        assert not any(svg[place : place + 4] in svg[place + 1 :] for place in range(3))


def test_outlines_take_little_more_room_in_the_bundle_than_strokes() -> None:
    rnd = random.Random("sizes")
    uris = [samples.realistic_uri(rnd) for _ in range(500)]
    sizes = [
        [len(make_member("a.svg", image.data).data) for image in render_chunk(uris, options)]
        for options in (
            RenderOptions("svg", 400),
            RenderOptions("svg", 400, xdim_mm=0.495, outlines=True),
        )
    ]
    assert sum(sizes[1]) <= 1.3 * sum(sizes[0])
