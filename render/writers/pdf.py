"""PDF pages of exact size: one symbol per page, as filled outlines, black as K only.

Source: ISO 32000-1:2008, sections 8.5 (paths), 8.6.4.4 (DeviceCMYK), 7.8.2 (content streams) and
annex C (limits). A page has no font, image, profile or metadata, and nothing depends on the time.
The files do not claim to be PDF/X.
"""

from decimal import Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from render.dimensions import POINT_PLACES, decimal_text
from render.image import QUIET_ZONE
from render.lines import Words
from render.outlines import Outlines, trace
from render.writers.pdf_objects import (
    HEADER,
    PAGE_BYTES,
    ROOT,
    catalog,
    page_objects,
    table_entries,
    table_head,
    trailer,
    tree_node,
)
from render.writers.relative_paths import joined

#: ISA-L at level 1 deflates a page in a third of the time of zlib's level 1, to fewer bytes. Its
#: output is deterministic on the machines that ``render.writers.png`` names, provided that the four
#: bytes from the stream's first, second or third byte never occur again;
#: ``pipeline.archive.members`` says why. Each stream begins with a comment for that purpose.
_DEFLATE_LEVEL = 1
_UNIQUE = "%QR\n"
_END = b"f\n"


class PageTokens(NamedTuple):
    """Tokens of the points of an outline.

    Attributes:
        tokens: void (2 * width * width + 2,), the operators of each point. A line to (x, y) is at
            index y * width + x, a move to it width * width further on. The last two are the
            operator that closes a ring, and an empty token.
        width: a number larger than any coordinate.
    """

    tokens: NDArray[np.bytes_]
    width: int


def write_pdfs(rows: Words, width: Decimal) -> list[bytes]:
    """Return a PDF file of one page for each symbol; the arguments are those of ``write_pages``."""
    number = ROOT + 1
    start = HEADER + catalog()
    head = start + tree_node(ROOT, (number,), pages=1)
    offsets = (len(HEADER), len(start), len(head), len(head) + PAGE_BYTES)
    table = table_head(len(offsets)) + table_entries(offsets)
    files = []
    for content in write_pages(rows, width):
        objects = page_objects(number, ROOT, width, content)
        end = trailer(len(offsets), len(head) + len(objects))
        files.append(b"".join((head, objects, table, end)))
    return files


def write_pages(rows: Words, width: Decimal) -> list[bytes]:
    """Return the deflated content stream (``FlateDecode``) of each symbol's page.

    The page has the width and height ``width``, and the quiet zone is not painted.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; bits after the last module are 0.
        width: width and height of the page in points of 1/72 inch.
    """
    side = rows.shape[1]
    head, tokens = _head(side, width), _tokens(side)
    return [
        isal_zlib.compress(b"".join((head, path, _END)), _DEFLATE_LEVEL)
        for outlines in trace(rows)
        for path in _paths(outlines, tokens)
    ]


def _head(side: int, width: Decimal) -> bytes:
    """Return what precedes the path: K only, one unit per module, y downwards from the top."""
    whole, scale = (
        decimal_text(width),
        decimal_text(round(width / (side + 2 * QUIET_ZONE), POINT_PLACES)),
    )
    return f"{_UNIQUE}0 0 0 1 k\n{scale} 0 0 -{scale} 0 {whole} cm\n".encode("ascii")


@cache
def _tokens(side: int) -> PageTokens:
    width = side + QUIET_ZONE + 1
    points = [b"%d %d " % (x, y) for y in range(width) for x in range(width)]
    tokens = [point + b"l\n" for point in points] + [point + b"m\n" for point in points]
    tokens += [b"h\n", b""]
    # Tokens of one or two machine words are copied fastest.
    longest = max(map(len, tokens))
    dtype = f"S{8 if longest <= 8 else 16}"  # noqa: PLR2004 - bytes of a word
    return PageTokens(np.array(tokens, dtype), width)


def _paths(outlines: Outlines, tokens: PageTokens) -> list[bytes]:
    """Return the path operators of each symbol, in the coordinates of modules."""
    x, y, starts = outlines.x, outlines.y, outlines.starts
    indexes = np.empty((len(x), 2), np.intp)
    indexes[:, 0] = y * tokens.width + x
    indexes[:-1, 1] = y[1:] * tokens.width + x[:-1]
    close = 2 * tokens.width**2
    indexes[outlines.ends(), 1] = close
    indexes[starts, 0] += tokens.width**2
    indexes[starts, 1] = close + 1
    return joined(tokens.tokens.take(indexes, mode="clip"), outlines)
