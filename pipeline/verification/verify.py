"""Comparison of a chunk's images with its items: each symbol is read back by zxing-cpp.

A PNG is read from the bytes of its file. Its modules must equal the encoded ones, because error
correction would hide a few wrong modules from the decoder. Symbols of other formats are read from
the encoded modules. One SVG file, PDF file or PDF page per chunk is also drawn by a library and
compared with its modules.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
import zxingcpp
from msgspec import UNSET
from numpy.typing import NDArray

from pipeline.archive.manifest import ManifestRow
from pipeline.errors import UnverifiedError
from pipeline.model.records import JobFields
from pipeline.verification.png_files import HEAD_BYTES, read_modules
from pipeline.verification.rasters import MODULE_PIXELS, RASTERISERS
from render.image import Image, symbol_side
from render.writers.pdf_document import page_document

#: Verification of a chunk; raises an :class:`UnverifiedError`.
Verify = Callable[[JobFields, Sequence[ManifestRow], Sequence[Image], Sequence[bytes]], None]
#: Modules with their quiet zone: uint8 (n, side, side), 1 for light.
Modules = NDArray[np.uint8]

#: Number of modules that are compared together, one byte each.
_BATCH_MODULES = 1 << 20
_QUIET_ZONE = 4  # modules (ISO/IEC 18004:2015, section 6.3.8)
_QR_CODE = zxingcpp.barcode_formats_from_str("QRCode")
#: Symbology identifier (ISO/IEC 15424) of a QR code of model 2 without ECI.
_MODEL_2 = "]Q1"
#: Grey values of a raster that count as dark and as light; there should be no others.
_DARK, _LIGHT = 64, 191


def verify(
    job: JobFields,
    rows: Sequence[ManifestRow],
    images: Sequence[Image],
    files: Sequence[bytes],
) -> None:
    """Read all symbols of a chunk back, and compare them with their items.

    Args:
        job: the fields that all items share.
        rows: the manifest rows of the items, which the symbols must agree with.
        images: the images of the items, in the order of ``rows``.
        files: the files to deliver: the data of ``images``, or the run of pages of all symbols.

    Raises:
        UnverifiedError: at least one symbol differs; the error names the first.
    """
    faults = _find_faults(job, rows, images, files)
    if faults:
        first = min(faults)
        raise UnverifiedError(rows[first].index, rows[first].file, faults[first], len(faults))


def _find_faults(
    job: JobFields,
    rows: Sequence[ManifestRow],
    images: Sequence[Image],
    files: Sequence[bytes],
) -> dict[int, str]:
    """Return how symbols differ from their items, by place; empty if none does."""
    faults: dict[int, str] = {}
    drawn = max(range(len(images)), key=lambda place: images[place].version)
    for places in _alike(images):
        modules, of_files = _read([images[place] for place in places])
        for place, symbol, of_file in zip(places, modules, of_files, strict=True):
            fault = of_file or _fault(job, rows[place], symbol)
            if not fault and place == drawn:
                fault = _fault_of_file(job.format, _file(rows, files, place), symbol)
            if fault:
                faults[place] = fault
    return faults


def _alike(images: Sequence[Image]) -> Iterator[list[int]]:
    """Yield batches of places of images of one version and, as PNG, with equal heads of files."""
    found: defaultdict[tuple[int, int | None, bytes], list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        head = image.data[:HEAD_BYTES] if image.module_px is not None else b""
        found[image.version, image.module_px, head].append(place)
    for (version, *_), places in found.items():
        batch = max(1, _BATCH_MODULES // (symbol_side(version) + 2 * _QUIET_ZONE) ** 2)
        yield from (places[start : start + batch] for start in range(0, len(places), batch))


def _read(images: Sequence[Image]) -> tuple[Modules, list[str]]:
    """Return the modules of alike images, and what is wrong with each file, empty if nothing is.

    The modules are those in the file where that is a PNG, and the encoded ones otherwise.
    """
    encoded = _encoded(images)
    pixels = images[0].module_px
    if pixels is None:
        return encoded, [""] * len(images)
    side = symbol_side(images[0].version)
    light, faults = read_modules([image.data for image in images], side, pixels)
    modules = _with_quiet_zone(light)
    for place, wrong in enumerate(np.count_nonzero(modules != encoded, axis=(1, 2)).tolist()):
        if wrong:
            faults.setdefault(place, f"modules that differ from the encoded symbol: {wrong}")
    return modules, [faults.get(place, "") for place in range(len(images))]


def _encoded(images: Sequence[Image]) -> Modules:
    """Return the modules that the encoder computed for images of one symbol version."""
    side = symbol_side(images[0].version)
    rows = np.frombuffer(b"".join(image.rows for image in images), np.uint64)
    octets = rows.astype("<u8", copy=False).view(np.uint8).reshape(len(images), side, -1)
    dark = np.unpackbits(octets, axis=2, bitorder="little")[:, :, :side]
    return _with_quiet_zone(dark ^ np.uint8(1))


def _with_quiet_zone(light: NDArray[np.uint8]) -> Modules:
    count, side, _ = light.shape
    modules = np.ones((count, side + 2 * _QUIET_ZONE, side + 2 * _QUIET_ZONE), np.uint8)
    modules[:, _QUIET_ZONE:-_QUIET_ZONE, _QUIET_ZONE:-_QUIET_ZONE] = light
    return modules


def _fault(job: JobFields, row: ManifestRow, modules: NDArray[np.uint8]) -> str:
    """Return how a symbol differs from its item; empty if it does not."""
    uri = row.item.uri(job.link_base, row.gtin)
    if row.uri != uri:
        return "the URI is not that of the item"
    found = zxingcpp.read_barcode(
        modules,
        formats=_QR_CODE,
        try_rotate=False,
        try_downscale=False,
        try_invert=False,
        binarizer=zxingcpp.Binarizer.BoolCast,
        is_pure=True,
    )
    if found is None or not found.valid:
        return "the symbol cannot be read"
    if found.bytes != uri.encode() or found.symbology_identifier != _MODEL_2:
        return "the symbol does not encode the URI of the item"
    details = cast("dict[str, object]", found.extra)
    if (details["Version"], details["ECLevel"]) != (str(row.version), row.error_correction):
        return "the symbol has another version or error correction level than its manifest row"
    if details["UEC"] != 1:  # share of the error correction that reading did not need
        return "the symbol can only be read by correcting errors"
    return ""


def _file(rows: Sequence[ManifestRow], files: Sequence[bytes], place: int) -> bytes:
    """Return the file of a symbol; if all are in one document, a document of the symbol's page."""
    if rows[place].page is UNSET:
        return files[place]
    lengths = [row.staged_page.bytes for row in rows[: place + 1] if row.staged_page is not UNSET]
    end = sum(lengths)
    return page_document(files[0][end - lengths[-1] : end], rows[place].index - 1)


def _fault_of_file(image_format: str, file: bytes, modules: NDArray[np.uint8]) -> str:
    """Return how a vector file as drawn differs from its modules; empty if it does not."""
    draw = RASTERISERS.get(image_format)
    if draw is None:
        return ""
    try:
        pixels = draw(file, MODULE_PIXELS * len(modules))
    except (ValueError, ArithmeticError):
        return "the file cannot be drawn"
    expected = modules.repeat(MODULE_PIXELS, axis=0).repeat(MODULE_PIXELS, axis=1)
    if pixels.shape != expected.shape:
        return "the file is not square"
    if ((pixels > _DARK) & (pixels < _LIGHT)).any() or ((pixels >= _LIGHT) != expected).any():
        return "the file as drawn differs from the encoded symbol"
    return ""
