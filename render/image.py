"""What goes into rendering a chunk and what comes out of it."""

from typing import Literal, NamedTuple

#: File format of an image, also its file name's ending.
ImageFormat = Literal["svg", "png"]
#: The media type of each, as IANA has it.
MEDIA_TYPES: dict[str, str] = {"svg": "image/svg+xml", "png": "image/png"}
#: Error correction level, ISO/IEC 18004:2015 section 7.5.1: about 7, 15, 25, 30 % of codewords.
ErrorCorrection = Literal["L", "M", "Q", "H"]

#: Least and greatest side of a PNG image, in pixels.
MIN_SIZE, MAX_SIZE = 50, 2000

#: Width of the light margin on each side, in modules (ISO/IEC 18004:2015 section 6.3.8).
QUIET_ZONE = 4


class RenderOptions(NamedTuple):
    """How all images of a chunk are to be made.

    Attributes:
        format: ``svg`` or ``png``.
        size: side of a PNG in pixels; SVG ignores it.
        error_correction: the least level; a symbol gets a higher one when that costs no larger
            version.
    """

    format: ImageFormat
    size: int
    error_correction: ErrorCorrection = "M"


class Image(NamedTuple):
    """One rendered symbol.

    Attributes:
        data: the SVG or PNG file.
        version: the symbol's version, 1 to 40 (ISO/IEC 18004:2015 section 6.3.1.1).
        error_correction: the level it was encoded with.
        module_px: side of a module in pixels; None for SVG, which has no pixels.
    """

    data: bytes
    version: int
    error_correction: ErrorCorrection
    module_px: int | None


def symbol_side(version: int) -> int:
    """Return the side of a symbol in modules without quiet zone (ISO/IEC 18004:2015, table 1)."""
    return 17 + 4 * version


def module_pixels(side: int, size: int) -> int:
    """Return how many whole pixels a module gets when ``side`` modules and the quiet zones share
    ``size`` pixels; 0 when they do not fit.
    """  # noqa: D205 - one sentence
    return size // (side + 2 * QUIET_ZONE)
