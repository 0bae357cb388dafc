"""``python -m deploy.embedded up``: run the whole service on this machine (also ``qrmill up``)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.embedded.credentials import CredentialsError
from deploy.embedded.data_directory import DataDirectoryError
from deploy.embedded.lock import DataDirectoryInUseError
from deploy.embedded.ports import PortTakenError
from deploy.embedded.process import PartError
from deploy.embedded.stack import Options, run
from deploy.embedded.terminal import open_closed_streams, print_line
from pipeline.service import SettingsError, StoreUnavailableError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_EXPECTED = (
    CredentialsError,
    DataDirectoryError,
    DataDirectoryInUseError,
    OSError,
    PartError,
    PortTakenError,
    SettingsError,
    StoreUnavailableError,
)


@app.callback()
def embedded() -> None:
    """The embedded stack: Valkey, an S3 server, the API, the workers and the sweep."""


@app.command()
def up(
    data_dir: Annotated[
        Path, typer.Option(help="Data directory, kept between runs.", file_okay=False)
    ] = Path("qrmill-data"),
    port: Annotated[
        int, typer.Option(help="Loopback port of the API. 0 selects a free port.", min=0, max=65535)
    ] = 8080,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            help="JSON file for addresses and keys, written when the stack is ready.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Run the whole service on this machine until Ctrl-C. The data is kept."""
    open_closed_streams()
    if not sys.platform.startswith("linux"):
        typer.echo("qrmill: the embedded stack needs Linux (PR_SET_PDEATHSIG).", err=True)
        raise typer.Exit(1)
    try:
        run(Options(data_dir, port, ready_file), lambda line: print_line(line, sys.stdout))
    except _EXPECTED as error:
        print_line(f"qrmill: {error}", sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="qrmill")
