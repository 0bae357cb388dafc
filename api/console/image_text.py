"""Descriptions of a job's images in the words of people who print."""

from pipeline.service import JobStatus


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
