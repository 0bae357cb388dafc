"""Would the harness notice? A right bundle passes, and each kind of wrong one does not."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segno

from tests.faults.expected import expected_images
from tests.faults.orders import make_order
from tests.faults.verify import RepeatedOrMissingError, WrongBundleError, verify_bundle

BODY = make_order(1, 7, "T").body
Members = dict[str, bytes]


def right_members(body: dict[str, Any] = BODY) -> Members:
    images = expected_images(body)
    drawn = {image.file: drawing(image.uri) for image in images}
    rows = [
        {**image.row, "file": image.file, "uri": image.uri, "sha256": digest(drawn[image.file])}
        for image in images
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=[*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    manifests = {"manifest.csv": table.getvalue().encode(), "manifest.json": encoded(rows)}
    return manifests | drawn


def drawing(uri: str) -> bytes:
    out = io.BytesIO()
    segno.make_qr(uri, error="m").save(out, kind="svg", border=4, light="white")
    return out.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encoded(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows).encode()


def packed(members: Members, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def images(members: Members) -> list[str]:
    return [name for name in members if name.endswith(".svg")]


def lose_an_item(members: Members) -> None:
    del members[images(members)[3]]


def repeat_an_item(members: Members) -> None:
    members["00008_T-0001_again.svg"] = members[images(members)[0]]


def change_a_byte(members: Members) -> None:
    members[images(members)[2]] += b" "


def swap_images_and_digests(members: Members) -> None:
    first, second = images(members)[:2]
    members[first], members[second] = members[second], members[first]
    rows = json.loads(members["manifest.json"])
    rows[0]["sha256"], rows[1]["sha256"] = rows[1]["sha256"], rows[0]["sha256"]
    members["manifest.json"] = encoded(rows)
    text, sums = members["manifest.csv"].decode(), [rows[1]["sha256"], rows[0]["sha256"]]
    swapped = text.replace(sums[0], "first").replace(sums[1], sums[0]).replace("first", sums[1])
    members["manifest.csv"] = swapped.encode()


def forge_another_field(members: Members) -> None:
    rows = json.loads(members["manifest.json"])
    rows[4]["x_bin"] = "another"
    members["manifest.json"] = encoded(rows)


def forge_a_serial(members: Members) -> None:
    rows = json.loads(members["manifest.json"])
    rows[4]["serial"] = "another"
    members["manifest.json"] = encoded(rows)


@pytest.mark.parametrize("more_fields", [False, True])
def test_a_right_bundle_passes(more_fields: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    body = make_order(1, 7, "T", more_fields=more_fields).body
    verify_bundle(packed(right_members(body), tmp_path / "right.zip"), body, symbols=7)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lose_an_item, RepeatedOrMissingError, "8 members for 7"),
        (repeat_an_item, RepeatedOrMissingError, "again"),
        (change_a_byte, WrongBundleError, "sha256"),
        (swap_images_and_digests, WrongBundleError, "reads"),
        (forge_a_serial, WrongBundleError, "another"),
    ],
)
def test_a_wrong_bundle_is_noticed(
    change: Callable[[Members], None], error: type[Exception], reason: str, tmp_path: Path
) -> None:
    members = right_members()
    change(members)
    with pytest.raises(error, match=reason):
        verify_bundle(packed(members, tmp_path / "wrong.zip"), BODY, symbols=7)


def test_a_wrong_value_of_another_field_is_noticed(tmp_path: Path) -> None:
    body = make_order(1, 7, "T", more_fields=True).body
    members = right_members(body)
    forge_another_field(members)
    with pytest.raises(WrongBundleError, match="another"):
        verify_bundle(packed(members, tmp_path / "wrong.zip"), body, symbols=7)


def test_a_truncated_bundle_is_noticed(tmp_path: Path) -> None:
    path = packed(right_members(), tmp_path / "short.zip")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WrongBundleError, match="cannot be read"):
        verify_bundle(path, BODY, symbols=7)
