import csv
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.archive.bundle import stream_archive
from pipeline.archive.manifest import CSV_COLUMNS, ManifestRow
from pipeline.archive.members import ZipMember, make_member
from pipeline.model.layout import Layout
from render.image import ImageFormat
from tests.zip_readers.readers import BY_DIRECTORY, STREAMING

ACCEPTED_AT = 1_795_000_001  # an odd second: ZIP times have a resolution of two


def make_chunks(
    image_format: ImageFormat, chunks: int = 3, size: int = 4
) -> list[tuple[list[ManifestRow], list[ZipMember]]]:
    made = []
    for chunk in range(chunks):
        images = [f"{chunk}-{place}".encode() * 50 for place in range(size)]
        rows = [
            ManifestRow(
                index=chunk * size + place + 1,
                file=f"{chunk * size + place + 1:05}_a.{image_format}",
                gtin="09506000134352",
                lot='quoted ", comma',
                serial=None,
                expiry="270200",
                uri="https://id.gs1.org/01/09506000134352?17=270200",
                version=4,
                error_correction="M",
                module_px=None if image_format == "svg" else 9,
                sha256=hashlib.sha256(image).hexdigest(),
                verified=place % 2 == 0,
            )
            for place, image in enumerate(images)
        ]
        members = [make_member(row.file, image) for row, image in zip(rows, images, strict=True)]
        made.append((rows, members))
    return made


def archive(image_format: ImageFormat) -> bytes:
    chunks = make_chunks(image_format)
    rows, members = zip(*chunks, strict=True)
    return b"".join(stream_archive(ACCEPTED_AT, rows, members))


@pytest.mark.parametrize("image_format", ["svg", "png"])
def test_members_come_in_order_with_the_manifest_first(image_format: ImageFormat) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(image_format))) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        rows = json.loads(opened.read("manifest.json"))
        assert names == ["manifest.csv", "manifest.json", *(row["file"] for row in rows)]
        for row in rows:
            assert hashlib.sha256(opened.read(row["file"])).hexdigest() == row["sha256"]


def test_warnings_are_the_third_member_and_absent_without_any() -> None:
    rows, members = zip(*make_chunks("png"), strict=True)
    warnings = b'{"total":1,"warnings":[]}'
    data = b"".join(stream_archive(ACCEPTED_AT, rows, members, warnings))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.namelist()[:3] == ["manifest.csv", "manifest.json", "warnings.json"]
        assert opened.read("warnings.json") == warnings
    with zipfile.ZipFile(io.BytesIO(archive("png"))) as opened:
        assert "warnings.json" not in opened.namelist()


def test_datamerge_csv_names_every_image_and_precedes_the_images() -> None:
    rows, members = zip(*make_chunks("svg"), strict=True)
    layout = Layout(datamerge=True)
    data = b"".join(stream_archive(ACCEPTED_AT, rows, members, b"{}", layout))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        manifest = json.loads(opened.read("manifest.json"))
        text = opened.read("datamerge.csv").decode()
    assert names[:4] == ["manifest.csv", "manifest.json", "warnings.json", "datamerge.csv"]
    assert text.startswith("@qr,index,gtin,lot,serial,expiry,hri,uri\r\n")
    assert text.count("\r\n") == len(manifest) + 1
    table = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert [row["@qr"] for row in table] == names[4:] == [row["file"] for row in manifest]
    for merged, row in zip(table, manifest, strict=True):
        for column in [*merged][1:]:
            assert merged[column] == ("" if row[column] is None else str(row[column]))


def test_both_manifests_say_the_same() -> None:
    with zipfile.ZipFile(io.BytesIO(archive("png"))) as opened:
        from_json = json.loads(opened.read("manifest.json"))
        text = opened.read("manifest.csv").decode()
    from_csv = [*csv.DictReader(io.StringIO(text, newline=""))]
    as_text = [
        {
            name: "" if value is None else value if isinstance(value, str) else json.dumps(value)
            for name, value in row.items()
        }
        for row in from_json
    ]
    assert from_csv == as_text
    assert tuple(from_json[0]) == CSV_COLUMNS
    assert text.count("\r\n") == len(from_json) + 1


@pytest.fixture
def far_time_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_every_member_has_the_jobs_time_and_the_bytes_depend_on_nothing_else(
    request: pytest.FixtureRequest,
) -> None:
    first = archive("svg")
    request.getfixturevalue("far_time_zone")
    assert archive("svg") == first
    expected = (*time.gmtime(ACCEPTED_AT)[:5], time.gmtime(ACCEPTED_AT)[5] // 2 * 2)
    with zipfile.ZipFile(io.BytesIO(first)) as opened:
        assert {member.date_time for member in opened.infolist()} == {expected}


def test_a_large_manifest_goes_to_disk_and_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = archive("png")
    monkeypatch.setattr("pipeline.archive.members._SPOOL_BYTES", 100)
    monkeypatch.setattr("pipeline.archive.zip_stream._COPY_BYTES", 70)
    assert archive("png") == whole


def write_bundle(path: Path, image_format: ImageFormat, items: int) -> None:
    size = min(items, 500)
    rows, members = zip(*make_chunks(image_format, items // size, size), strict=True)
    with path.open("wb") as file:
        file.writelines(stream_archive(ACCEPTED_AT, rows, members))


@pytest.mark.parametrize("reader", [*STREAMING, *BY_DIRECTORY])
@pytest.mark.parametrize(
    ("image_format", "items"),
    [
        ("svg", 1),
        ("png", 1),
        ("svg", 5000),
        pytest.param("png", 100_000, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_every_reader_finds_what_zipfile_finds(
    image_format: ImageFormat, items: int, reader: str, tmp_path: Path
) -> None:
    program = (STREAMING | BY_DIRECTORY)[reader]
    if program.missing():
        pytest.skip(program.missing())
    path = tmp_path / "bundle.zip"
    write_bundle(path, image_format, items)
    directory = tmp_path / "read"
    directory.mkdir()
    with zipfile.ZipFile(path) as opened:
        expected = [
            f"{hashlib.sha256(opened.read(name)).hexdigest()}\t{name}" for name in opened.namelist()
        ]
    assert len(expected) == items + 2
    if program.extracts:
        expected.sort(key=lambda line: line.partition("\t")[2])
    assert program.read(path, directory) == expected
