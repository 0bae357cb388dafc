"""Search for the cheapest segments of texts, by dynamic programming over their characters.

Clauses are those of ISO/IEC 18004:2015. A text is represented by its *shape*, the class of each of
its characters. The class is the narrowest mode that can encode the character.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.qr.versions import (
    ALPHANUMERIC,
    BYTE,
    MODE_INDICATOR_BITS,
    NUMERIC,
    count_indicator_bits,
)

# States of the encoder after a character: the mode, and the number of characters in an unfinished
# group. A segment begins in one of the first three states, which are in the order of the modes.
_STATES = 6
_MODE_OF_STATE = np.array([NUMERIC, ALPHANUMERIC, BYTE, NUMERIC, NUMERIC, ALPHANUMERIC], np.uint8)
_STATE_BEFORE = np.array([4, 5, 2, 0, 3, 1])
# Three digits take 4 + 3 + 3 bits, two alphanumeric characters 6 + 5 (7.4.3 and 7.4.4).
_BITS_TO_STATE = (3, 5, 8, 4, 3, 6)
# The low bits of a cost are its origin: the number of the previous state. One minimum therefore
# finds the lowest cost and its origin, and chooses the same one of equal costs every time.
_ORIGIN_BITS = 3
_ORIGIN = (1 << _ORIGIN_BITS) - 1
#: Cost, in bits, of a character that a mode cannot encode: more than any text needs.
_NEVER = 1 << 20


class Search(NamedTuple):
    """The cheapest segments of m shapes, with headers of one range of versions.

    Attributes:
        range_number: index of the range in :data:`render.qr.versions.COUNT_RANGES`.
        lengths: intp (m,), number of characters.
        widest: uint8 (m,), the narrowest mode that can encode all characters.
        best: int32 (longest, m), the lowest cost up to each character; its origin is the state
            after that character.
        costs: int32 (longest, 6, m), the lowest cost of being in each state before the next
            character. Its origin is the state after the previous character, which is a different
            state if a new segment begins.
    """

    range_number: int
    lengths: NDArray[np.intp]
    widest: NDArray[np.uint8]
    best: NDArray[np.int32]
    costs: NDArray[np.int32]

    def bits(self) -> NDArray[np.int32]:
        """Return the number of bits of the cheapest segments: int32 (m,)."""
        return self.best[self.lengths - 1, np.arange(len(self.lengths))] >> _ORIGIN_BITS

    def bits_of_one_segment(self) -> NDArray[np.int32]:
        """Return the number of bits of each shape as one segment, with header: int32 (m,)."""
        lengths = self.lengths
        by_mode = np.array([(10 * lengths + 2) // 3, (11 * lengths + 1) // 2, 8 * lengths])
        by_mode += _header_bits(self.range_number)
        return by_mode[self.widest, np.arange(len(lengths))].astype(np.int32)

    def modes(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the mode of each character of some shapes: uint8 (columns, longest).

        The method follows the origins back from the last character of each shape.
        """
        lengths = self.lengths[columns]
        ends = self.best[:, columns] & _ORIGIN
        states = np.zeros((lengths.max(), len(columns)), np.intp)
        offset_before = _STATE_BEFORE * len(self.lengths)
        state = np.zeros(len(columns), np.intp)
        for place in range(len(states) - 1, -1, -1):
            state = np.where(lengths == place + 1, ends[place], state)
            states[place] = state
            origins = self.costs[place - 1].reshape(-1)
            state = origins.take(offset_before.take(state) + columns) & _ORIGIN
        return _MODE_OF_STATE[states.T]


def search(shapes: Sequence[bytes], range_number: int) -> Search:
    """Find the cheapest segments of each shape, with headers of one range of versions."""
    lengths = np.fromiter(map(len, shapes), np.intp, len(shapes))
    classes = _class_matrix(shapes, lengths.max())
    heads = _header_bits(range_number) << _ORIGIN_BITS
    best = np.empty(classes.shape, np.int32)
    costs = np.empty((len(classes), _STATES, len(shapes)), np.int32)
    for state, cost_of_class in enumerate(_cost_of_state()):
        costs[:, state] = cost_of_class.take(classes)
    before = np.full(costs.shape[1:], _NEVER << _ORIGIN_BITS, np.int32)
    before[: len(heads)] = heads
    moved = np.empty_like(before)
    begun = np.empty((len(heads), len(shapes)), np.int32)
    for cost, least in zip(costs, best, strict=True):
        before.take(_STATE_BEFORE, axis=0, out=moved, mode="clip")
        np.add(cost, moved, out=cost)
        np.minimum.reduce(cost, axis=0, out=least)
        np.add(least, heads, out=begun)
        beginning = cost[: len(heads)]
        np.minimum(beginning, begun, out=beginning)
        np.bitwise_and(cost, ~_ORIGIN, out=before)
    return Search(range_number, lengths, classes.max(axis=0), best, costs)


def _header_bits(range_number: int) -> NDArray[np.int32]:
    """Return the number of bits of a segment's header by mode: int32 (3, 1)."""
    counts = np.array([count_indicator_bits(range_number)], np.int32)
    return counts.T + np.int32(MODE_INDICATOR_BITS)


def _class_matrix(shapes: Sequence[bytes], longest: int) -> NDArray[np.uint8]:
    """Return the class of each character: uint8 (longest, shapes), zero after a shape's end."""
    joined = b"".join([shape.ljust(longest, b"\0") for shape in shapes])
    return np.ascontiguousarray(np.frombuffer(joined, np.uint8).reshape(-1, longest).T)


@cache
def _cost_of_state() -> NDArray[np.int32]:
    """Return the cost of a character, by the next state and the character's class: int32 (6, 3)."""
    unavailable = _MODE_OF_STATE[:, None] < np.arange(3)
    bits = np.where(unavailable, _NEVER, np.array([_BITS_TO_STATE]).T)
    return (bits << _ORIGIN_BITS | np.arange(_STATES)[:, None]).astype(np.int32)
