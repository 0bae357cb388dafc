"""Submits of the client: each with an Idempotency-Key, so that it may be sent more than once."""

import io
import os
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypedDict

from api.client.errors import QrmillError
from api.client.transport import Api, Body, decode
from api.schemas.tasks import Accepted, DryRun
from render.image import ErrorCorrection, ImageFormat

BULK = "/qr/bulk/"
#: Visible ASCII, with spaces inside.
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")

CsvSource = str | os.PathLike[str] | bytes | BinaryIO


class Options(TypedDict, total=False):
    """What a request may say besides; the API has its defaults.

    Attributes:
        format: of the images.
        size: side of a PNG in pixels.
        error_correction: least level of the symbols.
        callback_url: is told when the task has ended.
    """

    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    callback_url: str


class Form(NamedTuple):
    """A request as it goes over the wire.

    Attributes:
        media_type: ``application/json`` or ``text/csv``.
        body: as that has it.
        params: of CSV, what the items share.
    """

    media_type: str
    body: bytes
    params: Mapping[str, str]


class Submitted(NamedTuple):
    """A request that was accepted.

    Attributes:
        task_id: of its task.
        items: how many it has.
        idempotency_key: that it went with; the same request sent again with it is the same task.
        replayed: it had been accepted before, with the same key.
        poll_url: where to ask for the task.
    """

    task_id: str
    items: int
    idempotency_key: str
    replayed: bool
    poll_url: str


def submit(
    api: Api,
    media_type: str,
    body: Callable[[], Body],
    params: Mapping[str, str],
    idempotency_key: str | None,
) -> Submitted:
    """Send a request until it is accepted, with one key however often that takes.

    Args:
        api: takes it.
        media_type: of the body.
        body: returns it, from its beginning at each call.
        params: the query.
        idempotency_key: 1 to 255 characters of visible ASCII; without one, one is made.

    Raises:
        ApiError, UnreachableError: it was not accepted, as far as is known.
        ValueError: the key is malformed.
    """
    key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
    if not _KEY.fullmatch(key):
        raise ValueError(f"an Idempotency-Key has 1 to 255 visible ASCII characters: {key!r}")
    headers = {"Content-Type": media_type, "Idempotency-Key": key}
    try:
        answer = api.send("POST", BULK, headers=headers, params=params, body=body)
        accepted = decode(answer, Accepted)
    except QrmillError as error:
        error.idempotency_key = key
        raise
    replayed = answer.headers.get("Idempotency-Replayed") == "true"
    return Submitted(accepted.task_id, accepted.items, key, replayed, accepted.poll_url)


def dry_run(api: Api, form: Form) -> DryRun:
    """Ask what would become of a request; see ``Client.dry_run``."""
    query = {**form.params, "dry_run": "true"}
    headers = {"Content-Type": form.media_type}
    answer = api.send("POST", BULK, headers=headers, params=query, body=lambda: form.body)
    return decode(answer, DryRun)


def opened(source: CsvSource) -> AbstractContextManager[BinaryIO]:
    """Return a file to read bytes from; one that was open before stays open."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return Path(source).open("rb")
    return nullcontext(source)


def rewound(file: BinaryIO) -> BinaryIO:
    """Return ``file`` at its beginning."""
    file.seek(0)
    return file
