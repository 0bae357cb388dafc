"""What a bundle has to hold, computed from the request alone, with none of the service's code."""

import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_LINK_BASE = "https://id.gs1.org"
_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "._-")
MANIFESTS = ["manifest.csv", "manifest.json"]
WARNINGS = "warnings.json"


@dataclass(frozen=True, slots=True)
class ExpectedImage:
    """One image: its name, its URI, and the values in its manifest row."""

    file: str
    uri: str
    row: dict[str, Any]


def expected_images(body: dict[str, Any]) -> list[ExpectedImage]:
    """Return the images of a request in their order."""
    gtin = body["gtin"].zfill(14)
    width = max(5, len(str(len(body["items"]))))
    return [
        _image(gtin, f"{number:0{width}}", number, item, body["format"])
        for number, item in enumerate(body["items"], start=1)
    ]


def _image(gtin: str, index: str, number: int, item: dict[str, str], ending: str) -> ExpectedImage:
    lot, serial, expiry = (item.get(name) for name in ("lot", "serial", "expiry"))
    uri = f"{_LINK_BASE}/01/{gtin}"
    uri += f"/10/{_encoded(lot)}" if lot is not None else ""
    uri += f"/21/{_encoded(serial)}" if serial is not None else ""
    uri += f"?17={expiry}" if expiry is not None else ""
    parts = "_".join([index, *(part for part in (lot, serial) if part is not None)])
    name = "".join(letter if letter in _NAME_CHARACTERS else "-" for letter in parts)
    row = {"index": number, "gtin": gtin, "lot": lot, "serial": serial, "expiry": expiry}
    return ExpectedImage(f"{name}.{ending}", uri, row)


def _encoded(value: str) -> str:
    # quote() leaves the tilde alone, which the contract does not.
    return quote(value, safe="").replace("~", "%7E")
