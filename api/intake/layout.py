"""Layout of the images of a request, with the defaults filled in."""

from api.schemas.tasks import BulkRequest
from pipeline.service import Layout

#: X-dimension in millimetres of vector images without ``xdim_mm``, and resolution in pixels per
#: inch of a PNG with ``xdim_mm`` and without ``dpi``.
DEFAULT_XDIM_MM, DEFAULT_DPI = 0.495, 300


def bulk_layout(request: BulkRequest) -> Layout:
    """Return the layout of a bulk request.

    Args:
        request: the checked request.
    """
    is_png = request.format == "png"
    xdim_mm, dpi = request.xdim_mm, request.dpi
    if is_png and xdim_mm is not None and dpi is None:
        dpi = DEFAULT_DPI
    if not is_png:
        xdim_mm, dpi = xdim_mm or DEFAULT_XDIM_MM, None
    return Layout(
        least_version=request.version or 1,
        xdim_mm=xdim_mm,
        dpi=dpi,
        outlines=request.format == "svg",
        pages=request.pages,
        datamerge=request.datamerge,
    )
