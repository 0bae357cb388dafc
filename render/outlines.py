"""Outlines of packed modules: closed rings of horizontal and vertical edges around dark areas.

Every edge has dark modules on its right and light ones on its left, as one looks along it with y
downwards. So the rings of a symbol wind once around each dark point and never around a light one,
and the rules nonzero and even-odd fill the same area: the dark modules, with no edge inside it.

Where two dark modules touch only at a corner, two rings, or two passes of one ring, touch at that
point without crossing. The two modules are joined if they lie on the falling diagonal, and
separated if they lie on the rising one. The filled area is the same for every such choice; this one
makes about half as many rings as to join or to separate all, and needs the fewest operations.

The edges are found with bit operations. After each horizontal edge comes a vertical one and then
the next horizontal edge, so rings are linked lists of horizontal edges. They are put in order
without a loop over edges: first the chains between local tops, all chains of a batch in step, then
the chains of each ring.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.lines import WORD_BITS, Words

Indices = NDArray[np.intp]

#: Number of modules that are traced together: few enough to keep the working arrays in the
#: processor's cache, and enough to make the cost of each NumPy call small.
_BATCH_MODULES = 50_000
#: Largest batch, so that the key of a corner (symbol, column, direction) fits 16 bits, which NumPy
#: sorts in linear time.
_MAX_BATCH = 128
#: Number of bits of a coordinate in a packed point.
_COORDINATE_BITS = 8


class Outlines(NamedTuple):
    """Rings around the dark areas of n symbols, in the order of the symbols.

    A ring takes one point for its start, and one for the end of each of its horizontal edges. After
    the start point i, the path runs horizontally to (x[i + 1], y[i + 1]), vertically to
    (x[i + 1], y[i + 2]), horizontally to (x[i + 2], y[i + 2]) and so on; the vertical edge after
    the ring's last point returns to the start. The start is the end of the ring's topmost edge, of
    several the leftmost.

    Attributes:
        x: intp (points,), distance from the left edge of the image in modules, so with quiet zone.
        y: intp (points,), distance from the top edge of the image.
        starts: intp (rings,), index of each ring's start point.
        rings: intp (n + 1,), index of each symbol's first ring, and the number of rings.
    """

    x: Indices
    y: Indices
    starts: Indices
    rings: Indices

    def ends(self) -> Indices:
        """Return the index of each ring's last point."""
        return np.append(self.starts, len(self.x))[1:] - 1

    def bounds(self) -> list[int]:
        """Return the index of each symbol's first point, and the number of points."""
        bounds: list[int] = np.append(self.starts, len(self.x)).take(self.rings).tolist()
        return bounds


class _Edges(NamedTuple):
    """Horizontal edges of a batch, row by row.

    Attributes:
        symbols: intp (edges,), index of each edge's symbol.
        y, start_x, end_x: intp (edges,), coordinates of the edge's ends.
        from_above: bool (edges,), whether the vertical edge before this one runs downwards.
        to_below: bool (edges,), whether the vertical edge after this one runs downwards.
    """

    symbols: Indices
    y: Indices
    start_x: Indices
    end_x: Indices
    from_above: NDArray[np.bool_]
    to_below: NDArray[np.bool_]


class _Chains(NamedTuple):
    """Chains of edges: a local top, and the edges after it up to the next local top of its ring.

    Each ring has a local top, an edge whose two neighbours both lie below it.

    Attributes:
        tops: intp (chains,), index of each chain's first edge, in ascending order.
        lengths: intp (chains,), number of edges.
        following: intp (chains,), index of the next chain of the same ring.
        of_edge: intp (edges,), index of each edge's chain.
        places: intp (edges,), number of edges before each edge in its chain.
    """

    tops: Indices
    lengths: Indices
    following: Indices
    of_edge: Indices
    places: Indices


def trace(rows: Words) -> Iterator[Outlines]:
    """Yield the outlines of consecutive batches of symbols.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; bits after the last module are 0. ``side`` is at most 247.
    """
    side = rows.shape[1]
    batch = max(1, min(_MAX_BATCH, _BATCH_MODULES // side**2))
    for start in range(0, len(rows), batch):
        yield _trace_batch(rows[start : start + batch])


def _trace_batch(rows: Words) -> Outlines:
    edges = _horizontal_edges(rows)
    chains = _chains(_following(edges, rows.shape[1]), (edges.from_above < edges.to_below))
    heads, starts, first_points = _order_chains(chains)
    points = np.empty(len(edges.y) + len(heads), np.uint16)
    packed_y = edges.y + QUIET_ZONE << _COORDINATE_BITS
    points[first_points.take(chains.of_edge) + chains.places] = packed_y + edges.end_x + QUIET_ZONE
    firsts = chains.tops.take(heads)
    points[starts] = packed_y.take(firsts) + edges.start_x.take(firsts) + QUIET_ZONE
    return Outlines(
        (points & ((1 << _COORDINATE_BITS) - 1)).astype(np.intp),
        (points >> _COORDINATE_BITS).astype(np.intp),
        starts,
        np.searchsorted(edges.symbols.take(firsts), np.arange(len(rows) + 1)),
    )


def _horizontal_edges(rows: Words) -> _Edges:
    """Return the edges between dark and light modules of adjacent rows, as long as possible.

    An edge with dark modules below runs to the right, one with dark modules above to the left.
    """
    count, side, words = rows.shape
    cells = np.zeros((count, side + 2, side // WORD_BITS + 1), np.uint64)
    cells[:, 1:-1, :words] = rows
    above, below = cells[:, :-1], cells[:, 1:]
    runs, turns = np.empty((2, count, side + 1, 2, cells.shape[2]), np.uint64)
    np.bitwise_and(below, ~above, out=runs[:, :, 0])
    np.bitwise_and(above, ~below, out=runs[:, :, 1])
    shifted = _shift_right(runs)
    left_ends = np.flatnonzero(_unpack(runs & ~shifted, side + 1))
    right_ends = np.flatnonzero(_unpack(shifted & ~runs, side + 1))
    # An edge's left end turns upwards where the module above and left of it is dark, its right end
    # where the one below and right of it is dark. A turn depends on the direction of the edge.
    turns[:, :, 0] = _shift_right(above)
    np.invert(below, out=turns[:, :, 1])
    bits = _unpack(turns, side + 1).ravel()
    width = bits.size // (count * (side + 1) * 2)
    lines = left_ends // width
    leftward = lines & 1
    reach = (right_ends - left_ends) * leftward
    starts, ends = left_ends + reach, right_ends - reach
    from_above = bits.take(starts)
    to_below = bits.take(ends + (width - leftward * (2 * width)))
    first_places = lines * width
    starts -= first_places
    ends -= first_places
    lines >>= 1
    symbols = lines // (side + 1)
    lines -= symbols * (side + 1)
    return _Edges(symbols, lines, starts, ends, from_above, to_below)


def _shift_right(rows: Words) -> Words:
    """Move each module one column to the right."""
    shifted = np.left_shift(rows, 1, out=np.empty_like(rows))
    shifted[..., 1:] |= rows[..., :-1] >> (WORD_BITS - 1)
    return shifted


def _unpack(rows: Words, columns: int) -> NDArray[np.bool_]:
    """Return the first ``columns`` modules of rows, and up to seven more: bool (..., columns)."""
    used = rows.view(np.uint8)[..., : -(-columns // 8)]
    return np.unpackbits(used, axis=-1, bitorder="little").view(np.bool_)


def _following(edges: _Edges, side: int) -> Indices:
    """Return the index of the horizontal edge that follows each edge: intp (edges,).

    Vertical edges of one column and one direction do not overlap. So from top to bottom, the n-th
    horizontal edge before one of them and the n-th after one belong to the same.
    """
    columns = edges.symbols * (2 * (side + 1))
    before = columns + 2 * edges.end_x + edges.to_below
    after = columns + 2 * edges.start_x + edges.from_above
    following = np.empty_like(columns)
    # Stable, so that edges of one key remain in the order of their rows.
    order = after.astype(np.uint16).argsort(kind="stable")
    following[before.astype(np.uint16).argsort(kind="stable")] = order
    return following


def _chains(following: Indices, is_top: NDArray[np.bool_]) -> _Chains:
    """Return the chains of edges that begin at the local tops.

    Each iteration of the loop appends one edge to every incomplete chain, so the number of
    iterations is the length of the longest chain.
    """
    tops = np.flatnonzero(is_top)
    is_last = is_top.take(following)
    bits = len(tops).bit_length()
    edges, active, place = tops, np.arange(len(tops)), 0
    packed = np.empty_like(following)  # places and chains of edges
    while len(edges):
        packed[edges] = active + (place << bits)
        goes_on = ~is_last.take(edges)
        active = active.compress(goes_on)
        edges = following.take(edges.compress(goes_on))
        place += 1
    of_edge, places = packed & ((1 << bits) - 1), packed >> bits
    last = np.flatnonzero(is_last)
    of_last = of_edge.take(last)
    lengths, following_chain = np.empty_like(tops), np.empty_like(tops)
    lengths[of_last] = places.take(last) + 1
    following_chain[of_last] = of_edge.take(following.take(last))
    return _Chains(tops, lengths, following_chain, of_edge, places)


def _order_chains(chains: _Chains) -> tuple[Indices, Indices, Indices]:
    """Return the first chain and the start point of each ring, and each chain's first point.

    A ring begins with its first chain, and rings are in the order of these. Both loops double the
    distance that they look ahead, so the number of steps is logarithmic.
    """
    count = len(chains.tops)
    every = np.arange(count)
    lowest, ahead = every, chains.following
    while True:
        lower = np.minimum(lowest, lowest.take(ahead))
        if np.array_equal(lower, lowest):
            break
        lowest, ahead = lower, ahead.take(ahead)
    is_head = lowest == every
    # An additional empty chain follows the last one of each ring.
    ahead = np.append(np.where(is_head.take(chains.following), count, chains.following), count)
    remaining = np.append(chains.lengths, 0)
    while ahead.min(initial=count) < count:
        remaining += remaining.take(ahead)
        ahead = ahead.take(ahead)
    heads = np.flatnonzero(is_head)
    ends = np.cumsum(remaining.take(heads) + 1)
    ring_ends = np.empty(count, np.intp)
    ring_ends[heads] = ends
    return heads, np.append(0, ends)[:-1], ring_ends.take(lowest) - remaining[:-1]
