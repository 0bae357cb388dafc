"""Rendering of a job's items into images, manifest rows and the files to stage."""

import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from pipeline.archive.manifest import ManifestRow, StagedPage, manifest_row
from pipeline.ledger.entries import ChunkWork
from pipeline.model.jobs import Item
from pipeline.model.layout import render_options
from pipeline.model.records import JobFields
from render.chunk import render_chunk, render_pages
from render.image import Image, RenderOptions
from render.writers.pdf_document import PageRun


class RenderedChunk(NamedTuple):
    """A rendered chunk.

    Attributes:
        rows: the manifest rows of the items, in the items' order.
        images: the images of the items, in the same order.
        files: the files that the rows name: the data of the images, or with ``pages=single`` the
            run of pages as the only file.
    """

    rows: list[ManifestRow]
    images: list[Image]
    files: list[bytes]


def render_items(work: ChunkWork, items: Sequence[Item]) -> RenderedChunk:
    """Return the rendered ``items`` of a chunk."""
    job, first = work.job, work.first_item
    if job.layout.pages == "single":
        uris = _uris(job, items)
        run, images = render_pages(uris, _options(job), first)
        rows = _rows(job, first, items, zip(uris, images, strict=True))
        return RenderedChunk(_with_pages(rows, run), images, [run.data])
    symbols = render_symbols(job, items)
    images = [image for _, image in symbols]
    return RenderedChunk(
        _rows(job, first, items, symbols), images, [image.data for image in images]
    )


def render_symbols(job: JobFields, items: Sequence[Item]) -> list[tuple[str, Image]]:
    """Return the URI and the image file of each item, in the items' order.

    Args:
        job: the fields that all items share.
        items: items of the job; they are rendered together.
    """
    uris = _uris(job, items)
    return list(zip(uris, render_chunk(uris, _options(job)), strict=True))


def _uris(job: JobFields, items: Sequence[Item]) -> list[str]:
    return [item.uri(job.link_base, job.gtin) for item in items]


def _options(job: JobFields) -> RenderOptions:
    return render_options(job.format, job.size, job.error_correction, job.layout)


def _rows(
    job: JobFields, first: int, items: Sequence[Item], symbols: Iterable[tuple[str, Image]]
) -> list[ManifestRow]:
    return [
        manifest_row(job, index, item, *symbol)
        for index, (item, symbol) in enumerate(zip(items, symbols, strict=True), first + 1)
    ]


def _with_pages(rows: list[ManifestRow], run: PageRun) -> list[ManifestRow]:
    """Return the rows with the lengths and checksums of their pages."""
    bounds = pairwise(accumulate(run.lengths, initial=0))
    data = memoryview(run.data)
    return [
        msgspec.structs.replace(
            row, staged_page=StagedPage(end - start, zlib.crc32(data[start:end]))
        )
        for row, (start, end) in zip(rows, bounds, strict=True)
    ]
