"""CSV files in any mixture of forms, through the application, compared with their table."""

from typing import Any, NamedTuple

import hypothesis
import pytest
from falcon.testing import TestClient
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from api.app import create_app
from pipeline.service import Item, Service, Settings
from pipeline.storage.bucket import Bucket
from tests.integration.test_api import GTIN
from tests.integration.test_intake import stored_items

NAMES = {
    "lot": ["lot", "LOT", " Batch ", "batch number", "Lot Number", "Lot\nNumber"],
    "serial": ["serial", "Serial Number", "SN", "serial  number\t"],
    "expiry": ["expiry", "Expiry Date", "EXPIRATION DATE", "Use by"],
}
CSET82 = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in "#$@[\\]^`{|}~")
Layout = list[str | None]
Row = dict[str, str | None]
FIXED = hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class File(NamedTuple):
    """A CSV file, and the items that it has."""

    body: bytes
    items: list[Item]


@pytest.fixture
def unlimited(service: Service, settings: Settings) -> TestClient:
    token = service.api_keys.create(
        name="fuzz", role="client", per_minute=1_000_000, per_day=1_000_000
    ).token
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


booleans = st.booleans()
texts = st.text(CSET82, min_size=1, max_size=8).filter(lambda text: not text.startswith('="'))
dates = st.sampled_from(["271231", "280229", "270200"])
ISO = {"271231": ["2027-12-31", "20271231"], "280229": ["2028-02-29"]}


class Writer:
    """Writes cells and records, with quotes where they are needed and sometimes elsewhere.

    Args:
        draw: chooses the form of a cell.
        separator: the character between two cells.
        special: the characters that a cell without quotes cannot have.
    """

    def __init__(self, draw: st.DrawFn, separator: str, special: str) -> None:
        self._draw = draw
        self._separator = separator
        self._special = special

    def cell(self, text: str, *, quoted: bool = False) -> str:
        if quoted or any(each in text for each in self._special + '"\r\n') or self._draw(booleans):
            return '"' + text.replace('"', '""') + '"'
        return text

    def value(self, field: str | None, text: str | None) -> str:
        if field is None or text is None:
            return self._draw(st.sampled_from(["", '""']))
        form = self._draw(st.sampled_from(["plain", "plain", "formula", "iso"]))
        if form == "iso" and field == "expiry":
            text = self._draw(st.sampled_from(ISO.get(text, [text])))
        if form == "formula" and '"' not in text:
            bare = not any(each in text for each in self._special) and self._draw(booleans)
            return f'="{text}"' if bare else self.cell(f'="{text}"', quoted=True)
        return self.cell(text)

    def record(self, layout: Layout, row: Row, most_extra: int) -> str:
        extra = self._separator * self._draw(st.integers(0, most_extra))
        cells = (self.value(each, row.get(each or "")) for each in layout)
        return self._separator.join(cells) + extra

    def header(self, layout: Layout) -> str:
        names = (self._draw(st.sampled_from(NAMES[each])) if each else None for each in layout)
        return self._separator.join(self.cell(name) if name else "" for name in names)

    def blank_end(self) -> list[str]:
        forms = ["", "", '""', "  ", '=""']
        if self._special == self._separator:  # else the separator is not known from the header
            forms += [self._separator * 3, self._separator + '""']
        return self._draw(st.lists(st.sampled_from(forms), max_size=4))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """The fields of the columns; None is a column without a name."""
    fields = st.lists(st.sampled_from([*NAMES]), min_size=1, max_size=3, unique=True)
    layout: Layout = [*draw(fields)]
    for _ in range(draw(st.integers(0, 2))):
        layout.insert(draw(st.integers(0, len(layout))), None)
    return layout


def rows_of(layout: Layout) -> st.SearchStrategy[list[Row]]:
    values = {"lot": texts, "serial": texts, "expiry": dates}
    row = st.fixed_dictionaries({field: st.none() | values[field] for field in layout if field})
    return st.lists(row.filter(lambda each: any(each.values())), min_size=1, max_size=25)


def in_bytes(draw: st.DrawFn, lines: list[str]) -> bytes:
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]))
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # the others write one themselves
    return (mark + text).encode(encoding)


@st.composite
def files(draw: st.DrawFn) -> File:
    layout, separator, declared = draw(layouts()), draw(st.sampled_from(",;\t")), draw(booleans)
    rows = draw(rows_of(layout))
    # A header of one column has no separator, so that commas separate.
    known = len(layout) > 1 or declared
    writer = Writer(draw, separator, separator if known else ",;\t")
    most_extra = draw(st.integers(0, 2)) if known else 0
    lines = [f"sep={separator}"] if declared else []
    lines.append(writer.header(layout))
    lines += [writer.record(layout, row, most_extra) for row in rows]
    lines += writer.blank_end()
    items = [Item(row.get("lot"), row.get("serial"), row.get("expiry")) for row in rows]
    return File(in_bytes(draw, lines), items)


def post(client: TestClient, body: bytes, charset: str = "") -> Any:  # noqa: ANN401 - a response
    return client.simulate_post(
        "/qr/bulk/",
        body=body,
        query_string=f"gtin={GTIN}&size=2000",
        content_type=f"text/csv{charset}",
    )


@FIXED
@given(files())
def test_the_items_of_a_file_are_those_of_its_table(
    unlimited: TestClient, bucket: Bucket, file: File
) -> None:
    answer = post(unlimited, file.body)
    assert answer.status_code == 202, (file, answer.text)
    assert answer.json["items"] == len(file.items)
    assert stored_items(bucket, answer.json["task_id"]) == file.items
    tried = unlimited.simulate_post(
        "/qr/bulk/",
        body=file.body,
        query_string=f"gtin={GTIN}&size=2000&dry_run=true",
        content_type="text/csv",
    )
    assert tried.json["items"] == len(file.items)
    assert tried.json["warnings_total"] == answer.json.get("warnings_total", 0)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A file with a few bytes changed, inserted or removed."""
    body = bytearray(draw(files()).body)
    piece = st.sampled_from(
        [
            b'"',
            b",",
            b";",
            b"\t",
            b"\n",
            b"\r",
            b"\0",
            b"\xff",
            b"\xfc",
            b'="',
            b" ",
            b"=",
            b"\xef\xbb\xbf",
            b"sep=;\n",
            b"\n\n",
            b",,\n",
            b"\x1a",
            b"\xd8\0",
            b"\xff\xfe",
            b"PK\x03\x04",
            b"{",
            b"<",
        ]
    )
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(body)))
        body[place : place + draw(st.integers(0, 2))] = draw(piece | st.binary(max_size=3))
    return bytes(body)


def decoded(body: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return body.decode(encoding)
    return body.decode("utf-8")


@FIXED
@given(broken() | st.binary(max_size=60))
@example(b"")
@example(b"\xff\xfe")
@example(b"\xfe\xff\xd8\0")
@example(b"sep=")
@example(b'"sep=\xff"\nlot\nA')
@example(b"lot\r\r\n\rA")
@example(b'lot\n="A"\n="')
@example(b"\xef\xbb\xbf\xef\xbb\xbflot\nA\n")
def test_any_bytes_are_refused_or_give_only_items_that_are_in_them(
    unlimited: TestClient, bucket: Bucket, body: bytes
) -> None:
    answer = post(unlimited, body)
    assert answer.status_code in {202, 400, 422}, (body, answer.text)
    if answer.status_code != 202:
        assert answer.json["errors_total"] >= 1
        assert answer.json["error_code"] in {"malformed_csv", "invalid_request"}
        return
    text = decoded(body).replace('""', '"')
    for item in stored_items(bucket, answer.json["task_id"]):
        assert any((item.lot, item.serial, item.expiry))
        for value in (item.lot, item.serial):
            assert value is None or value in text
        if item.expiry is not None:
            date = item.expiry
            forms = (date, f"20{date}", f"20{date[:2]}-{date[2:4]}-{date[4:]}")
            assert any(form in text for form in forms)
