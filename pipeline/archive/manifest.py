"""Rows of the manifest of a bundle, one per symbol."""

import hashlib
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.archive.member_names import member_name
from pipeline.model.jobs import Item
from pipeline.model.layout import Layout
from pipeline.model.records import JobFields
from render.gs1.hri import human_readable
from render.image import Image


class StagedPage(msgspec.Struct, frozen=True, array_like=True):
    """The objects of a symbol's page in ``symbols.pdf``, as staged.

    Attributes:
        bytes: their length.
        crc: their CRC-32.
    """

    bytes: int
    crc: int


class ManifestRow(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest row of one symbol; the fields are the manifest's columns, in their order.

    Attributes:
        index: position of the item in the job, counted from 1.
        file: name of the file in the bundle that has the symbol.
        module_px: side of a module in pixels; None for a vector image.
        sha256: SHA-256 of the image, hexadecimal; in a row with a ``page``, that of the page's
            content stream as stored, which means deflated.
        verified: whether the worker that staged the row has read the symbol back. False in rows of
            a release that does not verify.
        hri: human-readable interpretation of the symbol's data. This and the following fields are
            None in rows of release 0.2.0.
        page: number of the symbol's page in ``symbols.pdf``, counted from 1; absent unless all
            symbols of the job are in that file.
        width_px, width_mm, xdim_mm: as in :class:`Dimensions`.
        production_date, packaging_date, best_before_date, sell_by_date, variant: as in
            :class:`Item`; absent from all rows of a job if no item has the field.
        extra: extra values by name; absent from all rows of a job if no item has any. The manifest
            has a column ``x_…`` for each name instead.
        staged_page: the symbol's page as staged, if it has one. The manifest does not contain it.
    """

    index: int
    file: str
    gtin: str
    lot: str | None
    serial: str | None
    expiry: str | None
    uri: str
    version: int
    error_correction: str
    module_px: int | None
    sha256: str
    verified: bool = False
    hri: str | None = None
    page: int | UnsetType = UNSET
    width_px: int | None = None
    width_mm: float | None = None
    xdim_mm: float | None = None
    production_date: str | UnsetType | None = UNSET
    packaging_date: str | UnsetType | None = UNSET
    best_before_date: str | UnsetType | None = UNSET
    sell_by_date: str | UnsetType | None = UNSET
    variant: str | UnsetType | None = UNSET
    extra: dict[str, str] | UnsetType = UNSET
    staged_page: StagedPage | UnsetType = UNSET

    @property
    def item(self) -> Item:
        """The identifiers and dates of the row's item, except its GTIN."""
        own = (getattr(self, name) for name in ITEM_COLUMNS)
        values = (None if value is UNSET else value for value in own)
        return Item(self.lot, self.serial, self.expiry, None, *values)

    def column(self, name: str) -> object:
        """Return the value in a column of the manifest."""
        if name.startswith(EXTRA_PREFIX):
            extra = {} if self.extra is UNSET else self.extra
            return extra.get(name.removeprefix(EXTRA_PREFIX))
        return getattr(self, name)


#: Beginning of the names of columns of extra values; no other column begins with it.
EXTRA_PREFIX = "x_"
#: The columns of fields that only some jobs have, in the order of :class:`Item`.
ITEM_COLUMNS = (
    *("production_date", "packaging_date", "best_before_date", "sell_by_date"),
    "variant",
)
#: The columns of ``manifest.csv`` in a job with ``pages=single``, and in any other, without those
#: that only some jobs have.
PAGE_COLUMNS = tuple(
    name
    for name in ManifestRow.__struct_fields__
    if name not in {*ITEM_COLUMNS, "extra", "staged_page"}
)
CSV_COLUMNS = tuple(name for name in PAGE_COLUMNS if name != "page")


_rows_decoder = msgspec.json.Decoder(list[ManifestRow])


def decode_rows(encoded: bytes | memoryview) -> list[ManifestRow]:
    """Return rows from the JSON array in which they are staged."""
    return _rows_decoder.decode(encoded)


def item_columns(layout: Layout) -> dict[str, str]:
    """Return the columns that only some jobs have, each as name and as what it contains."""
    names = [name for name in ITEM_COLUMNS if name in layout.item_fields]
    return {name: name for name in (*names, *extra_columns(layout))}


def extra_columns(layout: Layout) -> list[str]:
    """Return the columns of a job's extra values."""
    return [f"{EXTRA_PREFIX}{name}" for name in layout.extra_names]


def manifest_row(job: JobFields, index: int, item: Item, uri: str, image: Image) -> ManifestRow:
    """Return the manifest row of one image.

    Args:
        job: the fields that all items share.
        index: position of the item in the job, counted from 1.
        item: the item that the symbol encodes.
        uri: the Digital Link URI in the symbol.
        image: the image of the symbol.
    """
    gtin = item.gtin or job.gtin
    return ManifestRow(
        index=index,
        file=member_name(job, index, item),
        gtin=gtin,
        lot=item.lot,
        serial=item.serial,
        expiry=item.expiry,
        uri=uri,
        version=image.version,
        error_correction=image.error_correction,
        module_px=image.module_px,
        sha256=hashlib.sha256(image.data).hexdigest(),
        hri=human_readable(
            gtin, item.lot, item.serial, item.expiry, item.other_dates, item.variant
        ),
        page=index if job.layout.pages == "single" else UNSET,
        width_px=image.width_px,
        width_mm=image.width_mm,
        xdim_mm=image.xdim_mm,
        **_own_values(job.layout, item),
    )


def _own_values(layout: Layout, item: Item) -> dict[str, Any]:
    """Return the values of the fields that only some jobs have."""
    found: dict[str, Any] = {
        name: getattr(item, name) for name in ITEM_COLUMNS if name in layout.item_fields
    }
    return found | {"extra": item.extra or {}} if layout.extra_names else found
