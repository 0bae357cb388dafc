"""SVG documents with filled outlines and a physical size.

Source: Scalable Vector Graphics (SVG) 2, section 9.3 (path data) and 8.2 (``viewBox``). A move
``m`` after ``z`` is relative to the start of the last ring, and at the beginning of a path it is
absolute. Without strokes, no program adjusts the width of modules, and a cutter follows the edges
of the dark areas.
"""

from functools import cache

from render.image import QUIET_ZONE
from render.lines import Words
from render.outlines import trace
from render.writers.relative_paths import RelativeTokens, relative_paths, relative_tokens

_END = b'"/></svg>'


def write_svgs(rows: Words, width: str) -> list[bytes]:
    """Return an SVG document for each symbol with its quiet zone.

    Args:
        rows: uint64 (n, side, words), square matrices: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; bits after the last module are 0.
        width: width and height of the image with its unit, such as ``22.275mm``.
    """
    side = rows.shape[1]
    head, tokens = _head(side, width), _tokens(side)
    return [
        b"".join((head, path, _END))
        for outlines in trace(rows)
        for path in relative_paths(outlines, tokens)
    ]


def _head(side: int, width: str) -> bytes:
    whole = side + 2 * QUIET_ZONE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width}" '
        f'viewBox="0 0 {whole} {whole}">'
        f'<path fill="#fff" d="M0 0h{whole}v{whole}h-{whole}z"/>'
        f'<path fill="#000" d="'
    ).encode("ascii")


@cache
def _tokens(side: int) -> RelativeTokens:
    def edge(length: int) -> tuple[bytes, bytes]:
        return b"h%d" % length, b"v%d" % length if length else b"z"

    def move(distance: int) -> tuple[bytes, bytes]:
        # A minus sign separates numbers too.
        return b"m%d" % distance, b" %d" % distance if distance >= 0 else b"%d" % distance

    return relative_tokens(side + QUIET_ZONE + 1, edge, move)
