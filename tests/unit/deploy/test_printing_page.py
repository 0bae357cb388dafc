"""The tables of the page for people who print are what the renderer computes."""

import re
from collections.abc import Sequence
from pathlib import Path

from render.chunk import choose_versions
from render.dimensions import dimensions
from render.gs1.link import digital_link_uri
from render.gs1.x_dimension import MAX_RETAIL_XDIM_MM, MIN_RETAIL_XDIM_MM
from render.image import MAX_SIDE_PX, QUIET_ZONE, RenderOptions, symbol_side
from render.qr.versions import LEVELS

PAGE = (Path(__file__).parents[3] / "deploy" / "printing.md").read_text("utf-8")
#: The values of the page's typical texts.
LOT, SERIAL, EXPIRY = "LOT-7", "A0001", "271231"
TEXTS = {
    "GTIN": (None, None, None),
    "GTIN, serial of 5": (None, SERIAL, None),
    "GTIN, lot of 5, serial of 5": (LOT, SERIAL, None),
    "GTIN, lot of 5, serial of 5, expiration date": (LOT, SERIAL, EXPIRY),
    "GTIN, lot of 20, serial of 20, expiration date": ("L" * 20, "S" * 20, EXPIRY),
}


def table(name: str) -> list[list[str]]:
    """Return the cells of the header and the rows of the table after ``<!-- table: name -->``."""
    (text,) = re.findall(rf"<!-- table: {name} -->\n((?:\|.*\n)+)", PAGE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert set("".join(rows[1])) == {"-"}
    return [rows[0], *rows[2:]]


def millimetres(cells: Sequence[str]) -> list[float]:
    """Return the X-dimensions that the cells of a header name."""
    return [float(cell.removeprefix("at ").removesuffix(" mm")) for cell in cells]


def pixels(xdim_mm: float, dpi: int) -> str:
    """Return what a module of a PNG becomes, as the page writes it."""
    size = dimensions(2, RenderOptions("png", 400, xdim_mm=xdim_mm, dpi=dpi))
    assert size.xdim_mm is not None
    return f"{size.module_px} px, {round(size.xdim_mm, 3):g} mm"


def test_the_table_of_resolutions() -> None:
    header, *rows = table("dpi")
    wished = millimetres(header[1:])
    assert len(rows) >= 5
    for dpi, *cells in rows:
        assert cells == [pixels(xdim_mm, int(dpi)) for xdim_mm in wished], dpi


def test_the_table_of_versions() -> None:
    header, *rows = table("versions")
    wished = millimetres(header[2:])
    assert len(rows) >= 5
    for row in rows:
        version = int(row[0])
        assert int(row[1]) == symbol_side(version) + 2 * QUIET_ZONE
        for image_format in ("pdf", "eps"):
            widths = [
                dimensions(version, RenderOptions(image_format, 400, xdim_mm=xdim_mm)).width_mm
                for xdim_mm in wished
            ]
            assert [*map(float, row[2:])] == widths


def test_the_table_of_typical_texts() -> None:
    header, *rows = table("texts")
    assert [re.findall(r"level (.)", cell) for cell in header[2:]] == [[level] for level in LEVELS]
    assert [row[0] for row in rows] == [*TEXTS]
    for name, length, *versions in rows:
        uri = digital_link_uri("https://id.gs1.org", "09506000134352", *TEXTS[name])
        assert len(uri) == int(length)
        for version, level in zip(versions, LEVELS, strict=True):
            options = RenderOptions("pdf", 400, level, xdim_mm=0.495)
            assert [(found, uri) for found, _ in choose_versions([uri], options)] == [
                (int(version), uri)
            ]


def test_the_sentences_beside_the_tables() -> None:
    (named,) = re.findall(r"At ([\d and]+) dpi, 0\.396 mm is rounded down", PAGE)
    down = {row[0] for row in table("dpi")[1:] if float(row[1].split()[2]) < 0.396}
    assert {*re.findall(r"\d+", named)} == down
    assert f"at most {MAX_SIDE_PX} pixels per side" in PAGE
    assert f"light margin of {QUIET_ZONE} modules" in PAGE


def test_the_warnings_have_the_limits_of_the_service() -> None:
    assert f"| `xdim_below` | less than {MIN_RETAIL_XDIM_MM} mm:" in PAGE
    assert f"| `xdim_above` | more than {MAX_RETAIL_XDIM_MM} mm:" in PAGE
