"""Codeword placement: from codewords to the packed lines of the encoding region.

Source: ISO/IEC 18004:2015, 7.7.3. Each bit of a line comes from a known bit of the codewords, so
placement is a gather operation over the bits of all lines.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from render.image import symbol_side
from render.lines import GUARD, WORD_BITS, Words, word_count
from render.qr.function_patterns import function_patterns

_TIMING_COLUMN = 6
_SHIFTS = np.arange(7, -1, -1, dtype=np.uint8)[None, :, None]


def place(codewords: NDArray[np.uint8], version: int) -> Words:
    """Return the lines of the encoding region; all other modules are light.

    Args:
        codewords: uint8 (codewords, n), the final sequence.
        version: 1 to 40.

    Returns:
        uint64 (words, 2 * side, n), in the layout of :mod:`render.lines`.
    """
    count = codewords.shape[1]
    bits = np.zeros((8 * len(codewords) + 1, count), np.uint8)
    by_codeword = bits[:-1].reshape(len(codewords), 8, count)
    np.right_shift(codewords[:, None, :], _SHIFTS, out=by_codeword)
    by_codeword &= 1
    side = symbol_side(version)
    line_bytes = _gather(bits, _sources(version)).reshape(-1, 2 * side, count)
    words = np.zeros((word_count(side), 2 * side, count, WORD_BITS // 8), np.uint8)
    for number, byte in enumerate(line_bytes):
        words[number // 8, :, :, number % 8] = byte
    return words.view(np.uint64)[..., 0]


def _gather(bits: NDArray[np.uint8], sources: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return bytes, uint8 (m, n), from bits (bits, n) and the source (8, m) of each bit."""
    total: NDArray[np.uint8] = bits.take(sources[7], axis=0)
    bit = np.empty_like(total)
    for source in sources[6::-1]:
        # With mode "clip", NumPy needs no buffer. Adding bytes is faster than shifting them.
        bits.take(source, axis=0, out=bit, mode="clip")
        total += total
        total |= bit
    return total


@cache
def _sources(version: int) -> NDArray[np.intp]:
    """Return the index of the codeword bit for each bit of the lines.

    intp (8, bytes per line * 2 * side), ordered by bit of a byte (least significant first), byte of
    a line, and line. Modules outside the encoding region, and the remainder bits (7.6), have the
    index of an additional light bit after the last codeword.
    """
    free = function_patterns(version).free
    side = len(free)
    rows, columns = _module_order(free)
    light = len(rows) // 8 * 8
    source = np.full((side, side), light, np.intp)
    source[rows, columns] = np.minimum(np.arange(len(rows)), light)
    line_bytes = -(-(GUARD + side) // 8)
    lines = np.full((2 * side, line_bytes * 8), light, np.intp)
    lines[:side, GUARD : GUARD + side] = source
    lines[side:, GUARD : GUARD + side] = source.T
    by_bit = lines.reshape(2 * side, line_bytes, 8).transpose(2, 1, 0)
    return np.ascontiguousarray(by_bit).reshape(8, -1)


def _module_order(free: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of free modules in the order in which bits are placed (7.7.3).

    Strips are two modules wide and run from right to left, upwards and downwards in turn, with the
    right module first. The vertical timing pattern belongs to no strip.
    """
    side = len(free)
    columns = np.delete(np.arange(side), _TIMING_COLUMN)[::-1].reshape(-1, 2)
    upwards = np.arange(side)[::-1]
    rows = np.array([upwards if n % 2 == 0 else upwards[::-1] for n in range(len(columns))])
    every_row = np.repeat(rows, 2, axis=1).ravel()
    every_column = np.tile(columns, (1, side)).ravel()
    kept = free[every_row, every_column]
    return every_row[kept], every_column[kept]
