"""The commands of the page for people who print, and their files as other programs read them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from deploy.embedded.running import RunningStack

PAGE = (Path(__file__).parents[2] / "deploy" / "printing.md").read_text("utf-8")
#: The blocks of commands, in the order of the page.
PDF, PNG, ONE_SIZE, SINGLE, MERGE = re.findall(r"<!-- run -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
#: The blocks about the fields of labels.
PRODUCTS, SERIALS = re.findall(r"<!-- run fields -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
NAMES = [f"0000{number}_LOT-7_A000{number}" for number in (1, 2)]
URI = "https://id.gs1.org/01/09506000134352/10/LOT-7/21/A000{}?17=271231"
LABELS = "lot,serial,expiry\nLOT-7,A0001,271231\nLOT-7,A0002,271231\n"


@pytest.fixture
def environment(stack: RunningStack) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ready = stack.ready
    return os.environ | {
        "PATH": path,
        "QRMILL_URL": ready.api_url,
        "QRMILL_API_KEY": ready.client_key,
    }


def run(script: str, environment: Mapping[str, str], directory: Path) -> str:
    """Run commands of the page, and return what they print on standard output."""
    (directory / "labels.csv").write_text(LABELS)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows_of(bundle: zipfile.ZipFile) -> list[dict[str, object]]:
    assert bundle.testzip() is None
    rows: list[dict[str, object]] = json.loads(bundle.read("manifest.json"))
    return rows


def read_page(page: pypdfium2.PdfPage) -> tuple[float, str]:
    """Return the width of a page in millimetres, and the text of its symbol."""
    (found,) = zxingcpp.read_barcodes(page.render(scale=8, grayscale=True).to_pil())
    return page.get_width() / 72 * 25.4, found.text


def test_pdf_files_of_exact_size(environment: Mapping[str, str], tmp_path: Path) -> None:
    said = run(PDF, environment, tmp_path)
    assert "version 4-M: 2 symbols, 20.5 mm wide, X-dimension 0.5 mm\n" in said
    with zipfile.ZipFile(tmp_path / "labels.zip") as bundle:
        for number, row in enumerate(rows_of(bundle), 1):
            assert row["file"] == f"{NAMES[number - 1]}.pdf"
            assert (row["width_mm"], row["xdim_mm"], row["verified"]) == (20.5, 0.5, True)
            with pypdfium2.PdfDocument(bundle.read(str(row["file"]))) as document:
                (page,) = document
                width, uri = read_page(page)
                assert width == pytest.approx(20.5, abs=1e-4)
                assert uri == URI.format(number)


def test_png_files_at_the_resolution_of_a_printer(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    said = run(PNG, environment, tmp_path)
    assert "version 4-M: 2 symbols, 246 pixels wide, 20.487 mm wide, X-dimension 0.5 mm\n" in said
    with zipfile.ZipFile(tmp_path / "thermal.zip") as bundle:
        for row in rows_of(bundle):
            assert (row["module_px"], row["width_px"]) == (6, 246)
            with Image.open(io.BytesIO(bundle.read(str(row["file"])))) as image:
                assert image.size == (246, 246)
                assert image.info["dpi"] == pytest.approx((305, 305), abs=0.02)


def test_one_size_for_texts_of_different_lengths(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    lines = [line for line in run(ONE_SIZE, environment, tmp_path).splitlines() if "mm" in line]
    assert lines == [
        "version 4-Q: 1 symbol, 20.295 mm wide, X-dimension 0.495 mm",
        "version 5-M: 1 symbol, 22.275 mm wide, X-dimension 0.495 mm",
        "version 5-H: 1 symbol, 22.275 mm wide, X-dimension 0.495 mm",
        "version 5-M: 1 symbol, 22.275 mm wide, X-dimension 0.495 mm",
    ]


def test_one_pdf_with_a_page_per_symbol(environment: Mapping[str, str], tmp_path: Path) -> None:
    run(SINGLE, environment, tmp_path)
    with zipfile.ZipFile(tmp_path / "pages.zip") as bundle:
        rows = rows_of(bundle)
        assert bundle.namelist() == ["manifest.csv", "manifest.json", "symbols.pdf"]
        assert [(row["file"], row["page"]) for row in rows] == [
            ("symbols.pdf", number) for number in (1, 2)
        ]
        with pypdfium2.PdfDocument(bundle.read("symbols.pdf")) as document:
            read = [read_page(page)[1] for page in document]
    assert read == [row["uri"] for row in rows] == [URI.format(number) for number in (1, 2)]


def test_a_file_for_data_merge(environment: Mapping[str, str], tmp_path: Path) -> None:
    run(MERGE, environment, tmp_path)
    (columns,) = re.findall(r"Its first column `(@qr)`.*\nThe columns (.*) follow", PAGE)
    with zipfile.ZipFile(tmp_path / "merge.zip") as bundle:
        manifest = rows_of(bundle)
        merged = [*csv.DictReader(bundle.read("datamerge.csv").decode().splitlines())]
        for row, found in zip(merged, manifest, strict=True):
            assert [*row] == [columns[0], *re.findall(r"`(\w+)`", columns[1])]
            assert row["@qr"] == found["file"]
            assert row["@qr"] in bundle.namelist()
            assert (row["hri"], row["serial"]) == (found["hri"], found["serial"])


def test_warnings_and_errors_of_sizes(environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)

    def submit(*options: str) -> tuple[int, str]:
        done = subprocess.run(
            ["qrmill", "submit", "labels.csv", "--gtin", "9506000134352", "--dry-run", *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stderr

    for options, word in (
        (["--format", "pdf", "--xdim", "0.39"], "0.396"),
        (["--format", "eps", "--xdim", "0.8"], "0.743"),
        (["--xdim", "0.396", "--dpi", "600"], "0.381"),
    ):
        code, said = submit(*options)
        assert (code, said.startswith("Warning: ")) == (0, True), said
        assert word in said
        assert submit(*options, "--strict")[0] == 1
    for wrong, pointer in (
        (["--format", "pdf", "--xdim", "6"], "/xdim_mm: "),
        (["--xdim", "0.5", "--dpi", "9999"], "/dpi: "),
        (["--min-version", "41"], "/version: "),
        (["--pages", "single"], "/pages: "),
        (["--format", "pdf", "--pages", "single", "--datamerge"], "/datamerge: "),
    ):
        code, said = submit(*wrong)
        assert (code, pointer in said) == (1, True), said
    assert submit("--format", "pdf", "--xdim", "0.495") == (0, "")


def test_the_fields_of_a_label(environment: Mapping[str, str], tmp_path: Path) -> None:
    assert "2 items; 0 invalid values" in run(PRODUCTS, environment, tmp_path)


def test_serials_without_a_file(environment: Mapping[str, str], tmp_path: Path) -> None:
    said = run(SERIALS, environment, tmp_path)
    assert "500 items; 0 invalid values\n" in said
    assert "serials such as A0001, A0002, A0003, A0500; none is reserved by a dry run\n" in said
    with zipfile.ZipFile(tmp_path / "range.zip") as bundle:
        rows = rows_of(bundle)
    assert [row["serial"] for row in rows] == [f"A{number:04}" for number in range(1, 501)]
    assert {row["lot"] for row in rows} == {"LOT-7"}
    with zipfile.ZipFile(tmp_path / "random.zip") as bundle:
        drawn = {str(row["serial"]) for row in rows_of(bundle)}
    assert [*map(len, drawn)] == [12] * 100
