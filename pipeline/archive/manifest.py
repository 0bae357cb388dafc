"""The manifest of a bundle, as CSV (RFC 4180) and as JSON, with one row per image."""

import csv
import hashlib
import io
from collections.abc import Iterable

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.archive.member_names import member_name
from pipeline.archive.members import SpooledFile
from pipeline.model.jobs import Item
from pipeline.model.records import JobFields
from render.gs1.hri import human_readable
from render.image import Image


class ManifestRow(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest row of one image; the fields are the manifest's columns, in their order.

    Attributes:
        index: position of the item in the job, counted from 1.
        file: name of the image in the bundle.
        module_px: side of a module in pixels; None for SVG.
        sha256: SHA-256 of the image, hexadecimal.
        verified: whether the worker that staged the row has read the symbol back. False in rows of
            a release that does not verify.
        hri: human-readable interpretation of the symbol's data. This and the following fields are
            None in rows of release 0.2.0.
        page: number of the symbol's page in ``symbols.pdf``, counted from 1; absent unless all
            symbols of the job are in that file.
        width_px, width_mm, xdim_mm: as in :class:`Dimensions`.
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


CSV_COLUMNS = tuple(name for name in ManifestRow.__struct_fields__ if name != "page")


def manifest_row(job: JobFields, index: int, item: Item, uri: str, image: Image) -> ManifestRow:
    """Return the manifest row of one image.

    Args:
        job: the fields that all items share.
        index: position of the item in the job, counted from 1.
        item: the item that the symbol encodes together with the job's GTIN.
        uri: the Digital Link URI in the symbol.
        image: the image of the symbol.
    """
    return ManifestRow(
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
        hri=human_readable(job.gtin, item.lot, item.serial, item.expiry),
        width_px=image.width_px,
        width_mm=image.width_mm,
        xdim_mm=image.xdim_mm,
    )


def write_manifests(
    rows: Iterable[list[ManifestRow]], as_csv: SpooledFile, as_json: SpooledFile
) -> None:
    """Write the manifest as CSV (RFC 4180), and as one JSON array with one row per line."""
    as_csv.write(_csv_lines([CSV_COLUMNS]))
    before = b"[\n"
    for chunk in rows:
        as_csv.write(_csv_lines(map(_csv_record, chunk)))
        as_json.write(before + b",\n".join(map(msgspec.json.encode, chunk)))
        before = b",\n"
    as_json.write(b"\n]\n")
    as_csv.close()
    as_json.close()


def _csv_record(row: ManifestRow) -> list[object]:
    """Return a row's values, with Boolean values as in JSON."""
    values = [getattr(row, column) for column in CSV_COLUMNS]
    return [str(value).lower() if isinstance(value, bool) else value for value in values]


def _csv_lines(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()
