"""The fields for print from the request to the images, over a real Redis and a real S3."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, get_args

import pypdfium2
import pytest
import redis
import zxingcpp
from falcon.testing import Result, TestClient
from PIL import Image

from pipeline.ledger import keys as ledger_keys
from pipeline.model.layout import Layout
from pipeline.model.versions import version_of
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from render.image import MEDIA_TYPES, ImageFormat
from tests.integration.conftest import StartWorker
from tests.integration.test_api import GTIN, assert_problem, contents
from tests.integration.test_restore import end_of, flush, poll

Fields = dict[str, Any]
FORMATS = get_args(ImageFormat)
SYMBOL = {"gtin": GTIN, "lot": "LOT-7", "serial": "A0001", "expiry": "271231"}
URI = f"https://id.gs1.org/01/0{GTIN}/10/LOT-7/21/A0001?17=271231"
SIGNATURES = {"png": b"\x89PNG", "svg": b"<svg ", "pdf": b"%PDF-1.4", "eps": b"%!PS-Adobe-3.0 EPSF"}

#: SHA-256 of the PNG of SYMBOL by size and level, as release 0.2.0 sends it on x86-64.
RELEASE_0_2_0 = {
    (400, "M"): "0454cfc569d7f038f6a7e360716c2f663456bd3d660490a9ee67ac556648e6d6",
    (200, "H"): "6a1bd53ffc242ba9451ebc03da1eeb0caa0d4464cd5c926a823a5c71d4266d2f",
    (2000, "Q"): "2d431727f47a06716dcc120d7a020184577559f4e0d2f619775302d64bc76162",
}


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as opened:
        yield opened


def draw(client: TestClient, headers: dict[str, str] | None = None, **fields: Any) -> Result:  # noqa: ANN401 - any JSON
    return client.simulate_post("/qr/", json={**SYMBOL, **fields}, headers=headers)


def submit(client: TestClient, **fields: Any) -> str:  # noqa: ANN401 - any JSON
    items = [{"serial": f"{index:04}"} for index in range(25)]
    sent = {"gtin": GTIN, "items": items, **fields}
    answer = client.simulate_post("/qr/bulk/", json=sent)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


@pytest.mark.parametrize(("size", "level"), RELEASE_0_2_0)
def test_a_png_without_new_fields_has_the_bytes_of_release_0_2_0(
    client: TestClient, size: int, level: str
) -> None:
    fields: Fields = {"size": size, "error_correction": level}
    answer = draw(client, **fields)
    assert answer.headers["etag"] == f'"{RELEASE_0_2_0[size, level]}"'
    assert hashlib.sha256(answer.content).hexdigest() == RELEASE_0_2_0[size, level]
    nulls = dict.fromkeys(("version", "xdim_mm", "dpi"))
    assert draw(client, **fields, **nulls).content == answer.content
    if size == 400:
        assert draw(client).content == draw(client, size=400).content == answer.content


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_has_its_media_type_and_its_tag(client: TestClient, image_format: str) -> None:
    media_type = MEDIA_TYPES[image_format]
    answer = draw(client, format=image_format)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.content.startswith(SIGNATURES[image_format])
    tag = f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["etag"] == tag
    same = draw(client, {"If-None-Match": tag}, format=image_format)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert draw(client, {"If-None-Match": tag}, format=image_format, version=9).status_code == 200
    for accepted in (media_type, f"text/html, {media_type};q=0.1", "*/*"):
        assert draw(client, {"Accept": accepted}, format=image_format).content == answer.content
    others = ", ".join(kind for kind in MEDIA_TYPES.values() if kind != media_type)
    refused = draw(client, {"Accept": others}, format=image_format)
    problem = assert_problem(refused, HTTPStatus.NOT_ACCEPTABLE, "not_acceptable")
    assert f"Send Accept: {media_type}" in problem["detail"]


def pdf_points(pdf: bytes) -> float:
    """The width of a PDF's page in points, as pdfium reads it; the symbol is read as well."""
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[0]
        (found,) = zxingcpp.read_barcodes(page.render(scale=4).to_pil())
        assert found.text == URI
        return float(page.get_width())


@pytest.mark.parametrize(
    ("fields", "points"),
    [
        ({}, 41 * 0.495 * 72 / 25.4),
        ({"version": 7}, 53 * 0.495 * 72 / 25.4),
        ({"xdim_mm": 0.25}, 41 * 0.25 * 72 / 25.4),
        ({"size": 400}, 400),
        ({"size": 72, "version": 7, "dpi": 1200}, 72),
        ({"size": 72, "xdim_mm": 1}, 41 * 72 / 25.4),
    ],
)
def test_a_single_vector_image_is_as_wide_as_its_size_or_its_modules(
    client: TestClient, fields: Fields, points: float
) -> None:
    assert pdf_points(draw(client, format="pdf", **fields).content) == pytest.approx(
        points, abs=1e-4
    )
    eps = draw(client, format="eps", **fields).text
    box = eps.partition("%%HiResBoundingBox: ")[2].partition("\n")[0].split()
    assert [*map(float, box)] == pytest.approx([0, 0, points, points], abs=1e-4)
    svg = draw(client, format="svg", **fields).text
    width = svg.partition('width="')[2].partition('"')[0]
    if "xdim_mm" in fields or "size" not in fields:
        assert float(width.removesuffix("mm")) == pytest.approx(points / 72 * 25.4, abs=1e-4)
        assert width.endswith("mm")
    else:
        assert width == f"{fields['size']}"
    assert "stroke" not in svg


@pytest.mark.parametrize(
    ("fields", "side", "dpi"),
    [
        ({}, 400, None),
        ({"dpi": 600}, 400, 600),
        ({"xdim_mm": 0.495}, 41 * 6, 300),
        ({"xdim_mm": 0.495, "size": 50, "dpi": 203, "version": 7}, 53 * 4, 203),
    ],
)
def test_a_png_has_its_resolution_and_whole_pixels(
    client: TestClient, fields: Fields, side: int, dpi: int | None
) -> None:
    with Image.open(io.BytesIO(draw(client, **fields).content)) as image:
        assert image.size == (side, side)
        (found,) = zxingcpp.read_barcodes(image.convert("L"))
        assert ("dpi" in image.info) == (dpi is not None)
        if dpi:
            assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
    assert found.text == URI


@pytest.mark.parametrize(
    ("fields", "layout"),
    [
        ({}, Layout()),
        ({"size": 200, "version": 1, "pages": "each"}, Layout()),
        ({"version": 7}, Layout(least_version=7)),
        ({"dpi": 600}, Layout(dpi=600)),
        ({"xdim_mm": 0.5}, Layout(xdim_mm=0.5, dpi=300)),
        ({"datamerge": True}, Layout(datamerge=True)),
        ({"format": "svg"}, Layout(xdim_mm=0.495, outlines=True)),
        ({"format": "eps", "xdim_mm": 1}, Layout(xdim_mm=1.0)),
        ({"format": "pdf", "pages": "single"}, Layout(xdim_mm=0.495, pages="single")),
    ],
)
def test_the_layout_is_stored_with_the_lowest_schema_version(
    *,
    client: TestClient,
    bucket: Bucket,
    redis_url: str,
    connection: redis.Redis,
    fields: Fields,
    layout: Layout,
) -> None:
    task_id = submit(client, **fields)
    expected = 1 if layout == Layout() else 2
    assert version_of(bucket.get(keys.request_object(task_id)).partition(b"\n")[0]) == expected
    assert JobRecords(bucket).read_request(task_id)[0].layout == layout
    entry = connection.hgetall(ledger_keys.job(task_id))
    assert entry["version"] == str(expected)
    assert ("layout" in entry) == (layout != Layout())
    flush(redis_url)
    assert poll(client, task_id).json["status"] == "pending"
    assert connection.hgetall(ledger_keys.job(task_id))["version"] == str(expected)
    assert connection.hgetall(ledger_keys.job(task_id)).get("layout") == entry.get("layout")


def rows_of(bucket: Bucket, task_id: str) -> tuple[list[dict[str, str]], list[bytes]]:
    """The manifest's rows and the images of a bundle."""
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        rows = [*csv.DictReader(io.TextIOWrapper(bundle.open("manifest.csv"), "utf-8"))]
        return rows, [bundle.read(row["file"]) for row in rows]


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_least_version_survives_a_redis_that_loses_everything(
    *,
    client: TestClient,
    start_worker: StartWorker,
    redis_url: str,
    connection: redis.Redis,
    bucket: Bucket,
    image_format: ImageFormat,
) -> None:
    fields: Fields = {"format": image_format, "version": 7, "xdim_mm": 0.5, "dpi": 600}
    tried = client.simulate_post(
        "/qr/bulk/?dry_run=true",
        json={"gtin": GTIN, "items": [{"serial": f"{index:04}"} for index in range(25)], **fields},
    )
    (symbols,) = tried.json["symbols"]
    task_id = submit(client, **fields)
    flush(redis_url)
    assert poll(client, task_id).json["status"] == "pending"
    assert connection.hgetall(ledger_keys.job(task_id))["version"] == "2"
    start_worker()
    assert end_of(client, task_id).json["status"] == "completed"
    rows, images = rows_of(bucket, task_id)
    assert {row["version"] for row in rows} == {"7"}
    assert len({image[:4] for image in images}) == 1
    assert images[0].startswith(SIGNATURES[image_format])
    for column in ("width_px", "width_mm", "xdim_mm"):
        expected = "" if symbols[column] is None else str(symbols[column])
        assert {row[column] for row in rows} == {expected}
    assert connection.hget(ledger_keys.COUNTS, f"jobs {image_format} completed") == "1"
    flush(redis_url)  # once more, after the end
    after = poll(client, task_id).json
    assert (after["status"], after["items"]) == ("completed", 25)


def test_a_dry_run_reports_the_sizes_of_each_version(client: TestClient) -> None:
    items = [{"serial": "1"}, {"lot": "%" * 20, "serial": "%" * 20}]

    def sizes(**fields: Any) -> list[tuple[int, object, object, object]]:  # noqa: ANN401 - any JSON
        sent = {"gtin": GTIN, "items": items, **fields}
        answer = client.simulate_post("/qr/bulk/?dry_run=true", json=sent)
        assert answer.json["would_accept"], answer.text
        return [
            (row["version"], row["width_px"], row["width_mm"], row["xdim_mm"])
            for row in answer.json["symbols"]
        ]

    assert sizes() == [(3, 400, None, None), (7, 400, None, None)]
    assert sizes(dpi=400) == [(3, 400, 25.4, 0.635), (7, 400, 25.4, 0.4445)]
    assert sizes(xdim_mm=0.5) == [(3, 222, 18.796, 0.508), (7, 318, 26.924, 0.508)]
    assert sizes(format="pdf") == [(3, None, 18.315, 0.495), (7, None, 26.235, 0.495)]
    # Two rows, because the levels of the two symbols differ.
    assert sizes(format="svg", version=7, xdim_mm=0.4) == [(7, None, 21.2, 0.4)] * 2


def test_fields_that_contradict_each_other_accept_nothing(
    client: TestClient, redis_url: str, bucket: Bucket
) -> None:
    before = contents(redis_url, bucket)
    for query, pointers in (
        ("version=41", ["/version"]),
        ("xdim_mm=nan", ["/xdim_mm"]),
        ("dpi=300.5", ["/dpi"]),
        ("pages=single", ["/pages"]),
        ("format=pdf&pages=single&datamerge=true", ["/datamerge"]),
        ("xdim_mm=5&dpi=2400", ["/xdim_mm"]),
        ("version=40&size=100", ["/size"]),
    ):
        for dry_run in ("", "&dry_run=true"):
            answer = client.simulate_post(
                "/qr/bulk/",
                body=b"lot\nA\n",
                query_string=f"gtin={GTIN}&{query}{dry_run}",
                content_type="text/csv",
            )
            assert answer.status_code == (200 if dry_run else 422), answer.text
            assert [row["pointer"] for row in answer.json["errors"]] == pointers
    assert contents(redis_url, bucket) == before


def test_a_warned_x_dimension_is_in_the_202_and_in_the_bundle(
    client: TestClient, start_worker: StartWorker, bucket: Bucket
) -> None:
    sent = {"gtin": GTIN, "items": [{}], "format": "pdf", "xdim_mm": 0.3}
    answer = client.simulate_post("/qr/bulk/", json=sent)
    (warning,) = answer.json["warnings"]
    assert (warning["pointer"], warning["code"]) == ("/xdim_mm", "xdim_below")
    assert "0.3 mm" in warning["detail"]
    start_worker()
    assert end_of(client, answer.json["task_id"]).json["status"] == "completed"
    stored = bucket.get(keys.bundle_object(answer.json["task_id"]))
    with zipfile.ZipFile(io.BytesIO(stored)) as bundle:
        assert json.loads(bundle.read("warnings.json"))["warnings"] == [warning]
