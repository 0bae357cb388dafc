from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from render.lines import pack_lines
from render.qr.penalty import Penalty
from tests.unit.render.oracles import Matrix, segno_penalty

FINDER = [1, 0, 1, 1, 1, 0, 1]
SIDES = (21, 25, 57, 61, 65, 125, 129, 177)


def _scores(matrices: Sequence[NDArray[Any]]) -> list[int]:
    lines = pack_lines(np.array(matrices, np.bool_))
    scores: list[int] = Penalty(lines).scores(lines).tolist()
    return scores


def _row_patterns() -> Iterator[list[int]]:
    """Yield rows that put each rule's pattern at edges, over word borders and over each other."""
    light = [0] * 4
    yield from (
        FINDER,
        FINDER * 2,
        FINDER + FINDER[1:],
        FINDER + FINDER[3:],
        FINDER + FINDER[1:] + FINDER[3:],
        FINDER[:4] + FINDER + FINDER[1:],
        light + FINDER + light,
        light + FINDER + FINDER[1:] + light,
        light + FINDER + FINDER[3:] + light,
        light + FINDER + FINDER[3:] + FINDER[3:] + light,
        light[1:] + FINDER + light[1:],
        [1, *light[1:], *FINDER, *light[1:], 1],
        [1, *light[1:], *FINDER, *light],
        [1] * 4,
        [1] * 5,
        [1] * 6,
        [0] * 5 + [1] * 5,
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("around", [0, 1])
def test_patterns_at_every_place_of_a_row_score_as_in_segno(side: int, around: int) -> None:
    matrices = []
    for longer in _row_patterns():
        pattern = longer[:side]
        matrix = np.full((side, side), around)
        for row in range(side):
            start = row * (side - len(pattern)) // (side - 1)
            matrix[row, start : start + len(pattern)] = pattern
        matrices += [matrix, matrix.T, matrix[::-1], matrix[:, ::-1]]
    assert _scores(matrices) == [segno_penalty(matrix) for matrix in matrices]


@pytest.mark.parametrize("side", SIDES)
def test_adversarial_matrices_score_as_in_segno(side: int) -> None:
    row, column = np.indices((side, side))
    matrices = [
        np.zeros((side, side)),
        np.ones((side, side)),
        row % 2,
        column % 2,
        (row + column) % 2,
        row // 2 % 2,
        column // 5 % 2,
        row // 4 % 2 ^ column // 6 % 2,
        row * side + column < side * side // 2,
        row * side + column < side * side * 45 // 100,
        np.resize(FINDER, (side, side)),
        np.resize([*FINDER, 0, 0, 0, 0], (side, side)),
        np.resize([*FINDER, 0, 0, 0, 0], (side, side)).T,
        np.pad(np.ones((side - 2, side - 2)), 1),
        np.pad(np.zeros((side - 2, side - 2)), 1, constant_values=1),
    ]
    assert _scores(matrices) == [segno_penalty(matrix) for matrix in matrices]


@given(
    matrix=st.sampled_from((21, 25, 57, 61, 65)).flatmap(
        lambda side: arrays(np.bool_, (side, side))
    )
)
def test_any_matrix_scores_as_in_segno(matrix: Matrix) -> None:
    assert _scores([matrix]) == [segno_penalty(matrix)]


def test_scoring_twice_gives_the_same() -> None:
    matrices = np.random.default_rng(5).random((4, 45, 45)) < 0.5
    lines = pack_lines(matrices)
    penalty = Penalty(lines)
    first = penalty.scores(lines).tolist()
    penalty.scores(~lines)
    assert penalty.scores(lines).tolist() == first
