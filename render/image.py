"""Rendering options and rendered images."""

from typing import Literal, NamedTuple

#: File format of an image, and the suffix of its file name.
ImageFormat = Literal["svg", "png", "pdf", "eps"]
#: Media type of each format, as registered with IANA. EPS is a kind of PostScript (RFC 2046,
#: section 4.5.2).
MEDIA_TYPES: dict[str, str] = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "eps": "application/postscript",
}
#: Error correction levels, which recover about 7, 15, 25 and 30 % of codewords
#: (ISO/IEC 18004:2015 section 7.5.1).
ErrorCorrection = Literal["L", "M", "Q", "H"]

#: Smallest and largest ``RenderOptions.size``.
MIN_SIZE, MAX_SIZE = 50, 2000
#: Smallest and largest ``RenderOptions.xdim_mm``, in millimetres.
MIN_XDIM_MM, MAX_XDIM_MM = 0.1, 5.0
#: Smallest and largest ``RenderOptions.dpi``, in pixels per inch.
MIN_DPI, MAX_DPI = 72, 2400
#: Largest side in pixels of a PNG whose side follows from its X-dimension.
MAX_SIDE_PX = 4000

#: Largest version of a symbol (ISO/IEC 18004:2015 section 6.3.1.1).
MAX_VERSION = 40

#: Width of the light margin on each side, in modules (ISO/IEC 18004:2015 section 6.3.8).
QUIET_ZONE = 4


class RenderOptions(NamedTuple):
    """Options that all images of a chunk share.

    The defaults are the layout of release 0.2.0, whose PNG and SVG they repeat byte for byte.

    Attributes:
        format: ``svg``, ``png``, ``pdf`` or ``eps``.
        size: side of a PNG in pixels; width of another image in user units (SVG) or points of 1/72
            inch (PDF, EPS), quiet zone included. Ignored with ``xdim_mm`` and for an SVG without
            ``outlines``.
        error_correction: the lowest level; a symbol gets a higher one if that needs no larger
            version.
        least_version: the lowest version, 1 to 40; a symbol gets a larger one if its text needs it.
        xdim_mm: X-dimension, the width of a module, in millimetres. A PNG needs ``dpi`` with it,
            and gets modules of the nearest whole number of pixels.
        dpi: resolution of a PNG in pixels per inch, which is written into the file.
        outlines: whether an SVG has filled outlines and a physical size. Without, it has strokes
            and one user unit per module, like those of release 0.2.0, which ignored ``xdim_mm``.
    """

    format: ImageFormat
    size: int
    error_correction: ErrorCorrection = "M"
    least_version: int = 1
    xdim_mm: float | None = None
    dpi: int | None = None
    outlines: bool = False


class Dimensions(NamedTuple):
    """Size of an image with its quiet zone; lengths are rounded to a nanometre.

    Attributes:
        module_px: side of a module in whole pixels; None for a vector image.
        width_px: side of the image in pixels; None for a vector image.
        width_mm: side of the image in millimetres; None for a PNG without resolution.
        xdim_mm: effective X-dimension in millimetres, the width of a module in the file; None for a
            PNG without resolution.
    """

    module_px: int | None
    width_px: int | None
    width_mm: float | None
    xdim_mm: float | None


class Image(NamedTuple):
    """One rendered symbol.

    Attributes:
        data: the bytes of the file.
        version: version of the symbol, 1 to 40 (ISO/IEC 18004:2015 section 6.3.1.1).
        error_correction: error correction level of the symbol.
        module_px, width_px, width_mm, xdim_mm: as in :class:`Dimensions`.
        rows: the modules that were drawn, to compare the file with: uint64 (side, words) in native
            byte order, module x of a row is bit x % 64 of word x // 64, 1 for dark. A copy of 168
            bytes for version 1, 296 for version 5 and 4248 for version 40.
    """

    data: bytes
    version: int
    error_correction: ErrorCorrection
    module_px: int | None
    width_px: int | None
    width_mm: float | None
    xdim_mm: float | None
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
