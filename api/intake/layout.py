"""Layout of the images of a request, with the defaults filled in."""

from collections.abc import Collection

import msgspec
from msgspec import UNSET

from api.intake.item_batch import OTHER_FIELDS
from api.schemas.tasks import (
    DEFAULT_DPI,
    DEFAULT_SIZE,
    DEFAULT_XDIM_MM,
    BulkRequest,
    SymbolRequest,
)
from pipeline.service import Layout, render_options
from render.image import RenderOptions


def requested_layout(
    request: BulkRequest, item_fields: Collection[str] = (), extra_names: tuple[str, ...] = ()
) -> Layout:
    """Return the layout that a bulk request asks for.

    Args:
        request: the checked request.
        item_fields: fields beyond the first ones that its items have.
        extra_names: names of the extra values that its items have.
    """
    return msgspec.structs.replace(
        _image_layout(request),
        pages=request.pages,
        datamerge=request.datamerge,
        item_fields=tuple(field for field in OTHER_FIELDS if field in item_fields),
        extra_names=extra_names,
    )


def requested_options(request: BulkRequest | SymbolRequest) -> RenderOptions:
    """Return the rendering options that a request asks for.

    Args:
        request: the request. Numbers that are out of range are returned as they are.
    """
    size = DEFAULT_SIZE if request.size is UNSET else request.size
    return render_options(request.format, size, request.error_correction, _image_layout(request))


def _image_layout(request: BulkRequest | SymbolRequest) -> Layout:
    """Return the part of a layout that decides the images."""
    xdim_mm, dpi = request.xdim_mm, request.dpi
    if request.format != "png":
        dpi = None
        if xdim_mm is None and not _has_width(request):
            xdim_mm = DEFAULT_XDIM_MM
    elif xdim_mm is not None and dpi is None:
        dpi = DEFAULT_DPI
    return Layout(
        least_version=request.version or 1,
        xdim_mm=xdim_mm,
        dpi=dpi,
        outlines=request.format == "svg",
    )


def _has_width(request: BulkRequest | SymbolRequest) -> bool:
    """Return whether the request states the width of a vector image as its ``size``."""
    return isinstance(request, SymbolRequest) and request.size is not UNSET
