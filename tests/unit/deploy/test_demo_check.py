"""The demo's check accepts a right bundle and names what is wrong with another."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segno

from deploy.embedded.demo_check import check_bundle
from deploy.embedded.demo_job import DemoError, make_request

REQUEST = make_request(3)
Members = dict[str, bytes]


def symbol(text: str) -> bytes:
    file = io.BytesIO()
    segno.make_qr(text).save(file, kind="png", scale=4)
    return file.getvalue()


def right_members() -> Members:
    """Return the members of a right bundle, drawn by another library than the service's."""
    members: Members = {}
    rows = []
    for number, item in enumerate(REQUEST["items"], start=1):
        name, uri = f"{number}.png", f"https://id.gs1.org/01/09506000134352/21/{number}"
        members[name] = symbol(uri)
        digest = hashlib.sha256(members[name]).hexdigest()
        row = {"index": number, "gtin": REQUEST["gtin"], **item}
        rows.append({**row, "file": name, "uri": uri, "sha256": digest})
    return members | {"manifest.csv": b"", "manifest.json": json.dumps(rows).encode()}


def write(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return path


def edit(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Members], None]:
    """Return a change of the manifest's rows as a change of the members."""

    def change_manifest(members: Members) -> None:
        rows = json.loads(members["manifest.json"])
        change(rows)
        members["manifest.json"] = json.dumps(rows).encode()

    return change_manifest


def another_symbol(members: Members) -> None:
    members["2.png"] = symbol("https://example.com/")
    digest = hashlib.sha256(members["2.png"]).hexdigest()
    edit(lambda rows: rows[1].update(sha256=digest))(members)


def test_a_right_bundle_passes(tmp_path: Path) -> None:
    check_bundle(write(tmp_path / "bundle.zip", right_members()), REQUEST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(lambda rows: rows.pop()), "has 2 rows, not 3"),
        (edit(lambda rows: rows[1].update(lot="LOT-999")), "row 2 .*LOT-999"),
        (edit(lambda rows: rows[2].update(index=4)), "row 3 "),
        (lambda members: members.update({"1.png": b"x"}), r"1\.png does not have the SHA-256"),
        (lambda members: members.update({"more.png": b""}), "members of the bundle differ"),
        (lambda members: members.pop("manifest.csv"), "members of the bundle differ"),
        (lambda members: members.update({"MANIFEST.csv": b""}), "the same name"),
        (another_symbol, r"2\.png decodes to \['https://example\.com/'\]"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_named(
    tmp_path: Path, change: Callable[[Members], object], message: str
) -> None:
    members = right_members()
    change(members)
    with pytest.raises(DemoError, match=message):
        check_bundle(write(tmp_path / "bundle.zip", members), REQUEST)
