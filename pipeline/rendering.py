"""A job's items as images and rows of the manifest."""

import hashlib
from collections.abc import Sequence

from pipeline.archive.member_names import member_name
from pipeline.ledger.entries import ChunkWork
from pipeline.model.chunks import ImageRow
from pipeline.model.jobs import Item
from pipeline.model.records import JobFields
from render.chunk import render_chunk
from render.gs1.link import digital_link_uri
from render.image import Image, RenderOptions


def render_items(work: ChunkWork, items: Sequence[Item]) -> tuple[list[ImageRow], list[bytes]]:
    """Return the manifest rows and images of a chunk's ``items``, in their order."""
    job = work.job
    uris = [
        digital_link_uri(job.link_base, job.gtin, item.lot, item.serial, item.expiry)
        for item in items
    ]
    rendered = render_chunk(uris, _options(job))
    rows = [
        _row(job, work.first_item + place + 1, item, uri, image)
        for place, (item, uri, image) in enumerate(zip(items, uris, rendered, strict=True))
    ]
    return rows, [image.data for image in rendered]


def _options(job: JobFields) -> RenderOptions:
    return RenderOptions(job.format, job.size, job.error_correction)


def _row(job: JobFields, index: int, item: Item, uri: str, image: Image) -> ImageRow:
    return ImageRow(
        index=index,
        file=member_name(job, index, item),
        gtin=job.gtin,
        lot=item.lot,
        serial=item.serial,
        expiry=item.expiry,
        uri=uri,
        version=image.version,
        error_correction=image.error_correction,
        module_px=image.module_px,
        sha256=hashlib.sha256(image.data).hexdigest(),
    )
