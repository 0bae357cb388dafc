"""The demo, smaller, and whether its check would notice a wrong bundle."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from deploy.embedded.demo import Stages, run
from deploy.embedded.demo_check import check_bundle
from deploy.embedded.demo_job import DemoError, make_request

ITEMS = 300
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a demo that went well, and with it a stack that has come and gone."""
    stages = Stages()
    made = run(tmp_path_factory.mktemp("demo"), ITEMS, Console(file=io.StringIO()), stages)
    assert list(stages.seconds) == [
        "set-up",
        "accept",
        "rendering",
        "bundle",
        "download",
        "verify",
    ]
    return made


def changed(bundle: Path, change: Callable[[Members], None], to: Path) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def images(members: Members) -> list[str]:
    return [name for name in members if name.endswith(".png")]


def flip_a_byte(members: Members) -> None:
    name = images(members)[-1]
    members[name] = members[name][:-1] + b"\0"


def lose_an_image(members: Members) -> None:
    del members[images(members)[7]]


def swap_two_images_and_their_digests(members: Members) -> None:
    rows = json.loads(members["manifest.json"])
    # Every one with its neighbour, so that the sample has some of them.
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        names = one["file"], other["file"]
        members[names[0]], members[names[1]] = members[names[1]], members[names[0]]
        one["sha256"], other["sha256"] = other["sha256"], one["sha256"]
    members["manifest.json"] = json.dumps(rows).encode()


def forge_a_lot(members: Members) -> None:
    members["manifest.json"] = members["manifest.json"].replace(b'"LOT-001"', b'"LOT-999"', 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flip_a_byte, "SHA-256"),
        (lose_an_image, "members of the bundle differ"),
        (swap_two_images_and_their_digests, "decodes to"),
        (forge_a_lot, "LOT-999"),
    ],
)
def test_a_wrong_bundle_is_noticed(
    bundle: Path, tmp_path: Path, change: Callable[[Members], None], reason: str
) -> None:
    wrong = changed(bundle, change, tmp_path / "wrong.zip")
    with pytest.raises(DemoError, match=reason):
        check_bundle(wrong, make_request(ITEMS))


def test_a_bundle_that_was_only_packed_anew_passes(bundle: Path, tmp_path: Path) -> None:
    check_bundle(changed(bundle, lambda _: None, tmp_path / "same.zip"), make_request(ITEMS))
