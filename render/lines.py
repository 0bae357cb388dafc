"""Rows and columns of modules, packed into machine words.

A *line* is a row or a column of a symbol. A symbol with ``side`` rows has 2 * side lines: its rows
from top to bottom, then its columns from left to right. So a rule for both rows and columns is
computed in one pass. Module ``j`` of a line (the column in a row, the row in a column) is bit
``GUARD + j``, counted from the least significant bit of word 0; dark is 1. All other bits are 0,
which is light. Versions 1 to 10 need one word per line, version 40 needs three.

Arrays of lines are uint64 (words, lines, n): operations run along the n symbols.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

WORD_BITS = 64
#: Number of light modules before a line's first one: the penalty rules read that far outside the
#: symbol.
GUARD = 4


def word_count(side: int) -> int:
    """Return the number of words in a line of ``side`` modules."""
    return -(-(GUARD + side) // WORD_BITS)


def pack_lines(modules: NDArray[np.bool_]) -> Words:
    """Return the lines of matrices: uint64 (words, 2 * side, n) of bool (n, side, side)."""
    count, side, _ = modules.shape
    bits = np.zeros((count, 2 * side, word_count(side) * WORD_BITS), np.bool_)
    bits[:, :side, GUARD : GUARD + side] = modules
    bits[:, side:, GUARD : GUARD + side] = modules.transpose(0, 2, 1)
    words = np.packbits(bits, axis=2, bitorder="little").view(np.uint64)
    return np.ascontiguousarray(words.transpose(2, 1, 0))


def first_modules(side: int, count: int) -> Words:
    """Return the bits of the first ``count`` modules of a line: uint64 (words, 1, 1)."""
    bits = np.zeros(word_count(side) * WORD_BITS, np.bool_)
    bits[GUARD : GUARD + count] = True
    return np.packbits(bits, bitorder="little").view(np.uint64)[:, None, None]


def shift_back(lines: Words, modules: int, out: Words) -> Words:
    """Move each module ``modules`` places towards the line's beginning; the end becomes light."""
    np.right_shift(lines, modules, out=out)
    if len(lines) > 1:
        out[:-1] |= lines[1:] << (WORD_BITS - modules)
    return out


def shift_on(lines: Words, modules: int, out: Words) -> Words:
    """Move each module ``modules`` places towards the line's end; the beginning becomes light."""
    np.left_shift(lines, modules, out=out)
    if len(lines) > 1:
        out[1:] |= lines[:-1] >> (WORD_BITS - modules)
    return out


def rows_of(lines: Words, side: int) -> Words:
    """Return the rows without guard modules, symbol by symbol: uint64 (n, side, words).

    Module x of a row is bit x % 64 of word x // 64.
    """
    rows = shift_back(lines[:, :side], GUARD, np.empty_like(lines[:, :side]))
    # Without guard modules, side 61 (version 11) needs one word less.
    return np.ascontiguousarray(rows[: -(-side // WORD_BITS)].transpose(2, 1, 0))
