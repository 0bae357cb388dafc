"""EPS files: one vector image of exact size, black as K only.

Source: PostScript Language Reference, third edition: section 4.4 (paths), 4.8.2 (``setcmykcolor``,
LanguageLevel 2); Encapsulated PostScript File Format Specification 3.0; Document Structuring
Conventions 3.0. There is no creation date, so the same symbol always gives the same bytes.
"""

from decimal import ROUND_CEILING, Decimal
from functools import cache

from render.dimensions import POINT_PLACES, decimal_text
from render.image import QUIET_ZONE
from render.lines import Words
from render.outlines import trace
from render.writers.relative_paths import RelativeTokens, relative_paths, relative_tokens

# Deflated by ``pipeline.archive.members``, which is deterministic because the four bytes from the
# file's first, second or third byte never occur again.
#
# The procedures, in a dictionary of their own: ``m`` moves to the start of a ring, ``d`` draws a
# horizontal and a vertical edge, ``z`` the last horizontal edge of a ring, and closes the ring.
_HEAD = """\
%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 {ceiling} {ceiling}
%%HiResBoundingBox: 0 0 {width} {width}
%%LanguageLevel: 2
%%DocumentProcessColors: Black
%%Pages: 1
%%EndComments
%%Page: 1 1
gsave
3 dict begin
/m {{rmoveto}} bind def
/d {{exch 0 rlineto 0 exch rlineto}} bind def
/z {{0 rlineto closepath}} bind def
0 {width} translate
{scale} -{scale} scale
0 0 0 1 setcmykcolor
newpath
0 0 moveto
"""
_END = b"fill\nend\ngrestore\nshowpage\n%%EOF\n"


def write_epss(rows: Words, width: Decimal) -> list[bytes]:
    """Return an EPS file for each symbol with its quiet zone, which is not painted.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; bits after the last module are 0.
        width: width and height of the image in points of 1/72 inch.
    """
    side = rows.shape[1]
    head, tokens = _head(side, width), _tokens(side)
    return [
        b"".join((head, path, _END))
        for outlines in trace(rows)
        for path in relative_paths(outlines, tokens)
    ]


def _head(side: int, width: Decimal) -> bytes:
    return _HEAD.format(
        ceiling=width.to_integral_value(ROUND_CEILING),
        width=decimal_text(width),
        scale=decimal_text(round(width / (side + 2 * QUIET_ZONE), POINT_PLACES)),
    ).encode("ascii")


@cache
def _tokens(side: int) -> RelativeTokens:
    def edge(length: int) -> tuple[bytes, bytes]:
        return b"%d " % length, b"%d d\n" % length if length else b"z\n"

    def move(distance: int) -> tuple[bytes, bytes]:
        return b"%d " % distance, b"%d m\n" % distance

    return relative_tokens(side + QUIET_ZONE + 1, edge, move)
