import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.writers.eps import write_epss
from tests.unit.render.oracles import Vertex, matrices, pack, winding

WIDTH = Decimal("63.14173")
SIDES = st.integers(1, 12) | st.sampled_from([21, 37, 64, 95, 128])
_STEP = re.compile(r"(-?\d+) (?:(-?\d+) ([md])|(z))")


def _rings(lines: list[str]) -> list[list[Vertex]]:
    """Return the vertices of the rings that the lines ``x y m``, ``x y d`` and ``x z`` draw."""
    rings: list[list[Vertex]] = []
    x, y = 0, 0
    for line in lines:
        step = _STEP.fullmatch(line)
        assert step, line
        across = x + int(step[1])
        if step[3] == "m":
            x, y = across, y + int(step[2])
            rings.append([(x, y)])
            continue
        rings[-1].append((across, y))
        if step[4]:
            x, y = rings[-1][0]  # closepath returns to the start
            assert across == x
        else:
            x, y = across, y + int(step[2])
            rings[-1].append((x, y))
    return rings


@given(drawn=matrices(SIDES))
def test_the_path_fills_the_matrix_and_nothing_else(drawn: NDArray[np.bool_]) -> None:
    for matrix, eps in zip(drawn, write_epss(pack(drawn), WIDTH), strict=True):
        head, _, rest = eps.decode("ascii").partition("newpath\n0 0 moveto\n")
        path, _, end = rest.rpartition("fill\n")
        assert "\n0 0 0 1 setcmykcolor\n" in head
        assert end == "end\ngrestore\nshowpage\n%%EOF\n"
        rings = _rings(path.splitlines())
        np.testing.assert_array_equal(winding(rings, len(matrix)), np.pad(matrix, QUIET_ZONE))


def test_the_comments_state_the_size_and_the_ink() -> None:
    [eps] = write_epss(pack(np.ones((1, 37, 37), np.bool_)), WIDTH)
    assert eps.decode("ascii").splitlines()[:8] == [
        "%!PS-Adobe-3.0 EPSF-3.0",
        "%%BoundingBox: 0 0 64 64",
        "%%HiResBoundingBox: 0 0 63.14173 63.14173",
        "%%LanguageLevel: 2",
        "%%DocumentProcessColors: Black",
        "%%Pages: 1",
        "%%EndComments",
        "%%Page: 1 1",
    ]
    assert b"\n0 63.14173 translate\n1.40315 -1.40315 scale\n" in eps
    assert max(map(len, eps.splitlines())) <= 255  # Document Structuring Conventions, section 3.1


@pytest.mark.parametrize(("width", "box"), [("400", "400"), ("400.00001", "401"), ("0.5", "1")])
def test_the_bounding_box_is_rounded_up(width: str, box: str) -> None:
    [eps] = write_epss(pack(np.ones((1, 1, 1), np.bool_)), Decimal(width))
    assert f"\n%%BoundingBox: 0 0 {box} {box}\n%%HiResBoundingBox: 0 0 {width} {width}\n" in (
        eps.decode("ascii")
    )


@given(drawn=matrices(sides=st.sampled_from([21, 25, 57, 177])))
def test_what_an_eps_begins_with_does_not_come_again(drawn: NDArray[np.bool_]) -> None:
    """Or its deflated bytes would not always be the same: see ``pipeline.archive.members``."""
    for eps in write_epss(pack(drawn), WIDTH):
        assert not any(eps[place : place + 4] in eps[place + 1 :] for place in range(3))


def test_no_symbol_gives_no_file() -> None:
    assert write_epss(np.zeros((0, 21, 1), np.uint64), WIDTH) == []
