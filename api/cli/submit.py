"""``qrmill submit``: submits a file of items or a complete request, and waits for its task."""

import shlex
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, NamedTuple

import typer

from api.cli.bundle_output import BundleOutput, Out, open_optional
from api.cli.dry_run import print_dry_run
from api.cli.options import Seconds, Url, open_client
from api.cli.output import (
    EX_SIGINT,
    Json,
    UsageError,
    checking_usage,
    end_with,
    pluralize,
    print_document,
    print_interruption,
    print_line,
    print_message,
    print_warnings,
)
from api.cli.progress import follow_task
from api.cli.request_file import Input, make_form, make_serials_form, read_file
from api.client import (
    ApiError,
    Client,
    FilePages,
    Form,
    ImageFormat,
    QrmillError,
    Submitted,
    UnreachableError,
)
from api.client.arguments import check_options
from render.image import ErrorCorrection

_UNCERTAIN = "The request may have been accepted."
#: If nothing was accepted, the detail of the API's 5xx response has these words. A gateway's
#: response never has these words.
_NOT_ACCEPTED = "nothing was accepted"


class _Request(NamedTuple):
    """A request with an Idempotency-Key, which makes it safe to send the request again."""

    form: Form
    key: str

    def send(self, client: Client) -> Submitted:
        """Send the request; if a retry may succeed, print the option with the Idempotency-Key.

        Raises:
            QrmillError: the request was rejected, or its outcome is unknown.
            UsageError: the Idempotency-Key is malformed.
            typer.Exit: interrupted with Ctrl-C.
        """
        again = f"Send it again with: --idempotency-key {shlex.quote(self.key)}"
        try:
            return client.submit_form(self.form, idempotency_key=self.key)
        except KeyboardInterrupt:
            print_interruption(f"Interrupted. {_UNCERTAIN} {again}")
            raise typer.Exit(EX_SIGINT) from None
        except QrmillError as error:
            uncertain = _may_be_accepted(error)
            if uncertain or error.transient:
                print_message(f"{_UNCERTAIN} {again}" if uncertain else again)
            raise
        except ValueError as error:
            raise UsageError(f"{error}.") from None


def submit(  # noqa: PLR0917 - typer makes an option of each
    file: Annotated[
        str | None,
        typer.Argument(
            help="CSV, JSON or Excel file (.xlsx); - for standard input. Not with --serials.",
            show_default=False,
        ),
    ] = None,
    gtin: Annotated[str | None, typer.Option(help="GTIN shared by all items.")] = None,
    image_format: Annotated[
        ImageFormat | None, typer.Option("--format", help="Image format.", show_default="png")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="Side of a PNG in pixels; ignored with --xdim.", show_default="400"
        ),
    ] = None,
    xdim_mm: Annotated[
        float | None,
        typer.Option(
            "--xdim",
            metavar="MM",
            help="X-dimension (width of a module) in millimetres. A PNG gets the nearest whole "
            "number of pixels at --dpi; the other formats are exact.",
            show_default="0.495; none for png",
        ),
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Resolution of a PNG in pixels per inch.",
            show_default="300 with --xdim, otherwise none",
        ),
    ] = None,
    min_version: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Minimum version of the symbols, 1 to 40, so that all have the same size.",
            show_default="1",
        ),
    ] = None,
    serials: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Serial numbers in place of a file: START:COUNT[:STEP], such as A0001:500, or "
            "random:COUNT[:LENGTH].",
        ),
    ] = None,
    shared: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME=VALUE",
            help="With --serials, a field of all items, such as lot=LOT-7 or x_pallet=17; "
            "repeatable.",
        ),
    ] = None,
    error_correction: Annotated[
        ErrorCorrection | None,
        typer.Option(help="Minimum error correction level.", show_default="M"),
    ] = None,
    pages: Annotated[
        FilePages | None,
        typer.Option(
            help="Files of the symbols: one file each, or a single PDF with a page per symbol.",
            show_default="each",
        ),
    ] = None,
    datamerge: Annotated[
        bool,
        typer.Option("--datamerge", help="Add datamerge.csv, for variable-data printing."),
    ] = False,
    callback_url: Annotated[
        str | None, typer.Option(help="URL that receives a webhook when the task has ended.")
    ] = None,
    link_base: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Beginning of the Digital Link URIs, one of those that the API key may use.",
            show_default="the key's first, otherwise the service's",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key; repeating the request with this key within 24 hours returns "
            "the same task.",
            show_default="random",
        ),
    ] = None,
    form: Annotated[
        Input | None,
        typer.Option("--input", help="Format of the file.", show_default="detected"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat warnings as errors, which reject the request.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Validate the request without submitting it.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the task has ended.")] = False,
    out: Out = None,
    timeout: Seconds = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Submit a request and print its task id.

    A CSV file has a header line with any of the columns gtin, lot, serial, variant, expiry,
    production_date, packaging_date, best_before_date, sell_by_date, name and x_NAME.
    Of an Excel workbook, the first sheet is read, whose cells have to be text.
    A JSON file is an array of items or a complete request.
    With --serials, the service makes the serial numbers, and no file is needed.
    Options take precedence over the fields of a complete request.
    Warnings about values that are probably not intended are printed on standard error.
    The options --out and --timeout imply --wait.
    """
    options = {
        "gtin": gtin,
        "format": image_format,
        "size": size,
        "error_correction": error_correction,
        "version": min_version,
        "xdim_mm": xdim_mm,
        "dpi": dpi,
        "pages": pages,
        "datamerge": datamerge or None,
        "callback_url": callback_url,
        "link_base": link_base,
        "strict": strict or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    with checking_usage():
        check_options(given)
    key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
    if serials is not None:
        _reject_file(file, form)
        made = make_serials_form(serials, shared or [], given)
    else:
        made = _form_of_file(file, form, shared, given)
    request = _Request(made, key)
    with open_client(url, patient=True) as client:
        if dry_run:
            print_dry_run(client.dry_run(request.form), as_json=as_json)
            return
        with open_optional(out, as_json=as_json) as output:
            submitted = request.send(client)
            followed = wait or output is not None or timeout is not None
            _print_submitted(submitted, as_json=as_json, followed=followed, output=output)
            if followed:
                ended = follow_task(
                    client, submitted.task_id, url=url, timeout=timeout, output=output
                )
                end_with(ended, as_json=as_json, quiet=True)


def _reject_file(file: str | None, form: Input | None) -> None:
    if file is not None or form is not None:
        raise UsageError("Send either a file, or --serials.")


def _form_of_file(
    file: str | None,
    form: Input | None,
    shared: list[str] | None,
    given: Mapping[str, str | float],
) -> Form:
    if file is None:
        raise UsageError("Name a CSV or JSON file, or send --serials such as A0001:500.")
    if shared:
        raise UsageError("The option --field needs --serials. A file has the fields of its items.")
    return make_form(read_file(file), form, given)


def _may_be_accepted(error: QrmillError) -> bool:
    """Return whether a request that ended with this error may have been accepted."""
    if isinstance(error, ApiError):
        server_error = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return server_error and _NOT_ACCEPTED not in error.detail
    return isinstance(error, UnreachableError)


def _print_submitted(
    submitted: Submitted, *, as_json: bool, followed: bool, output: BundleOutput | None
) -> None:
    outcome = "Already accepted" if submitted.replayed else "Accepted"
    # With --json and --wait, standard output gets the id only when the task has ended. If the wait
    # is interrupted, this message is the only place that has the id.
    print_message(f"{outcome}: {pluralize(submitted.items, 'item')}, task {submitted.task_id}.")
    print_warnings(submitted.warnings, submitted.warnings_total)
    if output is not None and output.is_stdout:
        return
    if not as_json:
        print_line(submitted.task_id)
    elif not followed:
        print_document(submitted._asdict())
