"""Requests and responses about jobs and single symbols, and the source of the OpenAPI document.

``extra_json_schema`` documents rules that a type alone cannot express. ``api.intake.validation``
checks these rules, with a message for each.
"""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.schemas.problems import MAX_ERRORS, RequestWarning, Violation
from api.schemas.states import CallbackState, State
from render.gs1.gtin import PATTERN as GTIN_PATTERN
from render.gs1.link_base import MAX_LINK_BASE
from render.image import (
    MAX_DPI,
    MAX_SIDE_PX,
    MAX_SIZE,
    MAX_VERSION,
    MAX_XDIM_MM,
    MIN_DPI,
    MIN_SIZE,
    MIN_XDIM_MM,
    ErrorCorrection,
    ImageFormat,
)

#: Side in pixels of a PNG without ``size`` and ``xdim_mm``.
DEFAULT_SIZE = 400
#: X-dimension in millimetres of vector images without ``xdim_mm``, and resolution in pixels per
#: inch of a PNG with ``xdim_mm`` and without ``dpi``.
DEFAULT_XDIM_MM, DEFAULT_DPI = 0.495, 300
#: Maximum wait in seconds of a long poll (``Prefer: wait=N``).
MAX_WAIT = 30
#: Maximum length of an ``Idempotency-Key``.
MAX_KEY_LENGTH = 255

#: Limits of an item's ``name`` and ``extra``.
MAX_NAME_LENGTH, MAX_EXTRA_LENGTH, MAX_EXTRA_NAMES = 80, 200, 20
NAME_PATTERN, EXTRA_NAME_PATTERN = r"^[A-Za-z0-9._-]{1,80}$", r"^[a-z0-9_]{1,40}$"

GTIN_EXAMPLE = "9506000134352"
TASK_ID_EXAMPLE = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
ERROR_EXAMPLE = "Chunk 1 failed after 4 tries: the object store did not respond."
ERROR_CODE_EXAMPLE = "storage_unavailable"
SHA256_EXAMPLE = "9b74c9897bac770ffc029102a200c5de1b2f1e8a0a5b1c7f0e9d8c7b6a594837"
_BUNDLE_URL = f"https://s3.example.com/qrmill/jobs/{TASK_ID_EXAMPLE}/bundle.zip?X-Amz-Signature=…"
_ITEM = {"lot": "LOT-7", "serial": "A0001", "expiry": "271231"}

#: Rules for ``lot`` and ``serial`` with the widest character set; the configured one may be
#: narrower.
_ALPHANUMERIC = {"minLength": 1, "maxLength": 20, "pattern": r"^[\x21-\x7E]{1,20}$"}

#: Browsers remove the segments ``.`` and ``..`` (RFC 3986, section 5.2.4), even percent-encoded
#: ones (WHATWG URL, "single-dot path segment").
_DATE = {"pattern": "^[0-9]{6}$"}
_DOTS = (
    "1 to 20 characters of GS1 character set 82. The values `.` and `..` are accepted, but "
    "browsers remove them from the URI."
)


class BulkItem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Values of one symbol. Every field is optional."""

    lot: Annotated[
        str | None,
        Meta(
            description=f"Batch or lot number (AI 10): {_DOTS}",
            examples=["LOT-7"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    serial: Annotated[
        str | None,
        Meta(
            description=f"Serial number (AI 21): {_DOTS}",
            examples=["A0001"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    expiry: Annotated[
        str | None,
        Meta(
            description="Expiration date (AI 17): YYMMDD. Day 00 means the last day of the month.",
            examples=["271231"],
            extra_json_schema=_DATE,
        ),
    ] = None
    gtin: Annotated[
        str | None,
        Meta(
            description="GTIN of this item, in place of the `gtin` of the request. If every item "
            "has one, the request may leave its own out.",
            examples=[GTIN_EXAMPLE],
            extra_json_schema={"pattern": GTIN_PATTERN},
        ),
    ] = None
    production_date: Annotated[
        str | None,
        Meta(
            description="Production date (AI 11): YYMMDD, like `expiry`.",
            examples=["260105"],
            extra_json_schema=_DATE,
        ),
    ] = None
    packaging_date: Annotated[
        str | None,
        Meta(
            description="Packaging date (AI 13): YYMMDD, like `expiry`.",
            examples=["260106"],
            extra_json_schema=_DATE,
        ),
    ] = None
    best_before_date: Annotated[
        str | None,
        Meta(
            description="Best before date (AI 15): YYMMDD, like `expiry`.",
            examples=["271130"],
            extra_json_schema=_DATE,
        ),
    ] = None
    sell_by_date: Annotated[
        str | None,
        Meta(
            description="Sell by date (AI 16): YYMMDD, like `expiry`.",
            examples=["271115"],
            extra_json_schema=_DATE,
        ),
    ] = None
    variant: Annotated[
        str | None,
        Meta(
            description=f"Consumer product variant (AI 22): {_DOTS}",
            examples=["2A"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    name: Annotated[
        str | None,
        Meta(
            description="Name of the image in the ZIP, without extension: 1 to 80 of the "
            "characters `A-Z a-z 0-9 . _ -`. No two images of a task may have the same name, upper "
            "and lower case counting as equal, and no name may be one that Windows reserves, such "
            "as `NUL`. Not with `pages` `single`. Default: `{index}_{lot}_{serial}`.",
            examples=["front-label-1"],
            extra_json_schema={
                "minLength": 1,
                "maxLength": MAX_NAME_LENGTH,
                "pattern": NAME_PATTERN,
            },
        ),
    ] = None
    extra: Annotated[
        dict[str, str] | None,
        Meta(
            description=f"Values that are not in the symbol, but in the columns `x_…` of the "
            f"manifest: strings of up to {MAX_EXTRA_LENGTH} characters. Names have 1 to 40 of the "
            f"characters `a-z 0-9 _`; a task may have up to {MAX_EXTRA_NAMES} of them. The columns "
            "are in the order in which the names first appear.",
            examples=[{"customer": "ACME", "pallet": "17"}],
            extra_json_schema={
                "propertyNames": {"pattern": EXTRA_NAME_PATTERN},
                "additionalProperties": {"type": "string", "maxLength": MAX_EXTRA_LENGTH},
            },
        ),
    ] = None


_GTIN_DESCRIPTION = (
    "GTIN-8, GTIN-12, GTIN-13 or GTIN-14 with its check digit. Spaces and hyphens between the "
    "digits are ignored."
)
Gtin = Annotated[
    str,
    Meta(
        description=_GTIN_DESCRIPTION,
        examples=[GTIN_EXAMPLE],
        extra_json_schema={"pattern": GTIN_PATTERN},
    ),
]
Format = Annotated[ImageFormat, Meta(description="File format of the images.", examples=["png"])]
_SIZES = {"minimum": MIN_SIZE, "maximum": MAX_SIZE}
Size = Annotated[
    int,
    Meta(
        description=f"Side of a PNG in pixels, {MIN_SIZE} to {MAX_SIZE}. Ignored for the other "
        "formats, and with `xdim_mm`.",
        examples=[DEFAULT_SIZE],
        extra_json_schema=_SIZES,
    ),
]
LeastLevel = Annotated[
    ErrorCorrection,
    Meta(
        description="Minimum error correction level. A symbol gets a higher level if that does not "
        "make the symbol larger.",
        examples=["M"],
    ),
]
LeastVersion = Annotated[
    int | None,
    Meta(
        description=f"Minimum version of the symbols, 1 to {MAX_VERSION}, so that all symbols of a "
        "task have one size. A symbol gets a higher version if its text needs it.",
        examples=[7],
        extra_json_schema={"minimum": 1, "maximum": MAX_VERSION},
    ),
]
XDimension = Annotated[
    float | None,
    Meta(
        description=f"X-dimension, the width of a module, in millimetres, {MIN_XDIM_MM} to "
        f"{MAX_XDIM_MM}. A PNG gets modules of the nearest whole number of pixels at `dpi`, and "
        f"its side, at most {MAX_SIDE_PX} pixels, follows. The other formats are exact. Default: "
        f"none for PNG, {DEFAULT_XDIM_MM} for the other formats.",
        examples=[DEFAULT_XDIM_MM],
        extra_json_schema={"minimum": MIN_XDIM_MM, "maximum": MAX_XDIM_MM},
    ),
]
Dpi = Annotated[
    int | None,
    Meta(
        description=f"Resolution of a PNG in pixels per inch, {MIN_DPI} to {MAX_DPI}, which is "
        f"written into the file. Ignored for the other formats. Default: {DEFAULT_DPI} with "
        "`xdim_mm`, otherwise none.",
        examples=[600],
        extra_json_schema={"minimum": MIN_DPI, "maximum": MAX_DPI},
    ),
]
LinkBase = Annotated[
    str | None,
    Meta(
        description="Beginning of the Digital Link URIs in the symbols: one of the `link_bases` of "
        "the API key. Default: the key's first, otherwise that of the service.",
        examples=["https://id.example.com"],
        extra_json_schema={"format": "uri", "maxLength": MAX_LINK_BASE},
    ),
]
Strict = Annotated[
    bool,
    Meta(
        description="Whether warnings count as invalid values: a request with a warning is then "
        "rejected with 422.",
        examples=[True],
    ),
]


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request for one QR code per item.

    In the CSV form, the body has the items, and the query has the other fields.
    """

    gtin: Annotated[
        str | None,
        Meta(
            description=f"{_GTIN_DESCRIPTION} Required unless every item has a `gtin`.",
            examples=[GTIN_EXAMPLE],
            extra_json_schema={"pattern": GTIN_PATTERN},
        ),
    ] = None
    items: Annotated[
        list[BulkItem],
        Meta(description="The items; each becomes one QR code.", examples=[[_ITEM]], min_length=0),
    ]
    format: Format = "png"
    size: Size = DEFAULT_SIZE
    error_correction: LeastLevel = "M"
    version: LeastVersion = None
    xdim_mm: XDimension = None
    dpi: Dpi = None
    pages: Annotated[
        Literal["each", "single"],
        Meta(
            description="`each`: one file per symbol. `single`: one file `symbols.pdf` with a page "
            "per symbol, only with the format `pdf`.",
            examples=["each"],
        ),
    ] = "each"
    datamerge: Annotated[
        bool,
        Meta(
            description="Whether the ZIP also has a `datamerge.csv` for variable-data printing, "
            "whose column `@qr` has the names of the image files. Not with `pages` `single`.",
            examples=[True],
        ),
    ] = False
    callback_url: Annotated[
        str | None,
        Meta(
            description="URL that receives a webhook (a signed POST, Standard Webhooks) when the "
            "task ends. An `https` URL with a public host. The API key needs a webhook secret.",
            examples=["https://hooks.example.com/qrmill"],
            extra_json_schema={"format": "uri", "maxLength": 2000},
        ),
    ] = None
    link_base: LinkBase = None
    strict: Strict = False


class SymbolRequest(BulkItem, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request for a single QR code."""

    gtin: Gtin
    format: Format = "png"
    # The absence of a size differs from the default size of a PNG: it leaves the width of the other
    # formats to the X-dimension.
    size: Annotated[
        int | UnsetType,
        Meta(
            description=f"Width of the image, {MIN_SIZE} to {MAX_SIZE}, quiet zone included: in "
            "pixels (PNG), user units (SVG) or points of 1/72 inch (PDF, EPS). Ignored with "
            f"`xdim_mm`. Default: {DEFAULT_SIZE} for PNG; the width of the other formats follows "
            "from `xdim_mm`.",
            examples=[DEFAULT_SIZE],
            extra_json_schema=_SIZES,
        ),
    ] = UNSET
    error_correction: LeastLevel = "M"
    version: LeastVersion = None
    xdim_mm: XDimension = None
    dpi: Dpi = None
    link_base: LinkBase = None
    strict: Strict = False


#: Length of serials drawn at random without ``length``.
DEFAULT_SERIAL_LENGTH = 10
#: The characters of such serials: digits and capital letters without 0, 1, I, L, O and U, which are
#: easily mistaken for others.
SERIAL_CHARACTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_BITS = math.log2(len(SERIAL_CHARACTERS))


class Serials(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Serial numbers that the service makes, one per item: a range, or drawn at random.

    They are made once, when the request is accepted.
    """

    start: Annotated[
        str | None,
        Meta(
            description="First serial number of a range. Its last run of digits is counted up, and "
            "keeps its width; a number that needs more digits is an error.",
            examples=["A0001"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    count: Annotated[
        int,
        Meta(
            description="Number of serial numbers, and of items.",
            examples=[500],
            extra_json_schema={"minimum": 1},
        ),
    ]
    step: Annotated[
        int | None,
        Meta(
            description="Difference between two serial numbers of a range. Default: 1.",
            examples=[1],
            extra_json_schema={"minimum": 1},
        ),
    ] = None
    random: Annotated[
        bool,
        Meta(
            description="`true` to draw the serial numbers from the random generator of the "
            f"operating system. Each of their {len(SERIAL_CHARACTERS)} characters, "
            f"`{SERIAL_CHARACTERS}`, has {_BITS:.2f} bits of entropy. No two serial numbers of a "
            "task are equal. They are not promised to be unguessable, nor to differ from those of "
            "other tasks.",
            examples=[True],
        ),
    ] = False
    length: Annotated[
        int | None,
        Meta(
            description="Number of characters of serial numbers drawn at random, 1 to 20. Default: "
            f"{DEFAULT_SERIAL_LENGTH}, with {_BITS * DEFAULT_SERIAL_LENGTH:.0f} bits of entropy.",
            examples=[DEFAULT_SERIAL_LENGTH],
            extra_json_schema={"minimum": 1, "maximum": 20},
        ),
    ] = None


#: Fields of an item that items with serials of :class:`Serials` may share.
SHARED_ITEM_FIELDS = tuple(
    name for name in BulkItem.__struct_fields__ if name not in {"serial", "gtin", "name"}
)
_SERIALS_FIELD = (
    "serials",
    Annotated[
        Serials,
        Meta(
            description="Serial numbers that the service makes, in place of `items`.",
            examples=[{"start": "A0001", "count": 500}],
        ),
    ],
)


def _shared(kind: type[msgspec.Struct], *names: str) -> list[Any]:
    """Return fields of a type as :func:`msgspec.defstruct` takes them."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    return [(name, fields[name].type, fields[name].default) for name in names]


#: The fields of a request with serials in place of items.
SERIALS_REQUEST_FIELDS: list[Any] = [
    *_shared(BulkRequest, "gtin"),
    _SERIALS_FIELD,
    *_shared(BulkItem, *SHARED_ITEM_FIELDS),
    *_shared(
        BulkRequest,
        *(name for name in BulkRequest.__struct_fields__ if name not in {"gtin", "items"}),
    ),
]
SerialsRequest: Any = msgspec.defstruct(
    "SerialsRequest",
    SERIALS_REQUEST_FIELDS,
    namespace={
        "__doc__": "Request for one QR code per serial number that the service makes.\n\n"
        "The items differ only in their serial numbers."
    },
    module=__name__,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)


WARNING_EXAMPLE = {
    "pointer": "/items/4/serial",
    "code": "duplicate_serial",
    "detail": "The serial number is the same as that of /items/3/serial, with the same GTIN. Send "
    "each serial number once.",
}
WarningsTotal = Annotated[
    int, Meta(description="Number of warnings, including unlisted ones.", examples=[1], ge=0)
]
TaskId = Annotated[
    str,
    Meta(
        description="Id of the task, a UUID.",
        examples=[TASK_ID_EXAMPLE],
        extra_json_schema={"format": "uuid"},
    ),
]
PollUrl = Annotated[
    str,
    Meta(
        description="Path of the task's status, for GET.",
        examples=[f"/qr/bulk/{TASK_ID_EXAMPLE}/"],
    ),
]
Status = Annotated[
    State,
    Meta(
        description="`pending`: accepted, not started. `running`: being rendered. `completed`: "
        "the ZIP can be downloaded. `failed`: ended with an error.",
        examples=["completed"],
    ),
]
ProcessedItems = Annotated[
    int, Meta(description="Number of items rendered so far.", examples=[1000])
]
TotalItems = Annotated[int, Meta(description="Number of items in the request.", examples=[1000])]
CREATED_AT = Meta(
    description="Time when the request was accepted, ISO 8601.",
    examples=["2026-11-23T08:00:00.120000+00:00"],
)
FINISHED_AT = Meta(
    description="Time when the task ended, ISO 8601; null while it is pending or running.",
    examples=["2026-11-23T08:00:01.020000+00:00"],
)


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """Response to an accepted request, before anything is rendered."""

    task_id: TaskId
    status: Annotated[
        Literal["pending"], Meta(description="Always `pending`.", examples=["pending"])
    ]
    items: Annotated[
        int, Meta(description="Number of items in the request.", examples=[1000], ge=1)
    ]
    poll_url: PollUrl
    warnings: Annotated[
        list[RequestWarning],
        Meta(
            description="Values that are valid but probably not intended, at most the first "
            f"{MAX_ERRORS}. Absent if there are none.",
            examples=[[WARNING_EXAMPLE]],
        ),
    ] = []
    warnings_total: WarningsTotal = 0


SYMBOL_COUNT_EXAMPLE = {
    "version": 4,
    "error_correction": "M",
    "count": 5000,
    "width_px": None,
    "width_mm": 20.295,
    "xdim_mm": 0.495,
}


class SymbolCount(msgspec.Struct, frozen=True):
    """Number and size of the symbols that have the same version and error correction level."""

    version: Annotated[
        int,
        Meta(
            description="Version of the symbols, which determines their size: 17 + 4 * version "
            "modules per side.",
            examples=[4],
            ge=1,
            le=40,
        ),
    ]
    error_correction: Annotated[
        ErrorCorrection,
        Meta(description="Error correction level of the symbols.", examples=["M"]),
    ]
    count: Annotated[int, Meta(description="Number of such symbols.", examples=[5000], ge=1)]
    width_px: Annotated[
        int | None,
        Meta(
            description="Width of their images in pixels, quiet zone included; null unless PNG.",
            examples=[400],
        ),
    ] = None
    width_mm: Annotated[
        float | None,
        Meta(
            description="Width of their images in millimetres, quiet zone included; null for a PNG "
            "without resolution.",
            examples=[20.295],
        ),
    ] = None
    xdim_mm: Annotated[
        float | None,
        Meta(
            description="X-dimension in millimetres, for PNG after rounding to whole pixels; null "
            "for a PNG without resolution.",
            examples=[0.495],
        ),
    ] = None


class SerialExamples(msgspec.Struct, frozen=True):
    """Examples of the serial numbers that the service would make."""

    samples: Annotated[
        list[str],
        Meta(
            description="The first serial numbers, and the last one.",
            examples=[["A0001", "A0002", "A0003", "A0500"]],
        ),
    ]
    reserved: Annotated[
        bool,
        Meta(
            description="Always `false`: a dry run reserves no serial numbers. Another request may "
            "use them, and serial numbers drawn at random are drawn again when the request is "
            "accepted.",
            examples=[False],
        ),
    ] = False


class DryRun(msgspec.Struct, frozen=True):
    """Result of a dry run. No job was accepted."""

    would_accept: Annotated[
        bool, Meta(description="Whether every value of the request is valid.", examples=[True])
    ]
    items: Annotated[
        int,
        Meta(
            description="Number of items in the request. In CSV, counting stops at the maximum.",
            examples=[5000],
            ge=0,
        ),
    ]
    symbols: Annotated[
        list[SymbolCount],
        Meta(
            description="The symbols of the valid items, counted by version and error correction "
            "level. Empty if a field that all items share is invalid.",
            examples=[[SYMBOL_COUNT_EXAMPLE]],
        ),
    ]
    errors: Annotated[
        list[Violation],
        Meta(description=f"The invalid values, at most the first {MAX_ERRORS}.", examples=[[]]),
    ]
    errors_total: Annotated[
        int,
        Meta(description="Number of invalid values, including unlisted ones.", examples=[0], ge=0),
    ]
    warnings: Annotated[
        list[RequestWarning],
        Meta(
            description="Values that are valid but probably not intended, at most the first "
            f"{MAX_ERRORS}. Empty with `strict`: such values are then listed in `errors`.",
            examples=[[WARNING_EXAMPLE]],
        ),
    ] = []
    warnings_total: WarningsTotal = 0
    serials: Annotated[
        SerialExamples | UnsetType,
        Meta(
            description="Examples of the serial numbers of a valid request with `serials`; absent "
            "otherwise.",
            examples=[{"samples": ["A0001", "A0002", "A0003", "A0500"], "reserved": False}],
        ),
    ] = UNSET


class Chunks(msgspec.Struct, frozen=True):
    """Progress of a task's chunks, which are rendered in parallel."""

    total: Annotated[int, Meta(description="Number of chunks.", examples=[2])]
    staged: Annotated[
        int,
        Meta(
            description="Number of rendered chunks. Each is stored until the bundle is built.",
            examples=[2],
        ),
    ]
    failed: Annotated[
        int, Meta(description="Number of chunks that failed permanently.", examples=[0])
    ]


class BundleResponse(msgspec.Struct, frozen=True):
    """The finished ZIP."""

    bytes: Annotated[int, Meta(description="Size of the file in bytes.", examples=[812_345])]
    sha256: Annotated[
        str,
        Meta(description="SHA-256 of the file, in hexadecimal.", examples=[SHA256_EXAMPLE]),
    ]
    expires_at: Annotated[
        str,
        Meta(
            description="Time after which the service deletes the file, ISO 8601.",
            examples=["2026-11-30T08:00:01+00:00"],
        ),
    ]
    verified: Annotated[
        bool,
        Meta(
            description="Whether every symbol of the ZIP was read back by an independent decoder "
            "and encodes the URI in its row of the manifest.",
            examples=[True],
        ),
    ] = False


class CallbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery of the webhook to the request's `callback_url`."""

    state: Annotated[
        CallbackState,
        Meta(
            description="`pending`: not delivered yet; the first attempt follows the end of the "
            "task. `delivered`: the receiver returned 2xx. `failed`: the last attempt failed, or "
            "the receiver returned 410.",
            examples=["delivered"],
        ),
    ]
    attempts: Annotated[
        int, Meta(description="Number of attempts that were started.", examples=[1])
    ]
    last_error: Annotated[
        str | None,
        Meta(
            description="Why the last attempt failed; null unless it failed.",
            examples=["receiver returned 500"],
        ),
    ]
    next_attempt_at: Annotated[
        str | None,
        Meta(
            description="Time of the next attempt, ISO 8601; null before the task ends and after "
            "the last attempt.",
            examples=["2026-11-23T08:05:01+00:00"],
        ),
    ]
    delivered_at: Annotated[
        str | None,
        Meta(
            description="Time of the delivery, ISO 8601; null unless delivered.",
            examples=["2026-11-23T08:00:01.090000+00:00"],
        ),
    ]


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Status and progress of a task."""

    task_id: TaskId
    status: Status
    download_url: Annotated[
        str | None,
        Meta(
            description="URL that downloads the ZIP without an API key, signed again for every "
            "response; null unless completed. It is signed for GET only: HEAD returns 403. To "
            "learn the size, GET with `Range: bytes=0-0`: `Content-Range` contains the size.",
            examples=[_BUNDLE_URL],
        ),
    ]
    expires_at: Annotated[
        str | None,
        Meta(
            description="Time when `download_url` stops working, ISO 8601; null without a "
            "`download_url`. GET the status again for a new URL.",
            examples=["2026-11-23T09:00:05+00:00"],
        ),
    ]
    items: Annotated[
        int | None,
        Meta(description="Number of symbols in the ZIP; null unless completed.", examples=[1000]),
    ]
    error: Annotated[
        str | None,
        Meta(description="Why the task failed; null unless failed.", examples=[ERROR_EXAMPLE]),
    ]
    error_code: Annotated[
        str | None,
        Meta(
            description="Stable name of `error`, for programs; null unless failed.",
            examples=[ERROR_CODE_EXAMPLE],
        ),
    ]
    processed_items: ProcessedItems
    total_items: TotalItems
    progress_percent: Annotated[
        float,
        Meta(
            description="Share of the items rendered so far, in %.", examples=[100.0], ge=0, le=100
        ),
    ]
    chunks: Annotated[
        Chunks,
        Meta(
            description="Progress of the task's chunks.",
            examples=[{"total": 2, "staged": 2, "failed": 0}],
        ),
    ]
    created_at: Annotated[str, CREATED_AT]
    finished_at: Annotated[str | None, FINISHED_AT]
    bundle: Annotated[
        BundleResponse | None,
        Meta(
            description="The finished ZIP; null unless completed.",
            examples=[
                {
                    "bytes": 812_345,
                    "sha256": SHA256_EXAMPLE,
                    "expires_at": "2026-11-30T08:00:01+00:00",
                    "verified": True,
                }
            ],
        ),
    ]
    callback: Annotated[
        CallbackResponse | None,
        Meta(
            description="Delivery of the webhook; null if the request has no `callback_url`.",
            examples=[
                {
                    "state": "delivered",
                    "attempts": 1,
                    "last_error": None,
                    "next_attempt_at": None,
                    "delivered_at": "2026-11-23T08:00:01.090000+00:00",
                }
            ],
        ),
    ]


class Health(msgspec.Struct, frozen=True):
    """Result of a health check."""

    status: Annotated[
        Literal["ok", "unavailable"],
        Meta(
            description="`unavailable` if at least one dependency is unavailable.", examples=["ok"]
        ),
    ]
    unavailable: Annotated[
        list[str],
        Meta(
            description="Names of the unavailable dependencies: `redis`, `s3`, `s3_staging`, "
            "`rabbitmq`.",
            examples=[[]],
        ),
    ]


#: Names of the query parameters of the CSV form: the fields of a bulk request except its items.
PARAMETERS = tuple(name for name in BulkRequest.__struct_fields__ if name != "items")
#: Names of the further query parameters of the CSV form with ``serials`` and no items.
SERIALS_PARAMETERS = tuple(name for name in SHARED_ITEM_FIELDS if name != "extra")
