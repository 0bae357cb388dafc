"""Values that are valid and unkind: every symbol still says what was asked for."""

import io
import json
import random
import shutil
import string
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import biip
import httpx2
import pytest
import zxingcpp
from PIL import Image

from tests.e2e.test_base_contract import bundle_of, follow, submit

CSET82 = "!\"%&'()*+,-./0123456789:;<=>?_" + string.ascii_letters


def hostile_items(count: int) -> list[dict[str, str]]:
    chosen = random.Random(82)
    items = [{"lot": character, "serial": f"0{character}"} for character in CSET82]
    items += [
        {"lot": "%" * 20, "serial": "/" * 20, "expiry": "280229"},
        {"lot": "0000", "serial": "00000000000000000000", "expiry": "000229"},
        {"lot": "?17=270101", "serial": "../../01/x", "expiry": "991200"},
        {"lot": "%2F%2f", "serial": "a%20b&c=d+e", "expiry": "260228"},
        {"lot": "=HYPERLINK(1)", "serial": "'\"<>;--", "expiry": "510731"},
    ]
    while len(items) < count:
        lot, serial = ("".join(chosen.choices(CSET82, k=20)) for _ in range(2))
        items.append({"lot": lot, "serial": serial, "expiry": f"{chosen.randrange(100):02}0100"})
    return items


@pytest.fixture(scope="module")
def bundle(client: httpx2.Client) -> zipfile.ZipFile:
    accepted = submit(client, items=hostile_items(300), size=200)
    return bundle_of(follow(client, accepted["poll_url"]))


@pytest.mark.parametrize("reader", [["unzip", "-t", "-q"], ["7z", "t", "-bso0"]])
def test_the_downloaded_bundle_opens_with_other_readers(
    bundle: zipfile.ZipFile, reader: list[str], tmp_path: Path
) -> None:
    if shutil.which(reader[0]) is None:
        pytest.skip(f"{reader[0]} is not installed; `make debian-packages` installs it")
    assert bundle.testzip() is None
    assert isinstance(bundle.fp, io.BytesIO)
    path = tmp_path / "bundle.zip"
    path.write_bytes(bundle.fp.getvalue())
    done = subprocess.run([*reader, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def read_back(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, image.mode) == ((200, 200), "1")
        (found,) = zxingcpp.read_barcodes(image.convert("L"))
    return found.text


def parsed(uri: str) -> dict[str, str]:
    link = biip.parse(uri).gs1_digital_link_uri
    assert link is not None
    return {element.ai.ai: element.value for element in link.element_strings}


def test_every_symbol_decodes_to_the_uri_that_parses_to_its_values(
    bundle: zipfile.ZipFile,
) -> None:
    rows: list[dict[str, Any]] = json.loads(bundle.read("manifest.json"))
    items = hostile_items(300)
    assert len(rows) == 300
    for row, item in zip(rows, items, strict=True):
        uri = read_back(bundle.read(row["file"]))
        assert uri == row["uri"]
        expected = {"01": "09506000134352", "10": item["lot"], "21": item["serial"]}
        if "expiry" in item:
            expected["17"] = item["expiry"]
        assert parsed(uri) == expected


def test_every_name_is_unique_ignoring_case(bundle: zipfile.ZipFile) -> None:
    names = [name.lower() for name in bundle.namelist()]
    assert names[:3] == ["manifest.csv", "manifest.json", "warnings.json"]
    assert len(set(names)) == len(names) == 303
