"""The seam to the pipeline: a chunk of URIs and options in, a chunk of images out."""

import re
from collections.abc import Sequence
from typing import cast

import segno

from render.image import (
    QUIET_ZONE,
    ErrorCorrection,
    Image,
    RenderOptions,
    module_pixels,
    symbol_side,
)
from render.png import write_png
from render.svg import write_svg

#: ISO/IEC 18004:2015, table 5: the characters of the alphanumeric mode.
_ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]+")


def render_chunk(uris: Sequence[str], options: RenderOptions) -> list[Image]:
    """Return one image for each URI, in their order.

    Args:
        uris: ASCII text of each symbol, at most what version 40 holds.
        options: format, size in pixels and least error correction level of all of them.

    Raises:
        ValueError: a symbol does not fit ``options.size``; the caller checks with
            :func:`least_sizes` before it accepts an item.
    """
    return [_render(uri, options) for uri in uris]


def least_sizes(uris: Sequence[str], options: RenderOptions) -> list[int]:
    """Return for each URI the least PNG side in pixels that gives each module one whole pixel."""
    # With segno, symbols of equal length and alphabet have one version: encode one of each.
    kinds = {(len(uri), _ALPHANUMERIC.fullmatch(uri) is not None): uri for uri in uris}
    sides = {
        kind: symbol_side(int(_make(uri, options).version)) + 2 * QUIET_ZONE
        for kind, uri in kinds.items()
    }
    return [sides[len(uri), _ALPHANUMERIC.fullmatch(uri) is not None] for uri in uris]


def _make(uri: str, options: RenderOptions) -> segno.QRCode:
    return segno.make_qr(uri, error=options.error_correction.lower(), boost_error=True)


def _render(uri: str, options: RenderOptions) -> Image:
    symbol = _make(uri, options)
    matrix = [bytes(row) for row in symbol.matrix]
    level = cast("ErrorCorrection", symbol.error)
    version = int(symbol.version)
    if options.format == "svg":
        return Image(write_svg(matrix), version, level, None)
    pixels = module_pixels(symbol_side(version), options.size)
    return Image(write_png(matrix, options.size), version, level, pixels)
