"""SVG documents of release 0.2.0: one path of horizontal runs of dark modules, as strokes.

A job that an older release accepted gets these bytes from every release.

Source: Scalable Vector Graphics (SVG) 2, section 9.3 (path data). A run is a stroke one user unit
wide: ``h`` and the run's length. ``m`` moves to the next run of the row, ``M`` to the next row. The
view box is shifted by half a unit, so that strokes at integer coordinates fill modules.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import QUIET_ZONE
from render.lines import WORD_BITS, Words

#: Number of symbols that are written together, so that working arrays stay in the processor's
#: cache.
_BATCH = 32
_END = b'"/></svg>'
_SEPARATOR = b"\n"
# A token has a fixed width and is filled with zero bytes, which are removed from the joined tokens.
_FILLER = b"\0"
Tokens = NDArray[np.bytes_]


class _Runs(NamedTuple):
    """Runs of dark modules, in order.

    Attributes:
        rows: intp (runs,), row of each run, counted through all symbols.
        columns: intp (runs,), first column of each run.
        lengths: intp (runs,), number of modules of each run.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    lengths: NDArray[np.intp]


class _TokenTable(NamedTuple):
    """The pieces of path data for symbols of one side length.

    Attributes:
        runs: bytes (width * width,), the token of a run. Its index is length * width + gap, where
            the gap is the number of light modules up to the next run of the row, and 0 for the
            row's last run.
        rows: bytes (side * width,), the token that moves to a row's first run. Its index is
            row * width + column; column ``side`` means an empty row. Tokens of row 0 begin with a
            separator.
        width: a number larger than any length, gap or column.
    """

    runs: Tokens
    rows: Tokens
    width: int


def write_stroked_svgs(rows: Words) -> list[bytes]:
    """Return an SVG document for each symbol with its quiet zone, one user unit per module.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; bits after the last module are 0.
    """
    head = _head(rows.shape[1])
    return [
        b"".join((head, path, _END))
        for start in range(0, len(rows), _BATCH)
        for path in _paths(rows[start : start + _BATCH])
    ]


@cache
def _head(side: int) -> bytes:
    whole = side + 2 * QUIET_ZONE
    left, top = f"-{QUIET_ZONE}", f"-{QUIET_ZONE}.5"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" '
        f'viewBox="{left} {top} {whole} {whole}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M{left}{top}h{whole}v{whole}h-{whole}z"/>'
        f'<path stroke="#000" d="'
    ).encode("ascii")


def _paths(rows: Words) -> list[bytes]:
    """Return the path data of each symbol's dark modules."""
    count, side, _ = rows.shape
    runs = _runs(rows)
    runs_of_row = np.bincount(runs.rows, minlength=count * side)
    first_runs = np.cumsum(runs_of_row) - runs_of_row
    # Each row has a token of its own before its runs, which may be empty.
    tokens = np.empty(len(runs.rows) + count * side, _token_table(side).runs.dtype)
    tokens[np.arange(1, len(runs.rows) + 1) + runs.rows] = _run_tokens(runs, side)
    moves = _row_tokens(runs, first_runs, runs_of_row, side)
    tokens[first_runs + np.arange(count * side)] = moves
    data = tokens.tobytes().translate(None, _FILLER)
    return data.split(_SEPARATOR)[1:]


def _runs(rows: Words) -> _Runs:
    """Return the runs of dark modules of all symbols, in order."""
    side = rows.shape[1]
    borders = np.zeros((*rows.shape[:2], side // WORD_BITS + 1), np.uint64)
    borders[..., : rows.shape[2]] = rows ^ (rows << 1)
    borders[..., 1:] ^= rows[..., : borders.shape[2] - 1] >> (WORD_BITS - 1)
    # Unpack only the bytes with modules and the border after the last module.
    used_bytes = side // 8 + 1
    bits = np.unpackbits(borders.view(np.uint8)[..., :used_bytes], axis=2, bitorder="little")
    places = np.flatnonzero(bits.view(np.bool_))
    starts, ends = places[::2], places[1::2]
    row = starts // (8 * used_bytes)
    return _Runs(row, starts - row * (8 * used_bytes), ends - starts)


def _run_tokens(runs: _Runs, side: int) -> Tokens:
    """Return the token of each run: bytes (runs,)."""
    gaps = np.zeros_like(runs.columns)
    np.subtract(runs.columns[1:], runs.columns[:-1], out=gaps[:-1])
    gaps -= runs.lengths
    last_of_row = np.ones(len(gaps), np.bool_)
    np.not_equal(runs.rows[1:], runs.rows[:-1], out=last_of_row[:-1])
    gaps[last_of_row] = 0
    table = _token_table(side)
    tokens: Tokens = table.runs.take(runs.lengths * table.width + gaps)
    return tokens


def _row_tokens(
    runs: _Runs, first_runs: NDArray[np.intp], runs_of_row: NDArray[np.intp], side: int
) -> Tokens:
    """Return the token before each row's runs: bytes (rows,)."""
    columns = np.append(runs.columns, side)[first_runs]
    columns[runs_of_row == 0] = side
    table = _token_table(side)
    tokens: Tokens = table.rows.take(np.arange(len(columns)) % side * table.width + columns)
    return tokens


@cache
def _token_table(side: int) -> _TokenTable:
    width = side + 1
    runs = [[b""] * width for _ in range(width)]
    for length, row in enumerate(runs):
        row[0] = b"h%d" % length
        for gap in range(1, width - length):
            row[gap] = b"h%dm%d 0" % (length, gap)
    moves = [[b"M%d %d" % (x, y) for x in range(side)] + [b""] for y in range(side)]
    moves[0] = [_SEPARATOR + move for move in moves[0]]
    # Tokens of one or two machine words are copied fastest.
    longest = max(len(token) for row in runs + moves for token in row)
    dtype = f"S{8 if longest <= 8 else 16}"  # noqa: PLR2004 - bytes of a word
    return _TokenTable(np.array(runs, dtype).ravel(), np.array(moves, dtype).ravel(), width)
