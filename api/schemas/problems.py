"""Error responses: problem details (RFC 9457), with the error envelope of the base contract."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: Maximum number of invalid values, and of warnings, that a response lists.
MAX_ERRORS = 100

#: Codes of the error envelope. The status of the response determines the code.
EnvelopeCode = Literal[
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "CONFLICT",
    "VALIDATION_ERROR",
    "RATE_LIMITED",
    "INTERNAL_ERROR",
]
_LENGTH_ERROR = "'' has 0 characters; send 1 to 20 characters, or leave it out."

Pointer = Annotated[
    str,
    Meta(
        description="Location of the value: a JSON Pointer (RFC 6901) into the JSON form of the "
        "request, also for CSV. Empty for the request as a whole. Of a name of more than "
        "60 characters that the request contains, it has the first 60 characters and `…`; such a "
        "pointer refers to nothing.",
        examples=["/items/16/serial"],
    ),
]
Line = Annotated[
    int | None,
    Meta(
        description="For CSV only: number of the line on which the record begins, from 1.",
        examples=[18],
    ),
]
Column = Annotated[
    int | None,
    Meta(description="For CSV only: number of the field within its record, from 1.", examples=[2]),
]


class Violation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One invalid value of a request."""

    pointer: Pointer
    code: Annotated[
        str,
        Meta(description="Stable name of the violated rule, for programs.", examples=["length"]),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What is wrong with the value, and what to send instead.",
            examples=[_LENGTH_ERROR],
        ),
    ]
    line: Line = None
    column: Column = None


class RequestWarning(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of a request that is valid but probably not intended."""

    pointer: Pointer
    code: Annotated[
        str,
        Meta(
            description="Stable name of the warning, for programs.", examples=["duplicate_serial"]
        ),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What is suspicious about the value, and what to do.",
            examples=["'nan' is what programs write for a missing value."],
        ),
    ]
    line: Line = None
    column: Column = None


class ErrorDetail(msgspec.Struct, frozen=True):
    """One invalid value of a request, in the error envelope."""

    field: Annotated[
        str,
        Meta(
            description="Location of the value: the names and indices of the `pointer` in "
            "`errors`, separated by dots. Empty for the request as a whole.",
            examples=["items.16.serial"],
        ),
    ]
    message: Annotated[
        str,
        Meta(
            description="What is wrong with the value, and what to send instead.",
            examples=[_LENGTH_ERROR],
        ),
    ]


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """The same error in the form of the base contract."""

    code: Annotated[
        EnvelopeCode,
        Meta(
            description="Kind of the error, by status; `error_code` is more precise.",
            examples=["VALIDATION_ERROR"],
        ),
    ]
    message: Annotated[
        str,
        Meta(
            description="The same as `detail`.",
            examples=["There is no query parameter 'dryrun'. Did you mean 'dry_run'?"],
        ),
    ]
    status: Annotated[int, Meta(description="HTTP status of the response.", examples=[422])]
    details: Annotated[
        list[ErrorDetail] | None,
        Meta(
            description="The values in `errors`, in the same order; null if there are none.",
            examples=[
                [
                    {
                        "field": "items.16.serial",
                        "message": _LENGTH_ERROR,
                    }
                ]
            ],
        ),
    ]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Error response (RFC 9457, problem details)."""

    type: Annotated[
        str,
        Meta(
            description="URI of the kind of problem: `urn:qrmill:problem:` and the `error_code`.",
            examples=["urn:qrmill:problem:invalid_request"],
        ),
    ]
    title: Annotated[
        str, Meta(description="Reason phrase of the status.", examples=["Unprocessable Entity"])
    ]
    status: Annotated[int, Meta(description="HTTP status of the response.", examples=[422])]
    detail: Annotated[
        str,
        Meta(
            description="Explanation for people: what went wrong, and what to do.",
            examples=["There is no query parameter 'dryrun'. Did you mean 'dry_run'?"],
        ),
    ]
    instance: Annotated[
        str,
        Meta(
            description="Id of the request, the same as in the `X-Request-ID` header. Quote it "
            "when you report a problem.",
            examples=["b1f7e1c0-2f0e-4a55-9c5e-0d9f6c3a1b42"],
        ),
    ]
    error_code: Annotated[
        str,
        Meta(description="Stable name of the error, for programs.", examples=["invalid_request"]),
    ]
    retryable: Annotated[
        bool,
        Meta(
            description="Whether the same request may succeed later: true for 429, 503, and 409 "
            "with the `error_code` `key_in_use`.",
            examples=[False],
        ),
    ]
    timestamp: Annotated[
        str,
        Meta(
            description="Time of the response, ISO 8601 in UTC.",
            examples=["2026-11-23T08:00:01.020+00:00"],
        ),
    ]
    error: Annotated[
        ErrorEnvelope,
        Meta(
            description="The same error in the form of the base contract.",
            examples=[
                {
                    "code": "NOT_FOUND",
                    "message": "There is no resource at /qr/bulks. The OpenAPI document lists all "
                    "paths.",
                    "status": 404,
                    "details": None,
                }
            ],
        ),
    ]
    errors: Annotated[
        list[Violation] | None,
        Meta(
            description=f"For 422: the invalid values, at most the first {MAX_ERRORS}, and fewer "
            "if their messages are long. For 400: the location of the error in a malformed body, "
            "as far as it is known.",
            examples=[
                [
                    {
                        "pointer": "/items/16/serial",
                        "code": "length",
                        "detail": _LENGTH_ERROR,
                    }
                ]
            ],
        ),
    ] = None
    errors_total: Annotated[
        int | None,
        Meta(description="Number of invalid values, including unlisted ones.", examples=[1]),
    ] = None
