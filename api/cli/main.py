"""The command-line program ``qrmill``: an HTTP client of the API like any other.

``qrmill up``, ``api``, ``worker`` and ``sweep`` replace their own process with a server program
(``exec``). ``qrmill doctor`` and ``qrmill keys create --bootstrap`` also read the service's
environment.
"""

import os
import sys
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.cli.api_keys import keys
from api.cli.doctor import doctor
from api.cli.lists import chunks, list_tasks
from api.cli.output import EX_SIGPIPE, EXIT_CODES, UsageError, print_line, report
from api.cli.profile import profile
from api.cli.server import api, sweep, worker
from api.cli.streams import prepare_streams
from api.cli.submit import submit
from api.cli.tasks import cancel, download, purge, retry, status, wait
from api.client import QrmillError


class _Commands(TyperGroup):
    """The commands of ``qrmill``; their usage errors do not show Pydantic's "Value error"."""

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - its type differs between Typer's releases
        """Run the command that the arguments name.

        Raises:
            BadParameter: an option or argument is invalid.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Newer releases of Typer check values with Pydantic, which adds this prefix.
            error.message = error.message.removeprefix("Value error, ")
            raise


def show_version(*, requested: bool) -> None:
    """Print the version and exit, if that was requested."""
    if requested:
        print_line(f"qrmill {installed_version('qrmill')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    help="Render GS1 Digital Link QR codes in bulk.\n\nSet the API's URL in QRMILL_URL and your "
    "API key in QRMILL_API_KEY, or store both in a profile file with `qrmill profile set`.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=show_version
        ),
    ] = False,
) -> None:
    """Options of ``qrmill`` itself."""


for command in (submit, status, wait, download):
    app.command()(command)
app.command("list")(list_tasks)
for command in (chunks, retry, cancel):
    app.command()(command)
app.command()(purge)
app.add_typer(keys, name="keys")
app.add_typer(profile, name="profile")

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@app.command(context_settings=_PASS_ON)
def up(ctx: typer.Context) -> None:
    """Run the whole service on this machine; `qrmill up --help` lists its options."""
    # -P: never import a folder `api` or `deploy` from the current directory.
    arguments = [sys.executable, "-P", "-m", "deploy.embedded", "up", *ctx.args]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own module, no shell


for role in (api, worker, sweep):
    app.command()(role)
app.command()(doctor)


def main() -> None:
    """Run the command line, and report an error as a message and an exit code."""
    try:
        prepare_streams()
        app()
    except (QrmillError, UsageError, OSError) as error:
        sys.exit(report(error))
    except RuntimeError as error:  # raised by Typer's `--install-completion`
        if "home directory" not in str(error):
            raise
        sys.exit(report(UsageError("No home directory is known. Set HOME.")))
    except UnicodeEncodeError as error:  # an argument or variable is not text
        sys.exit(report(UsageError(f"This value is not valid UTF-8: {error.object!r:.80}")))
    except SystemExit as end:
        # After a closed pipe, Typer and rich exit with 1, the documented code of a failure.
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(EX_SIGPIPE)
        raise
