"""Path data in relative coordinates, which SVG and PostScript have: the shortest for outlines.

A point of an outline becomes two tokens, one for x and one for y. A token has a fixed width and is
filled with zero bytes, which are removed from the joined tokens.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.outlines import Indices, Outlines

_FILLER = b"\0"
#: Bytes of the two token widths, which are copied as one machine word.
_NARROW, _WIDE = 4, 8


class RelativeTokens(NamedTuple):
    """Tokens by coordinate difference; difference d is at index d + reach.

    Attributes:
        x: uint32 or uint64 (4 * reach,), the bytes of the tokens for x: first those of horizontal
            edges, then, from index 2 * reach on, those of moves to the start of a ring.
        y: like ``x``, the tokens of vertical edges and moves. Difference 0 of an edge closes a
            ring.
        reach: a number larger than any difference.
    """

    x: NDArray[np.unsignedinteger]
    y: NDArray[np.unsignedinteger]
    reach: int


def relative_tokens(
    reach: int,
    edge: Callable[[int], tuple[bytes, bytes]],
    move: Callable[[int], tuple[bytes, bytes]],
) -> RelativeTokens:
    """Return the tables of a format's tokens of up to 8 bytes.

    Args:
        reach: a number larger than any coordinate difference.
        edge: returns the tokens of a horizontal and a vertical edge, given its length, which is
            negative to the left and upwards; the vertical one of 0 closes the ring.
        move: returns the two tokens of a move from the start of the last ring, given its x and y.
    """
    differences = range(-reach, reach)
    pairs = [edge(d) for d in differences] + [move(d) for d in differences]
    wide = max(len(token) for pair in pairs for token in pair) > _NARROW
    dtype, word = (f"S{_WIDE}", np.uint64) if wide else (f"S{_NARROW}", np.uint32)
    x, y = np.array(pairs, dtype).T
    return RelativeTokens(x.copy().view(word), y.copy().view(word), reach)


def relative_paths(outlines: Outlines, tokens: RelativeTokens) -> list[bytes]:
    """Return the path data of each symbol; its first move begins at the image's corner."""
    x, y, starts = outlines.x, outlines.y, outlines.starts
    # The horizontal edge to each point, and the vertical edge after it, 0 if it closes the ring.
    dx, dy = np.empty_like(x), np.empty_like(y)
    np.subtract(x[1:], x[:-1], out=dx[1:])
    np.subtract(y[1:], y[:-1], out=dy[:-1])
    dy[outlines.ends()] = 0
    dx[starts] = _moves(x.take(starts), outlines) + 2 * tokens.reach
    dy[starts] = _moves(y.take(starts), outlines) + 2 * tokens.reach
    dx += tokens.reach
    dy += tokens.reach
    drawn = np.empty((len(x), 2), tokens.x.dtype)
    # With mode "clip", NumPy needs no buffer.
    tokens.x.take(dx, out=drawn[:, 0], mode="clip")
    tokens.y.take(dy, out=drawn[:, 1], mode="clip")
    return joined(drawn, outlines)


def _moves(coordinates: Indices, outlines: Outlines) -> Indices:
    """Return the distance to each ring's start from the last one, or from the image's corner."""
    moves = np.diff(coordinates, prepend=0)
    first_rings = outlines.rings[:-1].compress(outlines.rings[1:] > outlines.rings[:-1])
    moves[first_rings] = coordinates[first_rings]
    return moves


def joined(tokens: NDArray[Any], outlines: Outlines) -> list[bytes]:
    """Return the joined tokens of each symbol, given those of each point: (points, 2)."""
    return [
        tokens[start:end].tobytes().translate(None, _FILLER)
        for start, end in pairwise(outlines.bounds())
    ]
