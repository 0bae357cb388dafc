import numpy as np
import pytest

from render.lines import rows_of
from render.qr.function_patterns import function_patterns
from render.qr.placement import place
from render.qr.versions import blocks


def _read_back(matrix: list[list[int]], free: list[list[bool]]) -> list[int]:
    """Return the bits of a symbol as a reader meets them (7.7.3), strip by strip."""
    side = len(matrix)
    bits = []
    upwards = True
    right = side - 1
    while right > 0:
        if right == 6:
            right = 5
        for row in range(side - 1, -1, -1) if upwards else range(side):
            bits += [matrix[row][column] for column in (right, right - 1) if free[row][column]]
        upwards = not upwards
        right -= 2
    return bits


@pytest.mark.parametrize("version", [1, 2, 6, 7, 10, 11, 12, 14, 26, 27, 28, 40])
def test_codewords_are_read_back_from_rows_and_from_columns(version: int) -> None:
    count = 3
    total = blocks(version, "L").total
    codewords = np.random.default_rng(version).integers(0, 256, (total, count), np.uint8)
    lines = place(codewords, version)
    side = 17 + 4 * version
    free = function_patterns(version).free
    expected = np.unpackbits(codewords, axis=0)
    for turned in (False, True):
        half = lines[:, side:] if turned else lines[:, :side]
        rows = rows_of(half, side)
        matrices = np.unpackbits(rows.view(np.uint8), axis=2, bitorder="little")[:, :, :side]
        for n, matrix in enumerate(matrices):
            upright = matrix.T if turned else matrix
            bits = _read_back(upright.tolist(), free.tolist())
            assert bits[: 8 * total] == expected[:, n].tolist()
            assert not any(bits[8 * total :])
            assert not upright[~free].any()
