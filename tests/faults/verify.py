"""Is a bundle right? Judged member by member, by readers that are not ours."""

import csv
import hashlib
import io
import json
import random
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import resvg_py
import zxingcpp
from PIL import Image

from tests.faults.expected import MANIFESTS, WARNINGS, ExpectedImage, expected_images

_QR_CODE = zxingcpp.barcode_formats_from_str("QRCode")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_SVG_SIDE = 400


class WrongBundleError(Exception):
    """A bundle is not what was ordered; the message is the first thing that is wrong."""


class RepeatedOrMissingError(WrongBundleError):
    """The bundle has an item twice, or not at all."""


def verify_bundle(path: Path, body: dict[str, Any], symbols: int) -> None:
    """Compare a bundle with the request it was made for.

    The members' names and order, every manifest row, and every member's SHA-256 are compared;
    ``symbols`` of the images, or all if there are no more, are read back.

    Raises:
        WrongBundleError: the first thing that is wrong.
    """
    images = expected_images(body)
    try:
        with zipfile.ZipFile(path) as bundle:
            _verify(bundle, images, body, symbols)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
        raise WrongBundleError(f"it cannot be read: {error!r}") from error


def _verify(
    bundle: zipfile.ZipFile, images: list[ExpectedImage], body: dict[str, Any], symbols: int
) -> None:
    names = bundle.namelist()
    if WARNINGS in names:  # release 0.2.0 writes none
        _require(names.index(WARNINGS) == len(MANIFESTS), "its warnings are not the third member")
        _verify_warnings(json.loads(bundle.read(WARNINGS)), body)
        names.remove(WARNINGS)
    if sorted(names) != sorted([*MANIFESTS, *(image.file for image in images)]):
        extra = set(names) - {image.file for image in images} - set(MANIFESTS)
        raise RepeatedOrMissingError(
            f"it has {len(names)} members for {len(images)} items; strange: {sorted(extra)[:3]}"
        )
    _require(names[:2] == MANIFESTS, f"it begins with {names[:2]}")
    _require(names[2:] == [image.file for image in images], "its images are not in order")
    rows = json.loads(bundle.read("manifest.json"))
    table = [*csv.DictReader(io.StringIO(bundle.read("manifest.csv").decode()))]
    _require([row["sha256"] for row in table] == [row["sha256"] for row in rows], "csv and json")
    for image, row in zip(images, rows, strict=True):
        _verify_row(image, row, hashlib.sha256(bundle.read(image.file)).hexdigest())
    count = min(symbols, len(images))
    for image in random.Random(len(images)).sample(images, count):
        _verify_symbol(bundle.read(image.file), image, body)


def _verify_warnings(warnings: dict[str, Any], body: dict[str, Any]) -> None:
    """Compare the warnings with the items: a day 00 is all that their values are warned of."""
    expected = [
        f"/items/{index}/expiry"
        for index, item in enumerate(body["items"])
        if item.get("expiry", "").endswith("00")
    ]
    pointers = [each["pointer"] for each in warnings["warnings"]]
    _require(pointers == expected[:100], f"it has warnings about {pointers[:3]}")
    _require(warnings["total"] == len(expected), f"it has {warnings['total']} warnings")


def _verify_row(image: ExpectedImage, row: dict[str, Any], digest: str) -> None:
    expected = {**image.row, "file": image.file, "uri": image.uri, "sha256": digest}
    actual = {name: row[name] for name in expected}
    _require(actual == expected, f"its manifest says {actual}, not {expected}")


def _verify_symbol(data: bytes, image: ExpectedImage, body: dict[str, Any]) -> None:
    if body["format"] == "png":
        _require(data.startswith(_PNG_HEAD), f"{image.file} is no PNG")
        width, height, depth = struct.unpack_from(">IIB", data, len(_PNG_HEAD))
        wanted = (body["size"], body["size"], 1)
        _require((width, height, depth) == wanted, f"{image.file}: {width} x {height}, {depth} bit")
    else:
        # The reader wants pixels; resvg is the renderer of SVG that is not ours.
        svg = data.decode("utf-8")
        data = bytes(
            resvg_py.svg_to_bytes(svg_string=svg, width=_SVG_SIDE, dpi=96, background="white")
        )
    with Image.open(io.BytesIO(data)) as opened:
        found = zxingcpp.read_barcodes(opened.convert("L"), formats=_QR_CODE)
    texts = [symbol.text for symbol in found]
    _require(texts == [image.uri], f"{image.file} reads {texts}, not {image.uri!r}")


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion has it
    if not holds:
        raise WrongBundleError(otherwise)
