"""Physical dimensions of images: from X-dimension and resolution to pixels, millimetres and points.

The X-dimension is the width of a module. Lengths of vector images are computed in decimal, so that
a file states what was requested and not a binary fraction near it.
"""

from decimal import Decimal

from render.image import (
    MAX_SIDE_PX,
    MAX_VERSION,
    QUIET_ZONE,
    Dimensions,
    RenderOptions,
    symbol_side,
)

_MM_PER_INCH = Decimal("25.4")
#: A point of PDF and PostScript is 1/72 inch (ISO 32000-1, 8.3.2.3), a user unit of SVG is a CSS
#: pixel of 1/96 inch (CSS Values and Units 4, section 6.2).
_POINTS_PER_INCH, _USER_UNITS_PER_INCH = 72, 96
#: Decimal places of a length in points in PDF and EPS, 3.5 nm: the precision that PDF viewers keep
#: (PDF Reference 1.7, table C.1).
POINT_PLACES = 5
#: Decimal places of a length in millimetres in ``Dimensions``: a nanometre.
_MM_PLACES = 6


def dimensions(version: int, options: RenderOptions) -> Dimensions:
    """Return the size of the image of a symbol of ``version``.

    Raises:
        ValueError: If the symbol does not fit (see :func:`largest_version`), or if a PNG has
            ``xdim_mm`` without ``dpi``.
    """
    if options.format != "png":
        width = vector_width(version, options)
        return Dimensions(None, None, _rounded(width), _rounded(width / _modules(version)))
    module, side = pixels(version, options)
    if options.dpi is None:
        return Dimensions(module, side, None, None)
    pixel = _MM_PER_INCH / options.dpi
    return Dimensions(module, side, _rounded(side * pixel), _rounded(module * pixel))


def pixels(version: int, options: RenderOptions) -> tuple[int, int]:
    """Return the sides of a module and of the image of a PNG, in pixels.

    Raises:
        ValueError: as :func:`dimensions`.
    """
    if options.xdim_mm is None:
        module, side = options.size // _modules(version), options.size
    else:
        module = _module_pixels(options.xdim_mm, options.dpi)
        side = module * _modules(version)
    if version > largest_version(options):
        limit = options.size if options.xdim_mm is None else MAX_SIDE_PX
        raise ValueError(
            f"{_modules(version)} modules of {max(1, module)} pixels do not fit {limit} pixels"
        )
    return module, side


def largest_version(options: RenderOptions) -> int:
    """Return the largest version that fits an image with these options; 0 if none does.

    Callers compare it with :func:`render.chunk.choose_versions` before they accept an item. A PNG
    must have at least one pixel per module, and at most ``MAX_SIDE_PX`` pixels if its side follows
    from ``xdim_mm``. Every version fits a vector image.

    Raises:
        ValueError: If a PNG has ``xdim_mm`` without ``dpi``.
    """
    if options.format != "png":
        return MAX_VERSION
    modules = options.size
    if options.xdim_mm is not None:
        modules = MAX_SIDE_PX // _module_pixels(options.xdim_mm, options.dpi)
    return max(0, min(MAX_VERSION, (modules - _modules(0)) // 4))


def vector_width(version: int, options: RenderOptions) -> Decimal:
    """Return the exact width of a vector image in millimetres, quiet zone included."""
    if options.format == "svg" and not options.outlines:
        return _modules(version) * _MM_PER_INCH / _USER_UNITS_PER_INCH
    if options.xdim_mm is not None:
        return _modules(version) * Decimal(str(options.xdim_mm))
    units = _USER_UNITS_PER_INCH if options.format == "svg" else _POINTS_PER_INCH
    return options.size * _MM_PER_INCH / units


def points(millimetres: Decimal) -> Decimal:
    """Return a length in points of 1/72 inch, rounded to ``POINT_PLACES``."""
    return round(millimetres * _POINTS_PER_INCH / _MM_PER_INCH, POINT_PLACES)


def decimal_text(length: Decimal) -> str:
    """Return a length as PDF, PostScript and SVG write it: no exponent, no trailing zeros."""
    return f"{length:.0f}" if length == length.to_integral_value() else f"{length:f}".rstrip("0")


def _module_pixels(xdim_mm: float, dpi: int | None) -> int:
    """Return the whole number of pixels that is nearest to an X-dimension, at least 1."""
    if dpi is None:
        raise ValueError(f"a PNG with an X-dimension of {xdim_mm} mm needs a resolution")
    return max(1, round(xdim_mm * dpi / float(_MM_PER_INCH)))


def _modules(version: int) -> int:
    """Return the side of an image in modules, quiet zones included."""
    return symbol_side(version) + 2 * QUIET_ZONE


def _rounded(length: Decimal) -> float:
    return float(round(length, _MM_PLACES))
