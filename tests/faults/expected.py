"""What a bundle has to hold, computed from the request alone, with none of the service's code."""

import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_LINK_BASE = "https://id.gs1.org"
_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "._-")
#: Primary key and qualifiers in the order of the URI's path, and data attributes in that of its
#: query, by the names of an item's fields.
_PATH = {"variant": "22", "lot": "10", "serial": "21"}
_QUERY = {
    "production_date": "11",
    "packaging_date": "13",
    "best_before_date": "15",
    "sell_by_date": "16",
    "expiry": "17",
}
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


def _image(gtin: str, index: str, number: int, item: dict[str, Any], ending: str) -> ExpectedImage:
    uri = f"{_LINK_BASE}/01/{gtin}"
    uri += "".join(f"/{ai}/{_encoded(item[name])}" for name, ai in _PATH.items() if name in item)
    query = "&".join(f"{ai}={item[name]}" for name, ai in _QUERY.items() if name in item)
    uri += f"?{query}" if query else ""
    parts = "_".join([index, *(item[name] for name in ("lot", "serial") if name in item)])
    default = "".join(letter if letter in _NAME_CHARACTERS else "-" for letter in parts)
    row = {"index": number, "gtin": gtin}
    row |= {name: item.get(name) for name in ("lot", "serial", "expiry")}
    row |= {name: item[name] for name in (*_PATH, *_QUERY) if name in item}
    row |= {f"x_{name}": value for name, value in item.get("extra", {}).items()}
    return ExpectedImage(f"{item.get('name', default)}.{ending}", uri, row)


def _encoded(value: str) -> str:
    # quote() leaves the tilde alone, which the contract does not.
    return quote(value, safe="").replace("~", "%7E")
