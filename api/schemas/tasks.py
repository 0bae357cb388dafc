"""What goes over the wire: types of requests and responses, and the source of the API document.

Rules that the types alone cannot tell stand in ``extra_json_schema``; ``api.intake.validation``
checks them and gives each its own message.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.schemas.problems import Violation
from api.schemas.states import CallbackState, State
from render.gs1 import gtin
from render.image import MAX_SIZE, MIN_SIZE, ErrorCorrection, ImageFormat

#: ``lot`` and ``serial`` as every service accepts them; the configured character set may be wider.
_ALPHANUMERIC = {"minLength": 1, "maxLength": 20, "pattern": r"^[\x21-\x7E]{1,20}$"}

#: RFC 3986, section 5.2.4; no percent-encoding helps (WHATWG URL, "single-dot path segment").
_DOTS = "`.` or `..` alone is taken as it is, but browsers drop it from the URI"


class BulkItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One symbol's values."""

    lot: Annotated[
        str | None,
        Meta(
            description="AI 10, batch or lot number: GS1 character set 82. " + _DOTS,
            examples=["LOT-7"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    serial: Annotated[
        str | None,
        Meta(
            description="AI 21, serial number: GS1 character set 82. " + _DOTS,
            examples=["A0001"],
            extra_json_schema=_ALPHANUMERIC,
        ),
    ] = None
    expiry: Annotated[
        str | None,
        Meta(
            description="AI 17, expiration date YYMMDD; day 00 stands for the month's last day",
            examples=["271231"],
            extra_json_schema={"pattern": "^[0-9]{6}$"},
        ),
    ] = None


Gtin = Annotated[
    str,
    Meta(
        description="GTIN-8, -12, -13 or -14 with its check digit; spaces and hyphens may "
        "stand between the digits",
        examples=["9506000134352"],
        extra_json_schema={"pattern": gtin.PATTERN},
    ),
]
Format = Annotated[ImageFormat, Meta(description="File format of the images")]
Size = Annotated[
    int,
    Meta(
        description="Side of a PNG in pixels; SVG ignores it",
        extra_json_schema={"minimum": MIN_SIZE, "maximum": MAX_SIZE},
    ),
]
LeastLevel = Annotated[
    ErrorCorrection,
    Meta(description="Least level; a symbol gets a higher one that costs no larger version"),
]


class BulkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for one symbol an item.

    Every field but the items is a query parameter of the CSV form.
    """

    gtin: Gtin
    items: Annotated[list[BulkItem], Meta(description="One symbol each", min_length=0)]
    format: Format = "png"
    size: Size = 400
    error_correction: LeastLevel = "M"
    callback_url: Annotated[
        str | None,
        Meta(
            description="Where to send a signed POST (Standard Webhooks) when the task has ended: "
            "https and a public host. The key needs a webhook secret",
            extra_json_schema={"format": "uri", "maxLength": 2000},
        ),
    ] = None
    strict: Annotated[
        bool, Meta(description="Whether warnings are errors, which reject the request")
    ] = False


class SymbolRequest(BulkItem, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for one symbol."""

    gtin: Gtin
    format: Format = "png"
    size: Size = 400
    error_correction: LeastLevel = "M"


class RequestWarning(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that is valid, but probably not meant; a warning never stops a request."""

    pointer: Annotated[
        str,
        Meta(
            description="Location in the JSON form, as a JSON Pointer (RFC 6901)",
            examples=["/items/16/serial"],
        ),
    ]
    code: Annotated[
        str,
        Meta(description="Name of the warning, for programs", examples=["duplicate_serial"]),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What is conspicuous, and what may be meant",
            examples=["The serial number 'A0017' of this GTIN is in /items/3/serial already."],
        ),
    ]
    line: Annotated[
        int | None,
        Meta(
            description="For CSV: the line on which the record begins, counted from 1",
            examples=[18],
        ),
    ] = None
    column: Annotated[
        int | None,
        Meta(description="For CSV: the field of the record, counted from 1", examples=[2]),
    ] = None


Warnings = Annotated[list[RequestWarning], Meta(description="The first 100 warnings")]
WarningsTotal = Annotated[int, Meta(description="Number of warnings", ge=0, examples=[1])]


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that was accepted; nothing is rendered yet."""

    task_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    status: Literal["pending"]
    items: Annotated[int, Meta(description="How many items the request has", ge=1)]
    poll_url: Annotated[str, Meta(description="Where to ask how far it is")]
    warnings: Warnings = []
    warnings_total: WarningsTotal = 0


class SymbolCount(msgspec.Struct, frozen=True):
    """How many symbols have one version and error correction level."""

    version: Annotated[int, Meta(ge=1, le=40)]
    error_correction: ErrorCorrection
    count: Annotated[int, Meta(ge=1)]


class DryRun(msgspec.Struct, frozen=True):
    """What would become of a request; nothing was accepted."""

    would_accept: Annotated[bool, Meta(description="Whether no value is bad")]
    items: Annotated[
        int, Meta(description="How many items it has; in CSV at most as many as it may have", ge=0)
    ]
    symbols: Annotated[
        list[SymbolCount],
        Meta(description="The symbols of its valid items; none when what they share is bad"),
    ]
    errors: Annotated[list[Violation], Meta(description="The first 100 bad values")]
    errors_total: Annotated[int, Meta(description="How many there are", ge=0)]
    warnings: Warnings = []
    warnings_total: WarningsTotal = 0


class Chunks(msgspec.Struct, frozen=True):
    """How far a job's chunks are."""

    total: int
    staged: Annotated[int, Meta(description="Rendered, waiting to be bundled")]
    failed: Annotated[int, Meta(description="Failed for good")]


class BundleResponse(msgspec.Struct, frozen=True):
    """The finished ZIP."""

    bytes: Annotated[int, Meta(description="Its size")]
    sha256: Annotated[str, Meta(description="Of the whole file, hexadecimal")]
    expires_at: Annotated[str, Meta(description="When it may be removed, ISO 8601")]


class CallbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How far the callback about a job's end is."""

    state: Annotated[
        CallbackState, Meta(description="Pending from the request on until an attempt succeeds")
    ]
    attempts: Annotated[int, Meta(description="Begun so far")]
    last_error: Annotated[
        str | None, Meta(description="What became of the last attempt; null unless it failed")
    ]
    next_attempt_at: Annotated[
        str | None, Meta(description="ISO 8601; null before the task has ended, and at the end")
    ]
    delivered_at: Annotated[str | None, Meta(description="ISO 8601; null unless delivered")]


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is."""

    task_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    status: State
    download_url: Annotated[
        str | None, Meta(description="Signed anew at every poll; null unless completed")
    ]
    expires_at: Annotated[
        str | None, Meta(description="When download_url stops working, ISO 8601; null with it")
    ]
    items: Annotated[
        int | None, Meta(description="How many symbols the bundle has; null unless completed")
    ]
    error: Annotated[str | None, Meta(description="Why it failed; null unless failed")]
    error_code: Annotated[str | None, Meta(description="The same, for programs")]
    processed_items: Annotated[int, Meta(description="Items rendered so far")]
    total_items: int
    progress_percent: Annotated[float, Meta(description="0 to 100", ge=0, le=100)]
    chunks: Chunks
    created_at: Annotated[str, Meta(description="ISO 8601")]
    finished_at: Annotated[str | None, Meta(description="ISO 8601; null in flight")]
    bundle: BundleResponse | None
    callback: Annotated[
        CallbackResponse | None, Meta(description="Null when the request had no callback_url")
    ]


class Health(msgspec.Struct, frozen=True):
    """Whether the process, or the service with its parts, can do its work."""

    status: Literal["ok", "unavailable"]
    unavailable: Annotated[list[str], Meta(description="Parts that do not answer")]


#: What the query says: all of a bulk request but its items.
PARAMETERS = tuple(name for name in BulkRequest.__struct_fields__ if name != "items")
