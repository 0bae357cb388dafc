"""Function patterns, and the encoding region that remains for codewords.

Clauses are those of ISO/IEC 18004:2015.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import symbol_side
from render.qr.versions import alignment_centres

_FIRST_WITH_VERSION_INFORMATION = 7  # 7.10


class FunctionPatterns(NamedTuple):
    """The modules of a version that do not depend on the data.

    Attributes:
        dark: bool (side, side), the dark modules of finder, timing and alignment patterns.
        free: bool (side, side), the encoding region: modules that neither belong to a pattern nor
            are reserved for format and version information.
    """

    dark: NDArray[np.bool_]
    free: NDArray[np.bool_]


@cache
def function_patterns(version: int) -> FunctionPatterns:
    """Return the function patterns of a version; information areas are light and not free."""
    side = symbol_side(version)
    patterns = FunctionPatterns(
        np.zeros((side, side), np.bool_),
        np.ones((side, side), np.bool_),
    )
    _reserve_information(patterns.free, version)
    _draw_timing(patterns)
    # Alignment patterns overlap the timing patterns and agree with them (6.3.6).
    for row, column in _alignment_pattern_centres(version, side):
        _draw_square(patterns, row, column, reach=2, light_rings=(1,))
    for row, column in ((3, 3), (3, side - 4), (side - 4, 3)):
        _draw_square(patterns, row, column, reach=4, light_rings=(2, 4))
    return patterns


def _reserve_information(free: NDArray[np.bool_], version: int) -> None:
    """Reserve the areas of format information (7.9.1) and version information (7.10)."""
    free[8, :9] = free[:9, 8] = False
    free[8, -8:] = free[-8:, 8] = False
    if version >= _FIRST_WITH_VERSION_INFORMATION:
        free[:6, -11:-8] = free[-11:-8, :6] = False


def _draw_timing(patterns: FunctionPatterns) -> None:
    """Draw row 6 and column 6: dark and light modules alternately, dark first (6.3.5)."""
    patterns.free[6] = patterns.free[:, 6] = False
    patterns.dark[6, ::2] = patterns.dark[::2, 6] = True


def _alignment_pattern_centres(version: int, side: int) -> list[tuple[int, int]]:
    """Return the centre of each alignment pattern; positions of finder patterns are omitted."""
    last = side - 7
    return [
        (row, column)
        for row in alignment_centres(version)
        for column in alignment_centres(version)
        if (row, column) not in {(6, 6), (6, last), (last, 6)}
    ]


def _draw_square(
    patterns: FunctionPatterns, row: int, column: int, reach: int, light_rings: tuple[int, ...]
) -> None:
    """Draw concentric squares: a finder pattern with its separator, or an alignment pattern.

    Args:
        patterns: the patterns to draw into; the square is clipped at the symbol's edge.
        row: row of the centre.
        column: column of the centre.
        reach: distance of the outermost ring from the centre.
        light_rings: distances of the light rings; the others are dark (6.3.3, 6.3.4, 6.3.6).
    """
    rows = slice(max(row - reach, 0), row + reach + 1)
    columns = slice(max(column - reach, 0), column + reach + 1)
    y, x = np.ogrid[: len(patterns.dark), : len(patterns.dark)]
    ring = np.maximum(abs(y - row), abs(x - column))[rows, columns]
    patterns.free[rows, columns] = False
    patterns.dark[rows, columns] = ~np.isin(ring, light_rings)
