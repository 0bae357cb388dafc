"""Descriptions of a job's images in the words of people who print."""

from api.schemas.tasks import SymbolCount
from pipeline.service import JobStatus
from render.image import Dimensions


def image_size(job: JobStatus) -> str:
    """Return the format of a job's images and what decides their size.

    For example ``PNG, 400 px``, or ``PDF, X-dimension 0.495 mm``.
    """
    layout = job.layout
    parts = [job.format.upper()]
    if layout.xdim_mm is not None:
        parts.append(f"X-dimension {layout.xdim_mm:g} mm")
    elif job.format == "png":
        parts.append(f"{job.size} px")
    if layout.dpi is not None:
        parts.append(f"{layout.dpi} dpi")
    return ", ".join(parts)


def image_files(job: JobStatus) -> str:
    """Return what :func:`image_size` does, and the other choices of the request."""
    layout = job.layout
    parts = [image_size(job)]
    if layout.least_version > 1:
        parts.append(f"version {layout.least_version} or higher")
    if layout.pages == "single":
        parts.append("one file with a page per symbol")
    if layout.datamerge:
        parts.append("with datamerge.csv")
    return ", ".join(parts)


def image_side(size: Dimensions | SymbolCount) -> str:
    """Return the side of an image, with its quiet zone.

    For example ``18.3 mm``, or ``400 px, without a size in mm``.
    """
    if size.width_mm is None:
        return f"{size.width_px} px, without a size in mm"
    pixels = f" ({size.width_px} px)" if size.width_px else ""
    return f"{size.width_mm:.1f} mm{pixels}"
