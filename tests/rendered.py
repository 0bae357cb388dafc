"""A rendered chunk with everything that its verification gets."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.manifest import ManifestRow
from pipeline.ledger.entries import ChunkWork
from pipeline.model.jobs import Item
from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.records import JobFields
from pipeline.rendering import render_items
from pipeline.verification.verify import verify
from render.image import ErrorCorrection, Image, ImageFormat, symbol_side

ITEMS = [Item(f"LOT-{place % 7}", f"SER{place:06}", "271231") for place in range(24)]


def matrix(image: Image) -> NDArray[np.uint64]:
    """Return the modules of an image, to be changed: uint64 (side, words)."""
    return np.frombuffer(image.rows, np.uint64).reshape(symbol_side(image.version), -1).copy()


class Rendered(NamedTuple):
    job: JobFields
    rows: list[ManifestRow]
    images: list[Image]
    run: bytes | None

    @property
    def files(self) -> list[bytes]:
        return [image.data for image in self.images] if self.run is None else [self.run]

    def verify(self) -> None:
        verify(self.job, self.rows, self.images, self.files)


def render(
    image_format: ImageFormat,
    items: Sequence[Item] = ITEMS,
    size: int = 200,
    level: ErrorCorrection = "M",
    chunk_index: int = 0,
    *,
    layout: Layout = FIRST_LAYOUT,
) -> Rendered:
    """Render a chunk of a job whose chunks have as many items."""
    job = JobFields(
        task_id="7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63",
        key_id="a",
        key_name="a",
        request_id="r",
        created_at=1_795_000_000_000,
        gtin="09506000134352",
        format=image_format,
        size=size,
        error_correction=level,
        link_base="https://id.gs1.org",
        items=len(items) * (chunk_index + 1),
        chunk_size=len(items),
        callback_url="",
        layout=layout,
    )
    chunk = render_items(ChunkWork(job, chunk_index, "m", 1, 0, 0), items)
    run = chunk.files[0] if layout.pages == "single" else None
    return Rendered(job, chunk.rows, chunk.images, run)
