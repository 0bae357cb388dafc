"""Rendering options and rendered images."""

from typing import Literal, NamedTuple

#: File format of an image, and the suffix of its file name.
ImageFormat = Literal["svg", "png"]
#: Media type of each format, as registered with IANA.
MEDIA_TYPES: dict[str, str] = {"svg": "image/svg+xml", "png": "image/png"}
#: Error correction levels, which recover about 7, 15, 25 and 30 % of codewords
#: (ISO/IEC 18004:2015 section 7.5.1).
ErrorCorrection = Literal["L", "M", "Q", "H"]

#: Smallest and largest side of a PNG, in pixels.
MIN_SIZE, MAX_SIZE = 50, 2000

#: Width of the light margin on each side, in modules (ISO/IEC 18004:2015 section 6.3.8).
QUIET_ZONE = 4


class RenderOptions(NamedTuple):
    """Options that all images of a chunk share.

    Attributes:
        format: ``svg`` or ``png``.
        size: side of a PNG in pixels; ignored for SVG.
        error_correction: the lowest level; a symbol gets a higher one if that needs no larger
            version.
    """

    format: ImageFormat
    size: int
    error_correction: ErrorCorrection = "M"


class Image(NamedTuple):
    """One rendered symbol.

    Attributes:
        data: the bytes of the SVG or PNG file.
        version: version of the symbol, 1 to 40 (ISO/IEC 18004:2015 section 6.3.1.1).
        error_correction: error correction level of the symbol.
        module_px: side of a module in pixels; None for SVG, which has no pixels.
        rows: the modules that were drawn, to compare the file with: uint64 (side, words) in native
            byte order, module x of a row is bit x % 64 of word x // 64, 1 for dark. A copy of 168
            bytes for version 1, 296 for version 5 and 4248 for version 40.
    """

    data: bytes
    version: int
    error_correction: ErrorCorrection
    module_px: int | None
    rows: bytes


def symbol_side(version: int) -> int:
    """Return the side of a symbol in modules without quiet zone (ISO/IEC 18004:2015, table 1)."""
    return 17 + 4 * version


def module_pixels(side: int, size: int) -> int:
    """Return the side of a module in whole pixels; 0 if the symbol does not fit.

    Args:
        side: side of the symbol in modules, without quiet zones.
        size: side of the image in pixels, with quiet zones.
    """
    return size // (side + 2 * QUIET_ZONE)
