"""Examples in the OpenAPI document: requests and their responses."""

from typing import Any

from api.schemas.tasks import (
    GTIN_EXAMPLE,
    SHA256_EXAMPLE,
    SYMBOL_COUNT_EXAMPLE,
    TASK_ID_EXAMPLE,
    WARNING_EXAMPLE,
)
from render.errors import InvalidValueError
from render.gs1.ai import check_alphanumeric

GTIN, TASK_ID, SHA256 = GTIN_EXAMPLE, TASK_ID_EXAMPLE, SHA256_EXAMPLE
KEY_ID = "4f9k2m7q1x8z"


def named(**examples: tuple[str, Any]) -> dict[str, Any]:
    """Return examples by name; each is given as a summary and a value."""
    return {
        name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()
    }


def _invalid_serial() -> tuple[str, str]:
    """Return the code and the detail of the violation in the examples."""
    try:
        check_alphanumeric("A 0017", "cset82")
    except InvalidValueError as error:
        return error.code, error.detail
    raise AssertionError("unreachable")


_CODE, _DETAIL = _invalid_serial()
BULK_JSON = named(
    serials=(
        "Two serial numbers of one lot",
        {
            "gtin": GTIN,
            "items": [
                {"lot": "LOT-7", "serial": "A0001", "expiry": "271231"},
                {"lot": "LOT-7", "serial": "A0002", "expiry": "271231"},
            ],
        },
    ),
    products=(
        "Items of two products, each with its own GTIN and dates",
        {
            "items": [
                {"gtin": GTIN, "lot": "LOT-7", "best_before_date": "271130"},
                {"gtin": "614141123452", "variant": "2A", "production_date": "260105"},
            ],
        },
    ),
    names=(
        "Names of the images, and values for columns of the manifest",
        {
            "gtin": GTIN,
            "items": [
                {"serial": "A0001", "name": "front-1", "extra": {"customer": "ACME"}},
                {"serial": "A0002", "name": "front-2", "extra": {"customer": "ACME"}},
            ],
        },
    ),
    vectors=(
        "SVG images with a higher error correction level",
        {
            "gtin": "95060 0013 4352",
            "format": "svg",
            "error_correction": "Q",
            "items": [{"serial": "A0001"}, {"expiry": "270200"}, {}],
        },
    ),
    print=(
        "PDF files of one size, with modules of 0.5 mm, and a datamerge.csv",
        {
            "gtin": GTIN,
            "format": "pdf",
            "version": 7,
            "xdim_mm": 0.5,
            "datamerge": True,
            "items": [{"lot": "LOT-7", "serial": "A0001"}, {"lot": "LOT-7", "serial": "A0002"}],
        },
    ),
    thermal=(
        "PNG images for a thermal printer of 300 dpi, with modules of 6 pixels",
        {
            "gtin": GTIN,
            "xdim_mm": 0.495,
            "dpi": 300,
            "items": [{"serial": "A0001"}, {"serial": "A0002"}],
        },
    ),
    single=(
        "One PDF file with a page per symbol",
        {
            "gtin": GTIN,
            "format": "pdf",
            "pages": "single",
            "items": [{"serial": "A0001"}, {"serial": "A0002"}],
        },
    ),
)
SERIALS_JSON = named(
    range=(
        "500 serial numbers, from A0001 to A0500, of one lot",
        {"gtin": GTIN, "serials": {"start": "A0001", "count": 500}, "lot": "LOT-7"},
    ),
    random=(
        "500 serial numbers drawn at random",
        {"gtin": GTIN, "serials": {"random": True, "count": 500, "length": 12}},
    ),
)
BULK_CSV = named(
    serials=(
        "Two serial numbers of one lot; the query has the gtin",
        "lot,serial,expiry\r\nLOT-7,A0001,271231\r\nLOT-7,A0002,271231\r\n",
    ),
    spreadsheet=(
        "Semicolons, other column names and ISO 8601 dates, as a spreadsheet saves them",
        "Batch;Serial Number;Expiry Date\r\nLOT-7;A0001;2027-12-31\r\nLOT-7;A0002;2027-12-31\r\n",
    ),
    products=(
        "Items of two products, each with its own GTIN and best before date",
        "gtin,batch,best before\r\n9506000134352,LOT-7,2027-11-30\r\n614141123452,LOT-8,\r\n",
    ),
    quoted=(
        "Other column order, a value with a comma, an empty value",
        'serial,lot\r\nA0001,"7,5"\r\nA0002,\r\n',
    ),
)
ACCEPTED = named(
    accepted=(
        "Accepted",
        {
            "task_id": TASK_ID,
            "status": "pending",
            "items": 2,
            "poll_url": f"/qr/bulk/{TASK_ID}/",
        },
    ),
    warned=(
        "Accepted with a warning",
        {
            "task_id": TASK_ID,
            "status": "pending",
            "items": 5,
            "poll_url": f"/qr/bulk/{TASK_ID}/",
            "warnings": [WARNING_EXAMPLE],
            "warnings_total": 1,
        },
    ),
)
#: Size of the symbols of version 4 in a PNG of 400 pixels without resolution.
_PNG_400 = {"width_px": 400, "width_mm": None, "xdim_mm": None}
DRY_RUN = named(
    fine=(
        "A valid request for vector images",
        {
            "would_accept": True,
            "items": 5000,
            "symbols": [SYMBOL_COUNT_EXAMPLE],
            "errors": [],
            "errors_total": 0,
            "warnings": [],
            "warnings_total": 0,
        },
    ),
    range=(
        "A range of serial numbers",
        {
            "would_accept": True,
            "items": 500,
            "symbols": [{"version": 4, "error_correction": "M", "count": 500, **_PNG_400}],
            "errors": [],
            "errors_total": 0,
            "warnings": [],
            "warnings_total": 0,
            "serials": {"samples": ["A0001", "A0002", "A0003", "A0500"], "reserved": False},
        },
    ),
    warned=(
        "A valid request with a serial number that occurs twice",
        {
            "would_accept": True,
            "items": 5,
            "symbols": [{"version": 4, "error_correction": "M", "count": 5, **_PNG_400}],
            "errors": [],
            "errors_total": 0,
            "warnings": [WARNING_EXAMPLE],
            "warnings_total": 1,
        },
    ),
    invalid=(
        "A CSV request with an invalid serial number",
        {
            "would_accept": False,
            "items": 5000,
            "symbols": [{"version": 4, "error_correction": "M", "count": 4999, **_PNG_400}],
            "errors": [
                {
                    "pointer": "/items/16/serial",
                    "code": _CODE,
                    "detail": _DETAIL,
                    "line": 18,
                    "column": 2,
                }
            ],
            "errors_total": 1,
            "warnings": [],
            "warnings_total": 0,
        },
    ),
)
SYMBOL = named(
    png=("PNG of 400 pixels", {"gtin": GTIN, "lot": "LOT-7", "serial": "A0001"}),
    svg=(
        "SVG with an expiry date",
        {"gtin": GTIN, "serial": "A0001", "expiry": "271231", "format": "svg"},
    ),
    pdf=("PDF with modules of 0.5 mm", {"gtin": GTIN, "format": "pdf", "xdim_mm": 0.5}),
    eps=("EPS of 72 points, an inch", {"gtin": GTIN, "format": "eps", "size": 72}),
    small=("PNG with one pixel per module", {"gtin": GTIN, "size": 50, "error_correction": "L"}),
)
UNAVAILABLE = named(
    redis=("Redis is unavailable", {"status": "unavailable", "unavailable": ["redis"]}),
)
SVG_IMAGE = named(
    svg=(
        "An SVG image, shortened",
        '<svg xmlns="http://www.w3.org/2000/svg" width="20.295mm" height="20.295mm" …>…</svg>',
    ),
)
