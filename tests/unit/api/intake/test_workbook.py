"""Excel workbooks as CSV: what is taken, what is refused with its place, and hostile files."""

import csv
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.problems import ProblemError
from api.intake.workbook import is_workbook, workbook_to_csv
from api.intake.workbook_scan import WorkbookError
from tests.unit.api.bulk_requests import items_of, parse_csv

# ruff: noqa: ANN401, DTZ001 - openpyxl has no types, and a workbook no time zones
NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHEET = "xl/worksheets/sheet1.xml"
HEADER = ["Lot Number", "SN", "Use by", ""]
ITEM = ["LOT-7", "0012", "271231", None]


def saved(
    rows: Iterable[Sequence[object]], change: Callable[[Any, Any], None] | None = None
) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(list(row))
    if change is not None:
        change(book, sheet)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def patched(members: dict[str, str | bytes], body: bytes | None = None) -> bytes:
    """Return a workbook some of whose members are replaced or added."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(body or saved([HEADER]))) as before,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        kept = {name: before.read(name) for name in before.namelist()}
        for name, data in (kept | members).items():
            after.writestr(name, data)
    return file.getvalue()


def with_strings(strings: str, rows: str) -> bytes:
    """Return a workbook with shared strings, as Excel writes it."""
    with zipfile.ZipFile(io.BytesIO(saved([HEADER]))) as archive:
        types = archive.read("[Content_Types].xml").decode()
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    entry = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}" />'
    return patched(
        {
            "[Content_Types].xml": types.replace("</Types>", f"{entry}</Types>"),
            "xl/sharedStrings.xml": f"<sst {NS}>{strings}</sst>",
            SHEET: f"<worksheet {NS}><sheetData>{rows}</sheetData></worksheet>",
        }
    )


def of_rows(xml: str, rest: str = "") -> bytes:
    return patched({SHEET: f"<worksheet {NS}><sheetData>{xml}</sheetData>{rest}</worksheet>"})


def inline(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'


def refused(body: bytes, max_rows: int = 5000) -> str:
    with pytest.raises(WorkbookError) as caught:
        workbook_to_csv(body, max_rows)
    return str(caught.value)


def test_text_is_taken_as_it_is_and_dates_of_date_columns_are_converted() -> None:
    texts = ["0012", "9.5E+12", "1,5", 'a"b', "%&()", "a", "-7", "  "]
    rows: list[Sequence[object]] = [HEADER]
    rows += [["L", text, "271231", None] for text in texts[:-1]]
    rows += [["L", "D", date(2027, 12, 31)], ["L", "E", datetime(2028, 2, 29)], ["", None, None]]
    body = saved(rows)
    assert is_workbook(body)
    items = items_of(parse_csv(workbook_to_csv(body, 5000)))
    assert [item.serial for item in items] == [*texts[:-1], "D", "E"]
    assert [item.expiry for item in items] == ["271231"] * 7 + ["271231", "280229"]
    assert {item.lot for item in items} == {"L"}


@settings(max_examples=20)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
            min_size=3,
            max_size=3,
        ),
        max_size=5,
    )
)
def test_every_text_arrives_in_its_row_and_column(rows: list[list[str]]) -> None:
    """Values that XML escapes, quotes and separators included."""
    # openpyxl takes a text that begins with "=" for a formula, and one such as #N/A for an error.
    rows = [["t" + text for text in row] for row in rows]
    found = csv.reader(io.StringIO(workbook_to_csv(saved([HEADER[:3], *rows]), 10).decode()))
    assert [*found] == [HEADER[:3], *rows]


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        (12, "the number 12, not text"),
        (1234.5, "the number 1234.5, not text"),
        (True, "the logical value True"),
        (date(2027, 1, 2), "the date or time 2027-01-02"),
        (time(3, 4), "the date or time 03:04:00"),
        ("#N/A", "the error '#N/A'"),
        ("#DIV/0!", "the error '#DIV/0!'"),
    ],
)
def test_other_values_are_refused_with_row_and_column(value: object, reported: str) -> None:
    message = refused(saved([HEADER, ITEM, ["L", value]]))
    assert message.startswith("Row 3, column B ('SN'): The cell ")
    assert reported in message
    assert ("a heading for dates in row 1" in message) == (value == date(2027, 1, 2))


def test_a_date_with_a_time_is_refused_and_so_is_a_number_in_a_date_column() -> None:
    rows: list[Sequence[object]] = [HEADER, ["L", "A", datetime(2027, 1, 2, 3, 4)]]
    rows += [["L", "B", 271231], [7, "C", None]]
    lines = refused(saved(rows)).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Row 2, column C ('Use by')",
        "Row 3, column C ('Use by')",
        "Row 4, column A ('Lot Number')",
    ]
    assert "has a time" in lines[0]
    many = refused(saved([HEADER, *([number] for number in range(5000))]))
    assert len(many.splitlines()) == 11
    assert many.endswith("\n5000 cells are refused; the first 10 are listed.")
    assert "Row 1, column A: The cell is the number 5" in refused(saved([[5]]))


def test_a_formula_counts_by_its_text_and_one_without_a_result_is_refused() -> None:
    header = f'<row r="1">{inline("A1", "serial")}</row>'
    text = '<row r="2"><c r="A2" t="str"><f>"A"&amp;1</f><v>A1</v></c></row>'
    assert workbook_to_csv(of_rows(header + text), 10) == b"serial\r\nA1\r\n"
    number = '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c></row>'
    assert "Row 2, column A ('serial'): The cell is the number 2" in refused(
        of_rows(header + number)
    )
    error = '<row r="2"><c r="A2" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    assert "the error '#DIV/0!'" in refused(of_rows(header + error))
    assert "formula in A2 has no stored result" in refused(saved([["serial"], ["=1+1"]]))
    blank = '<row r="2"><c r="A2" t="str"><f>""</f><v></v></c></row>'
    assert workbook_to_csv(of_rows(header + blank), 10) == b"serial\r\n"


def test_merged_and_hidden_cells_are_refused_unless_they_are_empty() -> None:
    rows: list[Sequence[object]] = [HEADER, ITEM, ITEM]

    def merge(_: Any, sheet: Any) -> None:
        sheet.merge_cells("A2:A3")

    def hide_row(_: Any, sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True

    def hide_column(_: Any, sheet: Any) -> None:
        sheet.column_dimensions["B"].hidden = True

    def hide_empty(_: Any, sheet: Any) -> None:
        sheet.column_dimensions["D"].hidden = True
        sheet.row_dimensions[9].hidden = True

    def hide_sheet(book: Any, sheet: Any) -> None:
        book.create_sheet("items")
        sheet.sheet_state = "hidden"
        book.active = 1

    def second_sheet(book: Any, _: Any) -> None:
        other = book.create_sheet("notes")
        other.append([1, "=1+1"])
        other.merge_cells("A1:B1")

    assert "'A2:A3' are merged" in refused(saved(rows, merge))
    assert "the first row must have the headings" in refused(saved(rows, merge))
    assert "Row 3, column A ('Lot Number'): The row or column is hidden" in refused(
        saved(rows, hide_row)
    )
    assert "Row 1, column B: The row or column is hidden" in refused(saved(rows, hide_column))
    assert "first sheet, 'Sheet', is hidden" in refused(saved(rows, hide_sheet))
    wanted = workbook_to_csv(saved(rows), 10)
    assert workbook_to_csv(saved(rows, hide_empty), 10) == wanted
    assert workbook_to_csv(saved(rows, second_sheet), 10) == wanted


def test_shared_strings_are_read_without_the_phonetic_text() -> None:
    strings = (
        "<si><t>serial</t></si><si><r><t>A</t></r><r><t>B&amp;1</t></r></si>"
        '<si><t>0012</t><rPh sb="0" eb="1"><t>x</t></rPh></si>'
    )
    cells = "".join(
        f'<row r="{number + 1}"><c r="A{number + 1}" t="s"><v>{number}</v></c></row>'
        for number in range(3)
    )
    assert workbook_to_csv(with_strings(strings, cells), 5) == b"serial\r\nAB&1\r\n0012\r\n"


def test_empty_rows_stay_where_they_are_and_those_at_the_end_are_left_out() -> None:
    rows: list[Sequence[object]] = [HEADER, ITEM, [], ITEM, [], [None, ""]]
    text = workbook_to_csv(saved(rows), 10)
    assert text.splitlines()[2] == b",,"
    assert len(text.splitlines()) == 4
    with pytest.raises(ProblemError):  # the intake's own rule, with the row's number as the line
        parse_csv(text)
    assert workbook_to_csv(saved([]), 10) == b""


def test_wrong_dimensions_lose_no_cell() -> None:
    body = saved([HEADER, ITEM])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        sheet = archive.read(SHEET)
    for stated in (b"A1:A1", b"A1:XFD1048576"):
        wrong = sheet.replace(b'ref="A1:D2"', b'ref="' + stated + b'"')
        assert wrong != sheet
        assert workbook_to_csv(patched({SHEET: wrong}, body), 10) == workbook_to_csv(body, 10)


WORKBOOK = saved([HEADER, ITEM])
ROW = f'<row r="1">{inline("A1", "lot")}</row>'
ENTITIES = '<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + number)} "{f"&{chr(97 + number)};" * 10}">' for number in range(9)
)


def entity_sheet(name: str) -> str:
    cell = inline("A1", f"&{name};")
    return f"<worksheet {NS}><sheetData><row r='1'>{cell}</row></sheetData></worksheet>"


HOSTILE = {
    "far row": of_rows(f'{ROW}<row r="1048576">{inline("A1048576", "x")}</row>'),
    "row after the last": of_rows(f'{ROW}<row r="99999999999999">{inline("A2", "x")}</row>'),
    "far column": of_rows(f'{ROW}<row r="2">{inline("XFD2", "x")}</row>'),
    "no column": of_rows(f'{ROW}<row r="2">{inline("ZZZZZZZZ2", "x")}</row>'),
    "same row twice": of_rows(ROW + ROW),
    "same cell twice": of_rows(f'<row r="1">{inline("A1", "lot")}{inline("A1", "x")}</row>'),
    "one row of many cells": of_rows(f'<row r="1">{"<c/>" * 350_000}</row>'),
    "many rows": of_rows("<row/>" * 350_000),
    "elements after the rows": of_rows(ROW, "<x/>" * 350_000),
    "deep": of_rows(ROW, "<x>" * 350_000),
    "many strings": with_strings("<si/>" * 350_000, ROW),
    "many styles": patched(
        {"xl/styles.xml": f"<styleSheet {NS}><cellXfs>{'<xf/>' * 350_000}</cellXfs></styleSheet>"}
    ),
    "zip bomb": patched({SHEET: b" " * 40_000_000}),
    "long text": of_rows(f'<row r="1">{inline("A1", "x" * 30_000_000)}</row>'),
    "entities": patched({SHEET: f"<!DOCTYPE x [{ENTITIES}]>{entity_sheet('j')}"}),
    "external entity": patched(
        {SHEET: f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{entity_sheet("a")}'}
    ),
    "not XML": patched({SHEET: b"\0" * 1000}),
    "no sheet": patched({"xl/workbook.xml": b""}),
    "no workbook": patched({"[Content_Types].xml": b"<x/>"}),
    "truncated": saved([HEADER, ITEM])[:-200],
    "empty ZIP": b"PK\x05\x06" + b"\0" * 18,
    "not a ZIP": b"PK\x03\x04" + b"x" * 1000,
    "old": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000,
}


#: Reads the files that its arguments name, within limits of memory (bytes) and CPU time (s).
READER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from api.intake.workbook import workbook_to_csv
from api.intake.workbook_scan import WorkbookError
for name in sys.argv[1:]:
    try:
        workbook_to_csv(open(name, "rb").read(), 5000)
    except WorkbookError as error:
        print(repr(str(error)))
    else:
        print("taken", name)
"""


def test_hostile_workbooks_are_refused_in_little_memory_and_time(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.xlsx" for number in range(len(HOSTILE))]
    for file, body in zip(files, HOSTILE.values(), strict=True):
        file.write_bytes(body)
    done = subprocess.run(
        [sys.executable, "-c", READER, *files],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    reported = dict(zip(HOSTILE, done.stdout.splitlines(), strict=True))
    assert [name for name, line in reported.items() if line.startswith("taken")] == []
    assert "root:" not in done.stdout
    assert "after ALL" in reported["far column"]
    assert "document type" in reported["entities"]
    assert "document type" in reported["external entity"]
    assert "too large" in reported["zip bomb"]
    for name in ("many strings", "many styles", "elements after the rows", "deep"):
        assert "too many cells for 5000 rows" in reported[name]


def test_a_workbook_of_many_rows_is_read_and_one_more_is_refused() -> None:
    rows = [HEADER[:2], *([f"L{number}", f"{number:05}"] for number in range(5000))]
    book = saved(rows)
    items = items_of(parse_csv(workbook_to_csv(book, 5000)))
    assert (len(items), items[-1].serial) == (5000, "04999")
    assert "more than 4999 rows" in refused(book, 4999)


def test_without_the_extra_the_error_says_how_to_save_as_csv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    message = refused(WORKBOOK)
    assert "pip install 'qrmill[excel]'" in message
    assert "CSV UTF-8" in message
