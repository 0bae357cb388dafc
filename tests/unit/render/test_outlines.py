"""Outlines fill exactly the dark modules, by both fill rules, whatever else is in the batch."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.outlines import Outlines, trace
from tests.unit.render.oracles import Matrix, matrices, pack, ring_vertices, winding

SIDES = st.integers(1, 12) | st.sampled_from([21, 37, 61, 62, 63, 64, 65, 101, 127, 128, 177])


def _rings(outlines: Outlines) -> list[list[list[tuple[int, int]]]]:
    """Return the vertices of each ring of each symbol, horizontal edge first."""
    x, y = outlines.x.tolist(), outlines.y.tolist()
    starts = [*outlines.starts.tolist(), len(x)]
    bounds = outlines.rings.tolist()
    return [
        [
            ring_vertices(x[starts[n] : starts[n + 1]], y[starts[n] : starts[n + 1]])
            for n in range(first, end)
        ]
        for first, end in pairwise(bounds)
    ]


def _traced(drawn: NDArray[np.bool_]) -> list[list[list[tuple[int, int]]]]:
    return [rings for outlines in trace(pack(drawn)) for rings in _rings(outlines)]


@given(drawn=matrices(SIDES))
def test_outlines_wind_once_around_dark_modules_and_never_around_light_ones(
    drawn: NDArray[np.bool_],
) -> None:
    symbols = _traced(drawn)
    assert len(symbols) == len(drawn)
    for matrix, rings in zip(drawn, symbols, strict=True):
        np.testing.assert_array_equal(winding(rings, len(matrix)), np.pad(matrix, QUIET_ZONE))


@given(drawn=matrices(SIDES))
def test_edges_are_as_long_as_possible_and_none_is_drawn_twice(drawn: NDArray[np.bool_]) -> None:
    for matrix, rings in zip(drawn, _traced(drawn), strict=True):
        padded = np.pad(matrix, 1)
        horizontal = 0
        for ring in rings:
            for (x0, y0), (x1, y1), (_, y2) in zip(
                ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True
            ):
                # Horizontal and vertical edges take turns, so no corner is straight.
                assert (x0 == x1) != (y0 == y1)
                assert (x0 == x1) == (y1 == y2)
                horizontal += abs(x1 - x0)
        # As many units as there are borders: no border is missing, and none is drawn twice.
        assert horizontal == np.count_nonzero(padded[1:] != padded[:-1])


@given(drawn=matrices(SIDES))
def test_rings_begin_at_their_topmost_edge_and_are_in_its_order(drawn: NDArray[np.bool_]) -> None:
    for rings in _traced(drawn):
        tops = [ring[0][1] for ring in rings]
        assert tops == sorted(min(y for _, y in ring) for ring in rings)


def _matrix(*lines: str) -> Matrix:
    return np.array([[character == "#" for character in line] for line in lines])


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (("#",), 1),
        (("##", "##"), 1),
        (("###", "#.#", "###"), 2),  # a hole has a ring of its own
        (("#.", ".#"), 1),  # joined on the falling diagonal
        ((".#", "#."), 2),  # separated on the rising one
        (("#.#", ".#.", "#.#"), 3),
        (("..", ".."), 0),
        (("#####", "#...#", "#.#.#", "#...#", "#####"), 3),
    ],
)
def test_the_number_of_rings(lines: tuple[str, ...], count: int) -> None:
    matrix = _matrix(*lines)
    [rings] = _traced(matrix[None])
    assert len(rings) == count
    np.testing.assert_array_equal(winding(rings, len(matrix)), np.pad(matrix, QUIET_ZONE))


def test_rings_touch_at_a_corner_and_do_not_cross() -> None:
    """Every passage through a corner of four edges turns; two that turn cannot cross there."""
    drawn = np.random.default_rng(5).random((40, 33, 33)) < 0.5
    touching = 0
    for matrix, rings in zip(drawn, _traced(drawn), strict=True):
        passages = [vertex for ring in rings for vertex in ring]
        twice = {vertex for vertex in passages if passages.count(vertex) == 2}
        p = np.pad(matrix, QUIET_ZONE)
        expected = (
            (p[:-1, :-1] == p[1:, 1:]) & (p[:-1, 1:] == p[1:, :-1]) & (p[1:, 1:] != p[:-1, 1:])
        )
        assert twice == {(x + 1, y + 1) for y, x in np.argwhere(expected).tolist()}
        touching += len(twice)
    assert touching > 1000


@pytest.mark.parametrize("value", [0, 1])
def test_matrices_of_one_colour(value: int) -> None:
    assert [len(rings) for rings in _traced(np.full((3, 64, 64), value, np.bool_))] == [value] * 3


@pytest.mark.parametrize("side", [1, 21, 57, 177])
def test_a_symbol_has_the_same_outlines_alone_and_among_others(side: int) -> None:
    density = np.linspace(0, 1, 150 if side < 100 else 5)[:, None, None]
    drawn = np.random.default_rng(side).random((len(density), side, side)) < density
    assert _traced(drawn) == [_traced(matrix[None])[0] for matrix in drawn]


def test_no_symbol_has_no_outlines() -> None:
    assert list(trace(np.zeros((0, 21, 1), np.uint64))) == []
