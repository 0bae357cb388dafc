"""Submitting requests: each has an Idempotency-Key, so that it can be sent more than once."""

import io
import os
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypedDict

from .errors import QrmillError
from .transport import Api, Body, decode
from .wire_types import (
    Accepted,
    DryRun,
    ErrorCorrection,
    FilePages,
    ImageFormat,
    RequestWarning,
)

BULK = "/qr/bulk/"
#: 1 to 255 characters of visible ASCII; spaces are permitted except at the ends.
_IDEMPOTENCY_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")

CsvSource = str | os.PathLike[str] | bytes | BinaryIO


class Options(TypedDict, total=False):
    """Optional fields of a request; the API documents their defaults.

    Attributes:
        format: image format.
        size: side of a PNG in pixels; ignored with ``xdim_mm``.
        error_correction: minimum level of the symbols.
        version: minimum version of the symbols, 1 to 40, so that all have the same size.
        xdim_mm: X-dimension, the width of a module, in millimetres. A PNG gets modules of the
            nearest whole number of pixels; the other formats are exact.
        dpi: resolution of a PNG in pixels per inch.
        pages: ``each`` for one file per symbol, ``single`` for one PDF with a page per symbol.
        datamerge: whether the bundle also has a ``datamerge.csv`` for variable-data printing.
        callback_url: receives a webhook when the task has ended.
        link_base: beginning of the Digital Link URIs, one of those that the API key may use.
        strict: whether warnings are errors, which reject the request.
    """

    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    version: int
    xdim_mm: float
    dpi: int
    pages: FilePages
    datamerge: bool
    callback_url: str
    link_base: str
    strict: bool


class SubmitOptions(Options, total=False):
    """Options of ``submit``: with ``serials`` in place of items, also what all items share.

    Attributes:
        lot, expiry, production_date, packaging_date, best_before_date, sell_by_date, variant,
            extra: fields of ``BulkItem``.
    """

    lot: str | None
    expiry: str | None
    production_date: str | None
    packaging_date: str | None
    best_before_date: str | None
    sell_by_date: str | None
    variant: str | None
    extra: Mapping[str, str] | None


class Form(NamedTuple):
    """An encoded request.

    Attributes:
        media_type: ``application/json`` or ``text/csv``.
        body: the request, encoded as ``media_type``.
        params: query parameters; for CSV, the values shared by all items.
    """

    media_type: str
    body: bytes
    params: Mapping[str, str]


class Submitted(NamedTuple):
    """An accepted request.

    Attributes:
        task_id: UUID of the task.
        items: number of items.
        idempotency_key: key sent with the request; the same request with this key returns the same
            task.
        replayed: whether the request had already been accepted with the same key.
        poll_url: path of the task's status.
        warnings: the first 100 values that are valid but probably not intended.
        warnings_total: number of warnings.
    """

    task_id: str
    items: int
    idempotency_key: str
    replayed: bool
    poll_url: str
    warnings: tuple[RequestWarning, ...]
    warnings_total: int


def submit(
    api: Api,
    media_type: str,
    body: Callable[[], Body],
    params: Mapping[str, str],
    idempotency_key: str | None,
) -> Submitted:
    """Send a request until it is accepted, with the same key in every attempt.

    Args:
        api: sends the request.
        media_type: media type of the body.
        body: returns the body from its beginning, once per attempt.
        params: query parameters.
        idempotency_key: 1 to 255 characters of visible ASCII; None for a random key.

    Raises:
        ApiError: the request was rejected.
        UnreachableError: the API did not respond; the request may have been accepted.
        ValueError: the key is malformed.
    """
    key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ValueError(
            f"invalid Idempotency-Key: must be 1 to 255 visible ASCII characters: {key!r}"
        )
    headers = {"Content-Type": media_type, "Idempotency-Key": key}
    try:
        response = api.send("POST", BULK, headers=headers, params=params, body=body)
        accepted = decode(response, Accepted)
    except QrmillError as error:
        error.idempotency_key = key
        raise
    replayed = response.headers.get("Idempotency-Replayed") == "true"
    return Submitted(
        task_id=accepted.task_id,
        items=accepted.items,
        idempotency_key=key,
        replayed=replayed,
        poll_url=accepted.poll_url,
        warnings=tuple(accepted.warnings),
        warnings_total=accepted.warnings_total,
    )


def dry_run(api: Api, form: Form) -> DryRun:
    """Validate a request without submitting it; see ``Client.dry_run``."""
    query = {**form.params, "dry_run": "true"}
    headers = {"Content-Type": form.media_type}
    response = api.send("POST", BULK, headers=headers, params=query, body=lambda: form.body)
    return decode(response, DryRun)


def encode_params(fields: Mapping[str, object]) -> dict[str, str]:
    """Return fields of a request as query parameters."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in fields.items()
    }


def open_source(source: CsvSource) -> AbstractContextManager[BinaryIO]:
    """Return ``source`` as a binary file; a file that the caller opened stays open."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return Path(source).open("rb")
    return nullcontext(source)


def rewind(file: BinaryIO) -> BinaryIO:
    """Return ``file``, positioned at its beginning."""
    file.seek(0)
    return file
