"""CSV as spreadsheets, databases and scripts really write it."""

import io
import zipfile
from collections.abc import Callable

import pytest

from api.http.problems import ProblemError
from api.schemas.problems import Violation
from pipeline.service import Item
from tests.unit.api.bulk_requests import LIMITS, items_of, parse_csv

ONE = [Item("L", "A", "271231")]


def refused(body: bytes) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse_csv(body)
    return caught.value


def invalid(body: bytes) -> list[Violation]:
    error = refused(body)
    assert error.status == 422
    assert error.violations
    return error.violations.listed


def places(body: bytes) -> list[tuple[str, str, int | None, int | None]]:
    return [(each.pointer, each.code, each.line, each.column) for each in invalid(body)]


@pytest.mark.parametrize(
    "header",
    [
        "lot,serial,expiry",
        "Batch,Serial Number,Expiry Date",
        "BATCH NUMBER,SN,EXPIRATION DATE",
        " Lot Number , serial number ,\tUse By",
        '"batch","sn","use  by"',
        "Lot;Serial;Expiry",
        "batch\tSN\tUse by",
        "sep=;\r\nlot;serial;expiry",
        "sep=,\nlot,serial,expiry",
        "SEP=\t\nlot\tserial\texpiry",
        '"sep=;"\nlot;serial;expiry',
        '"Lot\nNumber";"Serial\r\nNumber";Expiry',
        "lot,serial,expiry,",
        "lot;serial;expiry;;;",
        ",lot,,serial,expiry",
        "lot,serial,expiry, ,  ",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_header_is_understood_in_every_form(header: str, encoding: str, end: str) -> None:
    names = (
        header.rsplit("\n", maxsplit=1)[-1]
        if header.lower().startswith(("sep", '"sep'))
        else header
    )
    separator = max(",;\t", key=names.count)
    cells = {"lot": "L", "serial": "A", "expiry": "271231"}
    short = separator.join(cells.values())
    if header.startswith(",lot,,"):
        short = ",L,,A,271231"
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    body = f"{mark}{header}{end}{short}{end}".encode(encoding)
    assert items_of(parse_csv(body)) == ONE


@pytest.mark.parametrize(
    "rows",
    [
        "L,A,271231",
        "L,A,271231\n",
        "L,A,271231\n\n",
        "L,A,271231\n\n\r\n\r",
        "L,A,271231\n,,\n,,\n",
        "L,A,271231\n,,\n\n,",
        "L,A,271231\n;;\n".replace(";;", ",,,,,"),
        'L,A,271231\n"","",""\n',
        "L,A,271231\n   \n",
        'L,A,271231\n="",,\n',
        "L,A,271231,\n",
        "L,A,271231,,,\n",
        'L,A,271231,""\n',
        '"L","A","271231"\n',
        '="L",="A",="271231"\n',
        '"=""L""",A,"=""271231"""\n',
        "L,A,2027-12-31\n",
        "L,A,20271231\n",
        'L,A,"2027-12-31"\n',
        'L,A,="2027-12-31"\n',
    ],
)
def test_one_item_is_one_item_however_it_is_written(rows: str) -> None:
    assert items_of(parse_csv(f"lot,serial,expiry\n{rows}".encode())) == ONE


def test_a_number_that_is_kept_from_excel_keeps_its_zeros() -> None:
    assert items_of(parse_csv(b'lot\n="000123"\n')) == [Item("000123")]
    assert items_of(parse_csv(b'lot,serial\n"=""0,12""",1\n')) == [Item("0,12", "1")]
    assert items_of(parse_csv(b'lot\n"=""A""""B"""\n')) == [Item('A"B')]
    assert items_of(parse_csv(b"lot\n=12\n=A\n=\n")) == [Item("=12"), Item("=A"), Item("=")]


def test_a_semicolon_in_a_lot_is_kept_where_a_comma_separates() -> None:
    assert items_of(parse_csv(b"lot\nA\n;\n")) == [Item("A"), Item(";")]
    assert items_of(parse_csv(b"lot,serial\nA;B,1\n;,;;\n")) == [Item("A;B", "1"), Item(";", ";;")]
    assert items_of(parse_csv(b"lot;serial\nA,B;1\n,;,\n")) == [Item("A,B", "1"), Item(",", ",")]


def test_an_empty_record_between_others_names_its_line() -> None:
    assert places(b"lot,serial\nA,1\n\nB,2\n,,\n \nC,3\n\n") == [
        ("/items/1", "empty_record", 3, None),
        ("/items/3", "empty_record", 5, None),
        ("/items/4", "empty_record", 6, None),
    ]
    assert places(b"lot\n\n\nA\n") == [
        ("/items/0", "empty_record", 2, None),
        ("/items/1", "empty_record", 3, None),
    ]


def test_a_file_of_empty_records_has_no_items() -> None:
    for rows in (b"", b",,\n,,\n", b"\n\n\n", b'""\n'):
        assert places(b"lot,serial,expiry\n" + rows) == [("/items", "range", None, None)]


def test_lines_and_columns_are_those_of_the_file() -> None:
    body = '\ufeffsep=;\r\n;Lot;;"Use\r\nby";\r\n;A;;271231;\r\n;"B\r\nB";;2027-02-30\r\n'
    body += ";C;x;;\r\n;D E\r\n"
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        assert places(body.encode(encoding)) == [
            ("/items/2", "unnamed_column", 7, 3),
            ("/items/3", "fields", 8, 3),
            ("/items/1/expiry", "expiry_date", 5, 4),
            ("/items/1/lot", "character", 5, 2),
        ]
    body = body.replace("2027-02-30", "").replace(";x;", ";;").replace(";D E", ";D E;;")
    assert places(body.encode()) == [
        ("/items/1/lot", "character", 5, 2),
        ("/items/3/lot", "character", 8, 2),
    ]


@pytest.mark.parametrize(
    ("date", "word"),
    [
        ("2027-02-29", "2027-02-29"),
        ("2027-13-01", "2027-13-01"),
        ("2027-12-00", "2027-12-00"),
        ("20270230", "20270230"),
        ("1950-01-01", "two digits"),
        ("2127-01-01", "two digits"),
        ("2027-12-3", "YYMMDD"),
        ("2027-1231", "YYMMDD"),
        ("31.12.2027", "YYMMDD"),
        ("12/31/2027", "YYMMDD"),
        ("2027-12-31T00:00", "YYMMDD"),
        ("\u0662\u0660\u0662\u0667-12-31", "YYMMDD"),
    ],
)
def test_what_is_no_date_is_an_error_that_shows_it(date: str, word: str) -> None:
    (only,) = invalid(f"lot,expiry\nA,{date}\n".encode())
    assert (only.pointer, only.line, only.column) == ("/items/0/expiry", 2, 2)
    assert word in only.detail


def test_leap_days_are_dates() -> None:
    assert items_of(parse_csv(b"expiry\n2028-02-29\n280229\n")) == [Item(expiry="280229")] * 2


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (b"lot,serail", "'serial'"),
        (b"lot;best-after", "'best-after'"),
        (b"Charge;Seriennummer", "'Charge'"),
    ],
)
def test_an_unknown_column_is_an_error(header: bytes, hint: str) -> None:
    assert hint in " ".join(each.detail for each in invalid(header + b"\n"))


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        (b"lot,Customer (Ort)", "To copy its values to the manifest, name it x_customer_ort."),
        ("lot,Größe".encode(), "name it x_gr_e."),
        ("lot,数".encode(), "name it x_…."),
        (b"lot,serial no.", "Did you mean 'serial"),
        (b"LOT-7,A0001,271231", "The first line must name the columns; remove titles above it."),
        (b"Labels of March", "The first line must name the columns; remove titles above it."),
    ],
)
def test_an_unknown_column_gets_advice(header: bytes, advice: str) -> None:
    first = invalid(header + b"\n")[0]
    assert first.code == "unknown_column"
    assert advice in first.detail


def workbook(*names: str) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return found.getvalue()


def ods() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<x/>")
    return found.getvalue()


TEXT = "lot,serial\nL\u00fc,1\n"


@pytest.mark.parametrize(
    ("make", "line", "words"),
    [
        (lambda: workbook("[Content_Types].xml", "xl/workbook.xml"), 1, ["Excel workbook (.xlsx)"]),
        (lambda: workbook("items.csv"), 1, ["ZIP archive"]),
        (ods, 1, ["LibreOffice spreadsheet"]),
        (lambda: bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), 1, ["Excel workbook (.xls)"]),
        (lambda: TEXT.encode("cp1252"), 2, ["Byte 13", "0xFC", "Windows-1252", "\u00fc", "UTF-8"]),
        (lambda: TEXT.replace("\n", "\r").encode("cp1252"), 2, ["Windows-1252"]),
        (lambda: b"lot\n\x81\n", 2, ["0x81", "not UTF-8"]),
        (lambda: "lot\n\u017d\n".encode() + b"\xfc\n", 3, ["0xFC", "not UTF-8"]),
        (lambda: TEXT.encode("utf-16-le"), 1, ["UTF-16 without a byte order mark"]),
        (lambda: TEXT.encode("utf-16-be"), 1, ["UTF-16 without a byte order mark"]),
        (lambda: TEXT.encode("utf-32"), 1, ["UTF-32"]),
        (lambda: TEXT.encode("utf-32-le"), 1, ["UTF-32"]),
        (lambda: TEXT.encode("utf-32-be"), 1, ["UTF-32"]),
        (lambda: "\ufefflot\nA\n".encode("utf-16-le")[:-1], 2, ["UTF-16"]),
        (lambda: b"\n <html><body>", 1, ["HTML"]),
        (lambda: b'<?xml version="1.0"?>', 1, ["XML"]),
        (lambda: b'{"gtin": "1"}', 1, ["application/json"]),
        (lambda: b"\xef\xbb\xbf [{}]", 1, ["application/json"]),
        (lambda: b"\x1f\x8b\x08\0", 1, ["gzip", "Content-Encoding"]),
        (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 1, ["PDF"]),
        (lambda: b"\x89PNG\r\n\x1a\n", 1, ["PNG"]),
        (lambda: b"{\\rtf1 lot}", 1, ["RTF"]),
        (lambda: b'lot;serial\n="A;B"\n', 2, ["formula", '="A']),
        (lambda: b'lot,serial\nA,1\n="0,12"\n', 3, ["formula"]),
        (lambda: b'lot,serial\n="0012,1\n', 2, ["formula"]),
        (lambda: b'lot\n="A"&"B"\n', 2, ["formula"]),
        (lambda: b"sep=|\nlot|serial\n", 1, ["'|'", "semicolon"]),
        (lambda: b"sep=\nlot\n", 1, ["''", "semicolon"]),
        (lambda: b"sep=;\n", 2, ["header"]),
        (lambda: b"sep=;\n;;;\nA;B\n", 2, ["header"]),
        (lambda: b",,,\nA,B,,\n", 1, ["header"]),
        (lambda: b"lot;serial\nA;B\n" + b";" * 1001 + b"A\n", 3, ["1000 semicolons"]),
        (lambda: b"\t" * 1001 + b"lot\n", 1, ["1000 tabs"]),
        (lambda: b"lot\nA\n" + b"\n" * 6000 + b"B\n", 3, ["5000 blank records"]),
    ],
)
def test_another_file_gets_an_error_that_says_what_it_is(
    make: Callable[[], bytes], line: int, words: list[str]
) -> None:
    error = refused(make())
    assert (error.status, error.code) == (400, "malformed_csv")
    for word in words:
        assert word in error.detail
    assert error.violations
    assert [each.line for each in error.violations.listed] == [line]


def test_a_nul_is_an_error_of_its_value() -> None:
    assert places(b"lot,serial\nA,B\nA\0,B\n") == [("/items/1/lot", "character", 3, 1)]


def test_leftovers_of_a_spreadsheet_do_not_count_as_items() -> None:
    limits = LIMITS._replace(max_items=2, chunk_size=1)
    body = b"lot,serial\nA,1\nB,2\n" + b",\r\n" * 100_000
    assert parse_csv(body, limits=limits).items.count == 2


def test_a_separator_line_that_was_saved_again_is_read() -> None:
    assert items_of(parse_csv(b"sep=;,,\nlot;serial\nA;B\n")) == [Item("A", "B")]


def test_a_header_in_quotes_as_a_whole_is_explained() -> None:
    (found,) = invalid(b'"lot;serial"\n"A;B"\n')
    assert found.code == "unknown_column"
    assert "whole line in quotes" in found.detail
