"""Reed-Solomon error correction codewords and the final sequence of codewords.

Clauses are those of ISO/IEC 18004:2015. The remainder of a block is the sum (exclusive or) of one
remainder per codeword, which depends only on the codeword's value and place. One table lookup per
codeword is therefore enough. Each table row holds a whole remainder in a few machine words.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.qr.versions import blocks, galois_tables, generator_logarithms


class _Sequence(NamedTuple):
    """The order of the codewords of one version and level.

    Attributes:
        of_blocks: intp (blocks, longest block), index of the data codeword at each place of each
            block. Shorter blocks are filled at the beginning with the index of a zero, which
            follows the data codewords.
        final: intp (codewords,), index of the codeword at each place of the final sequence (7.6),
            where the error correction codewords follow the data codewords, block by block.
    """

    of_blocks: NDArray[np.intp]
    final: NDArray[np.intp]


def add_error_correction(
    data: NDArray[np.uint8], version: int, level: ErrorCorrection
) -> NDArray[np.uint8]:
    """Return the final sequence of codewords (7.5.2 and 7.6).

    Args:
        data: uint8 (data codewords, n).
        version: 1 to 40.
        level: error correction level.

    Returns:
        uint8 (codewords, n), the blocks interleaved.
    """
    zero = np.zeros((1, data.shape[1]), np.uint8)
    sequence = _sequence(version, level)
    in_blocks = np.concatenate([data, zero])[sequence.of_blocks]
    correction = _remainders(in_blocks, blocks(version, level).correction)
    return np.concatenate([data, correction])[sequence.final]


def _remainders(in_blocks: NDArray[np.uint8], degree: int) -> NDArray[np.uint8]:
    """Return error correction codewords block by block: uint8 (blocks * degree, n)."""
    count, longest, symbols = in_blocks.shape
    table = _remainder_table(degree, longest)
    total = np.zeros((count, symbols, table.shape[2]), np.uint64)
    term = np.empty_like(total)
    for place in range(longest):
        # With mode "clip", NumPy needs no buffer between the table and ``out``.
        table[place].take(in_blocks[:, place], axis=0, out=term, mode="clip")
        total ^= term
    codewords = total.view(np.uint8)[:, :, :degree]
    return codewords.transpose(0, 2, 1).reshape(count * degree, symbols)


@cache
def _remainder_table(degree: int, longest: int) -> NDArray[np.uint64]:
    """Return the remainder of each codeword at each place of a block.

    The table is uint64 (longest, 256, words), by place and value of the codeword. The words hold
    the ``degree`` bytes of the remainder, highest power first, and then zeros.
    """
    powers, logarithms = galois_tables()
    generator = generator_logarithms(degree)
    at_end = powers[logarithms[:, None] + generator]
    at_end[0] = 0
    table = np.zeros((longest, 256, -(-degree // 8) * 8), np.uint8)
    remainder = at_end
    for place in range(longest - 1, -1, -1):
        table[place, :, :degree] = remainder
        # Each place further from the end multiplies by x: shift, and reduce the overflow.
        shifted = np.zeros_like(remainder)
        shifted[:, :-1] = remainder[:, 1:]
        remainder = shifted ^ at_end[remainder[:, 0]]
    return table.view(np.uint64)


@cache
def _sequence(version: int, level: ErrorCorrection) -> _Sequence:
    layout = blocks(version, level)
    longest, capacity = max(layout.data), sum(layout.data)
    of_blocks = np.full((len(layout.data), longest), capacity, np.intp)
    starts = np.cumsum([0, *layout.data[:-1]])
    for number, (start, length) in enumerate(zip(starts, layout.data, strict=True)):
        of_blocks[number, longest - length :] = np.arange(start, start + length)
    return _Sequence(of_blocks, _interleaved(starts, layout.data, layout.correction))


def _interleaved(
    starts: NDArray[np.intp], lengths: tuple[int, ...], correction: int
) -> NDArray[np.intp]:
    """Return the order of figure 15: the first codewords of all blocks, then the second ones."""
    data = [
        start + place
        for place in range(max(lengths))
        for start, length in zip(starts, lengths, strict=True)
        if place < length
    ]
    after_data = np.arange(len(lengths) * correction).reshape(len(lengths), correction)
    return np.concatenate([data, sum(lengths) + after_data.T.ravel()]).astype(np.intp)
