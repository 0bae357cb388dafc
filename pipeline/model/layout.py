"""Layout of a job: what decides its images and the files of its bundle, apart from the items."""

from typing import Literal

import msgspec

from render.image import ErrorCorrection, ImageFormat, RenderOptions

#: ``each``: one file per symbol. ``single``: one file with a page per symbol, for PDF.
Pages = Literal["each", "single"]
#: The formats that release 0.2.0 renders.
_FIRST_FORMATS = frozenset({"png", "svg"})


class Layout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Layout of a job, with the defaults of requests filled in.

    It is decided when the request is accepted, and stored with the job. A re-run and the workers of
    two releases therefore render the same images. The defaults are the layout of release 0.2.0.

    Attributes:
        least_version, xdim_mm, dpi, outlines: as in :class:`RenderOptions`.
        pages: whether each symbol has a file of its own.
        datamerge: whether the bundle has a ``datamerge.csv``.
        item_fields: fields that at least one item has and that release 0.2.0 does not know, in the
            order of :class:`pipeline.model.jobs.Item`.
        extra_names: names of the items' extra values, in the order of the manifest's columns.
    """

    least_version: int = 1
    xdim_mm: float | None = None
    dpi: int | None = None
    outlines: bool = False
    pages: Pages = "each"
    datamerge: bool = False
    item_fields: tuple[str, ...] = ()
    extra_names: tuple[str, ...] = ()


FIRST_LAYOUT = Layout()


def render_options(
    image_format: ImageFormat, size: int, error_correction: ErrorCorrection, layout: Layout
) -> RenderOptions:
    """Return what the renderer needs to know of a job; the arguments are fields of the job."""
    return RenderOptions(
        image_format,
        size,
        error_correction,
        least_version=layout.least_version,
        xdim_mm=layout.xdim_mm,
        dpi=layout.dpi,
        outlines=layout.outlines,
    )


def needed_version(image_format: ImageFormat, layout: Layout) -> Literal[1, 2, 3]:
    """Return the lowest schema version whose readers render a job with this layout correctly."""
    if layout.item_fields:
        return 3
    return 2 if layout != FIRST_LAYOUT or image_format not in _FIRST_FORMATS else 1
