"""Checks of the demo's bundle, with independent software: zipfile, hashlib and zxing-cpp."""

import hashlib
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import zxingcpp
from PIL import Image

from deploy.embedded.demo_job import DemoError

SAMPLE = 250
_SEED = 7
_QR_CODE = zxingcpp.barcode_formats_from_str("QRCode")
_MANIFESTS = {"manifest.csv", "manifest.json"}


def check_bundle(path: Path, request: dict[str, Any]) -> None:
    """Compare a bundle with its request.

    Every member is compared with its SHA-256 in the manifest, and every row of the manifest with
    the request. A sample of the symbols is decoded and compared with the URIs in the manifest.

    Raises:
        DemoError: a comparison failed. The message describes the first difference.
    """
    with zipfile.ZipFile(path) as bundle:
        rows = json.loads(bundle.read("manifest.json"))
        _check_rows(rows, request)
        _check_names(bundle, rows)
        for row in rows:
            digest = hashlib.sha256(bundle.read(row["file"])).hexdigest()
            _require(
                digest == row["sha256"], f"{row['file']} does not have the SHA-256 of the manifest"
            )
        for row in random.Random(_SEED).sample(rows, min(SAMPLE, len(rows))):  # noqa: S311 - a sample
            _check_symbol(bundle.read(row["file"]), row)


def _check_rows(rows: list[dict[str, Any]], request: dict[str, Any]) -> None:
    items = request["items"]
    _require(len(rows) == len(items), f"the manifest has {len(rows)} rows, not {len(items)}")
    for number, (row, item) in enumerate(zip(rows, items, strict=True), start=1):
        expected = {"index": number, "gtin": request["gtin"], **item}
        actual = {name: row[name] for name in expected}
        _require(actual == expected, f"row {number} of the manifest is {actual}, not {expected}")


def _check_names(bundle: zipfile.ZipFile, rows: list[dict[str, Any]]) -> None:
    names = bundle.namelist()
    _require(
        len({name.casefold() for name in names}) == len(names),
        "two members have the same name, ignoring case",
    )
    expected = _MANIFESTS | {row["file"] for row in rows}
    _require(
        set(names) == expected, "the members of the bundle differ from the files in the manifest"
    )


def _check_symbol(png: bytes, row: dict[str, Any]) -> None:
    with Image.open(io.BytesIO(png)) as image:
        found = zxingcpp.read_barcodes(image.convert("L"), formats=_QR_CODE)
    texts = [symbol.text for symbol in found]
    _require(texts == [row["uri"]], f"{row['file']} decodes to {texts}, not {row['uri']!r}")


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - like an assertion
    if not holds:
        raise DemoError(otherwise)
