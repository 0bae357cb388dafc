"""Rendering of a job's items into images and manifest rows."""

from collections.abc import Sequence

from pipeline.archive.manifest import ManifestRow, manifest_row
from pipeline.ledger.entries import ChunkWork
from pipeline.model.jobs import Item
from pipeline.model.layout import render_options
from pipeline.model.records import JobFields
from render.chunk import render_chunk
from render.gs1.link import digital_link_uri
from render.image import Image


def render_items(work: ChunkWork, items: Sequence[Item]) -> tuple[list[ManifestRow], list[Image]]:
    """Return the manifest rows and the images of a chunk's ``items``, in the items' order."""
    job = work.job
    symbols = render_symbols(job, items)
    rows = [
        manifest_row(job, work.first_item + place + 1, item, *symbol)
        for place, (item, symbol) in enumerate(zip(items, symbols, strict=True))
    ]
    return rows, [image for _, image in symbols]


def render_symbols(job: JobFields, items: Sequence[Item]) -> list[tuple[str, Image]]:
    """Return the URI and the image of each item, in the items' order.

    Args:
        job: the fields that all items share.
        items: items of the job; they are rendered together.
    """
    uris = [
        digital_link_uri(job.link_base, job.gtin, item.lot, item.serial, item.expiry)
        for item in items
    ]
    options = render_options(job.format, job.size, job.error_correction, job.layout)
    images = render_chunk(uris, options)
    return list(zip(uris, images, strict=True))
