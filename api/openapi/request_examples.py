"""Examples in the OpenAPI document: requests and their responses."""

from typing import Any

GTIN = "9506000134352"
TASK_ID = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"


def named(**examples: tuple[str, Any]) -> dict[str, Any]:
    """Return examples by name, of a summary and a value each."""
    return {
        name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()
    }


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
    vectors=(
        "SVG for a print shop, with more error correction",
        {
            "gtin": "95060 0013 4352",
            "format": "svg",
            "error_correction": "Q",
            "items": [{"serial": "A0001"}, {"expiry": "270200"}, {}],
        },
    ),
)
BULK_CSV = named(
    serials=(
        "Two serial numbers of one lot; gtin is in the query",
        "lot,serial,expiry\r\nLOT-7,A0001,271231\r\nLOT-7,A0002,271231\r\n",
    ),
    quoted=(
        "Columns in another order, a value with a comma, and one that is absent",
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
)
DRY_RUN = named(
    fine=(
        "It would be accepted",
        {
            "would_accept": True,
            "items": 5000,
            "symbols": [{"version": 4, "error_correction": "M", "count": 5000}],
            "errors": [],
            "errors_total": 0,
        },
    ),
    refused=(
        "One serial number of a CSV file would be refused",
        {
            "would_accept": False,
            "items": 5000,
            "symbols": [{"version": 4, "error_correction": "M", "count": 4999}],
            "errors": [
                {
                    "pointer": "/items/16/serial",
                    "code": "character",
                    "detail": "'A 0017' has ' ' (U+0020) at position 2, which is outside GS1 "
                    "character set 82.",
                    "line": 18,
                    "column": 2,
                }
            ],
            "errors_total": 1,
        },
    ),
)
SYMBOL = named(
    png=("A PNG of 400 pixels", {"gtin": GTIN, "lot": "LOT-7", "serial": "A0001"}),
    svg=(
        "An SVG with an expiry date",
        {"gtin": GTIN, "serial": "A0001", "expiry": "271231", "format": "svg"},
    ),
    small=("A PNG with one pixel a module", {"gtin": GTIN, "size": 50, "error_correction": "L"}),
)
SVG_IMAGE = named(
    svg=(
        "The beginning of one",
        '<svg xmlns="http://www.w3.org/2000/svg" width="41" height="41">…</svg>',
    ),
)
