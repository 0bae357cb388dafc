"""``qrmill submit``: a file of items, or a whole request, sent and followed."""

import shlex
import sys
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import typer

from api.cli.options import Out, Seconds, Url, open_client
from api.cli.output import (
    EX_FAILED,
    EX_SIGINT,
    Json,
    UsageError,
    end_with,
    pluralize,
    print_document,
    print_message,
    print_violations,
)
from api.cli.progress import follow_task
from api.client import ApiError, Client, DryRun, Form, QrmillError, Submitted, UnreachableError
from render.image import ErrorCorrection, ImageFormat

_BOM = b"\xef\xbb\xbf"
_PERHAPS = "It may have been accepted."
#: In the detail of every 5xx by which the API accepted nothing, and in no gateway's response.
_CERTAINLY_NOT = "nothing was accepted"
Input = Literal["csv", "json"]


class _Request(NamedTuple):
    """A request, and the key with which it may be sent twice."""

    form: Form
    key: str

    def send(self, client: Client) -> Submitted:
        """Send the request; on an error after which it is worth it, print how to send it again.

        Raises:
            QrmillError: the request was not accepted, as far as is known.
            typer.Exit: Ctrl-C.
        """
        again = f"Send it again with: --idempotency-key {shlex.quote(self.key)}"
        try:
            return client.submit_form(self.form, idempotency_key=self.key)
        except KeyboardInterrupt:
            print_message(f"\nInterrupted. {_PERHAPS} {again}")
            raise typer.Exit(EX_SIGINT) from None
        except QrmillError as error:
            perhaps = _may_be_accepted(error)
            if perhaps or error.transient:
                print_message(f"{_PERHAPS} {again}" if perhaps else again)
            raise
        except ValueError as error:
            raise UsageError(f"{error}.") from None


def submit(  # noqa: PLR0917 - typer makes an option of each
    file: Annotated[str, typer.Argument(help="CSV or JSON; - reads standard input.")],
    gtin: Annotated[str | None, typer.Option(help="Of all items.")] = None,
    image_format: Annotated[
        ImageFormat | None, typer.Option("--format", help="Of the images.", show_default="png")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of a PNG in pixels.", show_default="400")
    ] = None,
    error_correction: Annotated[
        ErrorCorrection | None, typer.Option(help="Least level.", show_default="M")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Is told when the task has ended.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="The same request with the same key is the same task, for 24 hours.",
            show_default="a new one",
        ),
    ] = None,
    form: Annotated[
        Input | None,
        typer.Option("--input", help="Form of the file.", show_default="by its first byte"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be refused, and what be made.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end.")] = False,
    out: Out = None,
    timeout: Seconds = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Send a request; its task id is printed.

    CSV has a header of any of lot, serial and expiry. JSON is an array of items, or a whole
    request, of which the options replace fields. With --out or --timeout it waits as well.
    """
    options = {
        "gtin": gtin,
        "format": image_format,
        "size": size,
        "error_correction": error_correction,
        "callback_url": callback_url,
    }
    given = {name: value for name, value in options.items() if value is not None}
    key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
    request = _Request(make_form(_read(file), form, given), key)
    with open_client(url, patient=True) as client:
        if dry_run:
            _print_dry_run(client.dry_run(request.form), as_json=as_json)
            return
        submitted = request.send(client)
        followed = wait or out is not None or timeout is not None
        _print_submitted(submitted, as_json=as_json, followed=followed)
        if followed:
            ended = follow_task(client, submitted.task_id, url=url, timeout=timeout, out=out)
            end_with(ended, as_json=as_json, quiet=True)


def make_form(body: bytes, kind: Input | None, options: Mapping[str, str | int]) -> Form:
    """Return the request that a file and the options make.

    Args:
        body: of the file.
        kind: what it is; by its first byte without.
        options: fields of the request.

    Raises:
        UsageError: there is no GTIN, or the options do not go together with what is there.
    """
    text = body.removeprefix(_BOM)  # which JSON may not have (RFC 8259, section 8.1)
    start = text.lstrip()[:1]
    if kind == "csv" or (kind is None and start not in {b"{", b"["}):
        _need_gtin(options)
        return Form("text/csv", body, {name: str(value) for name, value in options.items()})
    if start == b"{" and not options:
        return Form("application/json", text, {})
    return Form("application/json", _combined(text, options), {})


def _combined(body: bytes, options: Mapping[str, str | int]) -> bytes:
    """Return a request's body of a file and the options; the items stay as they were written."""
    try:
        read = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The file is neither a JSON object nor an array: {error}.") from None
    if isinstance(read, list):
        _need_gtin(options)
        return msgspec.json.encode({**options, "items": read})
    return msgspec.json.encode({**read, **options})


def _need_gtin(options: Mapping[str, str | int]) -> None:
    if "gtin" not in options:
        raise UsageError("Items alone need --gtin.")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _may_be_accepted(error: QrmillError) -> bool:
    """Return whether a request that ended with this error may have been accepted."""
    if isinstance(error, ApiError):
        server_error = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return server_error and _CERTAINLY_NOT not in error.detail
    return isinstance(error, UnreachableError)


def _print_submitted(submitted: Submitted, *, as_json: bool, followed: bool) -> None:
    again = ", as it was before" if submitted.replayed else ""
    # With --json and --wait standard output has the id when the task has ended, if that is seen.
    print_message(
        f"Accepted{again}: {pluralize(submitted.items, 'item')}, task {submitted.task_id}."
    )
    if not as_json:
        typer.echo(submitted.task_id)
    elif not followed:
        print_document(submitted._asdict())


def _print_dry_run(outcome: DryRun, *, as_json: bool) -> None:
    if as_json:
        print_document(outcome)
    else:
        wrong = pluralize(outcome.errors_total, "bad value")
        typer.echo(f"{pluralize(outcome.items, 'item')}; {wrong}")
        for row in outcome.symbols:
            typer.echo(
                f"version {row.version}-{row.error_correction}: {pluralize(row.count, 'symbol')}"
            )
        print_violations(outcome.errors, outcome.errors_total)
    if not outcome.would_accept:
        raise typer.Exit(EX_FAILED)
