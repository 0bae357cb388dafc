"""``python -m deploy.embedded up``: the whole service on this machine (also ``qrmill up``)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.embedded.credentials import CredentialsError
from deploy.embedded.lock import DataDirectoryInUseError
from deploy.embedded.ports import PortTakenError
from deploy.embedded.process import PartError
from deploy.embedded.stack import Options, run
from pipeline.service import SettingsError, StoreUnavailableError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_EXPECTED = (
    CredentialsError,
    DataDirectoryInUseError,
    OSError,
    PartError,
    PortTakenError,
    SettingsError,
    StoreUnavailableError,
)


@app.callback()
def embedded() -> None:
    """The embedded stack: Valkey, an S3 server, the API and its workers on this machine."""


@app.command()
def up(
    data_dir: Annotated[
        Path, typer.Option(help="Directory of everything that is kept.", file_okay=False)
    ] = Path("qrmill-data"),
    port: Annotated[
        int, typer.Option(help="Loopback port of the API; 0: any free one.", min=0, max=65535)
    ] = 8080,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Once all answers, say here in JSON where it is.", dir_okay=False),
    ] = None,
) -> None:
    """Run the whole service on this machine until Ctrl-C; its data is kept."""
    if not sys.platform.startswith("linux"):
        typer.echo("qrmill: the embedded stack needs Linux, whose kernel ends orphans.", err=True)
        raise typer.Exit(1)
    try:
        run(Options(data_dir, port, ready_file), typer.echo)
    except _EXPECTED as error:
        typer.echo(f"qrmill: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="qrmill")
