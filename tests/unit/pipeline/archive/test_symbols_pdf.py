"""``symbols.pdf`` in the bundle: streamed in flat memory, and whole for every reader."""

import csv
import hashlib
import io
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pipeline.archive.bundle import stream_archive
from pipeline.archive.manifest import ManifestRow, StagedPage
from pipeline.archive.members import ZipMember, make_member
from pipeline.archive.symbols_pdf import SymbolsPdf
from pipeline.ledger.entries import ChunkWork
from pipeline.model.jobs import Item
from pipeline.model.layout import Layout
from pipeline.model.records import JobFields
from pipeline.rendering import render_items
from render.writers.pdf_document import Page, page_run
from tests.unit.render.oracles import read
from tests.unit.render.pdf_files import pdf_objects
from tests.unit.render.renderers import ghostscript_pages, needs_ghostscript
from tests.zip_readers.readers import BY_DIRECTORY, STREAMING

ACCEPTED_AT = 1_795_000_001
SINGLE = Layout(xdim_mm=0.495, pages="single")

Chunks = list[tuple[list[ManifestRow], list[ZipMember]]]


def make_chunks(count: int, chunk_size: int) -> Chunks:
    job = JobFields(
        task_id="7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63",
        key_id="a",
        key_name="a",
        request_id="r",
        created_at=0,
        gtin="09506000134352",
        format="pdf",
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
        items=count,
        chunk_size=chunk_size,
        callback_url="",
        layout=SINGLE,
    )
    chunks = []
    for index in range(job.chunks):
        first = index * chunk_size
        items = [Item('L"1,2', f"S{n}") for n in range(first, min(first + chunk_size, count))]
        rows, _, files = render_items(ChunkWork(job, index, "m", 1, 0, 0), items)
        chunks.append((rows, [make_member("symbols.pdf", file) for file in files]))
    return chunks


def bundle(chunks: Chunks, layout: Layout = SINGLE) -> bytes:
    rows, members = zip(*chunks, strict=True)
    return b"".join(stream_archive(ACCEPTED_AT, rows, members, layout=layout))


@pytest.mark.parametrize(("count", "chunk_size"), [(1, 10), (25, 10), (1203, 250)])
def test_every_page_is_that_of_its_row(count: int, chunk_size: int) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle(make_chunks(count, chunk_size)))) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["manifest.csv", "manifest.json", "symbols.pdf"]
        assert opened.getinfo("symbols.pdf").compress_type == zipfile.ZIP_STORED
        rows = json.loads(opened.read("manifest.json"))
        table = [*csv.DictReader(io.StringIO(opened.read("manifest.csv").decode(), newline=""))]
        document = opened.read("symbols.pdf")
    assert [*rows[0]] == [*table[0]]
    assert [*rows[0]][10:14] == ["sha256", "verified", "hri", "page"]
    assert [row["page"] for row in rows] == [row["index"] for row in rows] == [*range(1, count + 1)]
    assert [int(row["page"]) for row in table] == [*range(1, count + 1)]
    assert {row["file"] for row in rows} == {"symbols.pdf"}
    objects = pdf_objects(document)
    numbers = [number for number, text in sorted(objects.items()) if b"/Type/Page/" in text]
    streams = [objects[number + 1].partition(b"stream\n")[2][:-10] for number in numbers]
    assert [hashlib.sha256(stream).hexdigest() for stream in streams] == [
        row["sha256"] for row in rows
    ]
    with pypdfium2.PdfDocument(document) as pages:
        assert len(pages) == count
        for row in rows[:: max(1, count // 50)]:
            page = pages[row["page"] - 1]
            assert page.get_width() == pytest.approx(row["width_mm"] / 25.4 * 72, abs=1e-4)
            assert read(page.render(scale=300 / 72, grayscale=True).to_numpy()) == [row["uri"]]


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_the_document_does_not_depend_on_the_chunks(sizes: list[int]) -> None:
    pages = [Page(b"%d" % number, Decimal(50)) for number in range(sum(sizes))]
    documents = []
    for parts in (sizes, [sum(sizes)]):
        pdf, members, first = SymbolsPdf(), [], 0
        for size in parts:
            run = page_run(pages[first : first + size], first)
            pdf.add([*rows_of(run.data, run.lengths, first)])
            members.append([make_member("symbols.pdf", run.data)])
            first += size
        pdf.close()
        document = b"".join(pdf.pieces(members))
        assert (len(document), zlib.crc32(document)) == (pdf.size, pdf.crc)
        documents.append(document)
    assert documents[0] == documents[1]


def rows_of(data: bytes, lengths: list[int], first: int) -> Iterator[ManifestRow]:
    start = 0
    for index, length in enumerate(lengths, first + 1):
        yield ManifestRow(
            index=index,
            file="symbols.pdf",
            gtin="09506000134352",
            lot=None,
            serial="x",
            expiry=None,
            uri="https://id.gs1.org/01/09506000134352/21/x",
            version=4,
            error_correction="M",
            module_px=None,
            sha256="00",
            page=index,
            staged_page=StagedPage(length, zlib.crc32(data[start : start + length])),
        )
        start += length


def test_a_row_without_a_page_is_refused() -> None:
    (row,) = rows_of(b"", [0], 6)
    with pytest.raises(ValueError, match="the row of item 7 has no page"):
        SymbolsPdf().add([msgspec.structs.replace(row, staged_page=UNSET)])


@pytest.mark.long
def test_a_bundle_of_100_000_pages_is_streamed_in_flat_memory() -> None:
    content = [Page(bytes(1500), Decimal("57.52913"))] * 500

    def rows() -> Iterator[list[ManifestRow]]:
        for first in range(0, 100_000, 500):
            run = page_run(content, first)
            yield [*rows_of(run.data, run.lengths, first)]

    def members() -> Iterator[list[ZipMember]]:
        for first in range(0, 100_000, 500):
            yield [make_member("symbols.pdf", page_run(content, first).data)]

    tracemalloc.start()
    try:
        length = sum(map(len, stream_archive(ACCEPTED_AT, rows(), members(), layout=SINGLE)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length > 100_000 * 1600
    # Two runs of 0.8 MB with their rows, 0.8 MB of lengths, and 1 MB of each manifest.
    assert peak < 8e6, peak


@pytest.mark.parametrize("reader", [*STREAMING, *BY_DIRECTORY])
def test_every_reader_finds_the_document(reader: str, tmp_path: Path) -> None:
    program = (STREAMING | BY_DIRECTORY)[reader]
    if program.missing():
        pytest.skip(program.missing())
    path = tmp_path / "bundle.zip"
    path.write_bytes(bundle(make_chunks(700, 250)))
    directory = tmp_path / "read"
    directory.mkdir()
    with zipfile.ZipFile(path) as opened:
        expected = [
            f"{hashlib.sha256(opened.read(name)).hexdigest()}\t{name}" for name in opened.namelist()
        ]
    assert program.read(path, directory) == expected


@needs_ghostscript
def test_ghostscript_finds_every_page(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle(make_chunks(1203, 250)))) as opened:
        opened.extract("symbols.pdf", tmp_path)
    assert ghostscript_pages(tmp_path / "symbols.pdf") == 1203


def test_deflating_the_document_would_gain_little() -> None:
    """It is stored, because its pages are deflated already."""
    with zipfile.ZipFile(io.BytesIO(bundle(make_chunks(500, 500)))) as opened:
        document = opened.read("symbols.pdf")
    assert len(zlib.compress(document, 9)) > 0.75 * len(document)
