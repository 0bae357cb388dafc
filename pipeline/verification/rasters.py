"""Rasterization of vector files by third-party libraries."""

import io
import re
from collections.abc import Callable, Mapping
from threading import Lock
from types import MappingProxyType
from typing import Any

import numpy as np
import pypdfium2
import resvg_py
from numpy.typing import NDArray
from PIL import Image

#: Side of a module in the pixels of a raster.
MODULE_PIXELS = 4
_MM_PER_INCH = 25.4
#: The beginning of an SVG up to its width, where that is in millimetres.
_MILLIMETRES = re.compile(rb'<svg\b[^>]*?\bwidth="([0-9.]+)mm"')

_LESS_THAN_A_PIXEL = 1e-3
_PDFIUM = Lock()

Pixels = NDArray[np.uint8]
#: From a file, and the side of its raster in pixels, to grey values: uint8 (side, side). Raises a
#: ValueError or an ArithmeticError if the file cannot be drawn.
Rasteriser = Callable[[bytes, int], Pixels]


def _draw_svg(file: bytes, side: int) -> Pixels:
    # resvg rounds the size of a page to whole pixels before it draws, so a size in millimetres is
    # drawn at the resolution at which it has as many pixels, and not stretched to them.
    size = _MILLIMETRES.match(file)
    options: dict[str, Any] = (
        {"dpi": side * _MM_PER_INCH / float(size[1])} if size else {"width": side}
    )
    # Without the option, resvg reads all fonts of the system for each file.
    drawn = resvg_py.svg_to_bytes(svg_string=file.decode(), skip_system_fonts=True, **options)
    with Image.open(io.BytesIO(drawn)) as image:
        return np.asarray(image.convert("L"))


def _draw_pdf(file: bytes, side: int) -> Pixels:
    # pdfium may be used by one thread at a time, which includes closing what it has opened.
    with _PDFIUM:
        try:
            with pypdfium2.PdfDocument(file) as document:
                page = document[0]
                # The number of pixels is rounded up.
                scale = (side - _LESS_THAN_A_PIXEL) / page.get_width()
                bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=False)
                pixels: Pixels = bitmap.to_numpy().copy()
                bitmap.close()
        except pypdfium2.PdfiumError as error:
            raise ValueError(str(error)) from error
        return pixels


#: The formats of which one file per chunk is drawn. Others are verified without: PNG, of which
#: every file is read, and EPS, which no library draws.
RASTERISERS: Mapping[str, Rasteriser] = MappingProxyType({"svg": _draw_svg, "pdf": _draw_pdf})
