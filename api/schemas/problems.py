"""What goes over the wire when something is wrong: problem details (RFC 9457)."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Violation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One bad value of a request."""

    pointer: Annotated[
        str,
        Meta(description="Where it stands, as a JSON Pointer (RFC 6901) into the JSON form"),
    ]
    code: Annotated[str, Meta(description="The rule it breaks, for programs")]
    detail: Annotated[str, Meta(description="What is wrong and what would be right")]
    line: Annotated[
        int | None, Meta(description="For CSV: the line on which its record begins, from 1")
    ] = None
    column: Annotated[int | None, Meta(description="For CSV: its field in the record, from 1")] = (
        None
    )


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="What went wrong this time and what to do")]
    instance: Annotated[str, Meta(description="The request's id, as in its X-Request-ID header")]
    error_code: Annotated[str, Meta(description="Stable name of the error, for programs")]
    errors: Annotated[
        list[Violation] | None,
        Meta(description="For 422: the first 100 bad values. For 400: where a CSV body is broken"),
    ] = None
    errors_total: Annotated[int | None, Meta(description="For 422: how many there are")] = None
