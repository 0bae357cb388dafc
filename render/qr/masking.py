"""Data masking: of eight patterns, each symbol gets the one with the lowest penalty.

Source: ISO/IEC 18004:2015, 7.8. The penalty is computed before format and version information are
drawn, because 7.9 and 7.10 add them to the masked symbol; until then, their areas are light.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.lines import Words, pack_lines
from render.qr.format_information import information_modules
from render.qr.function_patterns import function_patterns
from render.qr.penalty import Penalty

MASKS = 8
_Indices = NDArray[np.intp]
#: Table 10: the modules, by row and column, that each mask pattern inverts.
_CONDITIONS: tuple[Callable[[_Indices, _Indices], NDArray[np.bool_]], ...] = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, _: row % 2 == 0,
    lambda _, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)


def choose_masks(lines: Words, version: int) -> NDArray[np.uint8]:
    """Return the first mask with the lowest penalty of each symbol: uint8 (n,).

    Args:
        lines: uint64 (words, 2 * side, n), the placed codewords.
        version: 1 to 40.
    """
    penalty = Penalty(lines)
    masked = np.empty_like(lines)
    scores = np.empty((MASKS, lines.shape[2]), np.int32)
    for mask, constant in enumerate(_scored_patterns(version)):
        np.bitwise_xor(lines, constant, out=masked)
        scores[mask] = penalty.scores(masked)
    best: NDArray[np.intp] = scores.argmin(axis=0)
    return best.astype(np.uint8)


def finish(lines: Words, masks: NDArray[np.uint8], version: int, level: ErrorCorrection) -> Words:
    """Return the rows of finished symbols: uint64 (words, side, n).

    Args:
        lines: uint64 (words, 2 * side, n), the placed codewords.
        masks: uint8 (n,), the mask of each symbol.
        version: 1 to 40.
        level: error correction level, for the format information.
    """
    rows = _finishing_patterns(version, level).take(masks, axis=2)
    rows ^= lines[:, : rows.shape[1]]
    return rows


def _patterns(version: int) -> NDArray[np.bool_]:
    """Return each mask combined with the dark function modules: bool (8, side, side)."""
    patterns = function_patterns(version)
    side = len(patterns.dark)
    row, column = np.arange(side)[:, None], np.arange(side)
    masks = np.array([condition(row, column) & patterns.free for condition in _CONDITIONS])
    return masks | patterns.dark


@cache
def _scored_patterns(version: int) -> Words:
    """Return masks and function patterns as lines: uint64 (8, words, 2 * side, 1)."""
    return pack_lines(_patterns(version)).transpose(2, 0, 1)[..., None].copy()


@cache
def _finishing_patterns(version: int, level: ErrorCorrection) -> Words:
    """Return masks, function patterns and information as rows: uint64 (words, side, 8)."""
    information = np.array([information_modules(version, level, mask) for mask in range(MASKS)])
    lines = pack_lines(_patterns(version) | information)
    return lines[:, : lines.shape[1] // 2].copy()
