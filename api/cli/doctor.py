"""``qrmill doctor``: every part tried, and what to do where it fails."""

import os

import typer
from rich.console import Console
from rich.text import Text

from api.cli.options import Url
from api.cli.output import EX_FAILED, Json, print_document, printable

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(url: Url = None, as_json: Json = False) -> None:
    """Check the service, and say what to do about each thing that fails.

    It asks the API as a client does. Where it finds the service's own QRMILL_ environment it tries
    Redis, S3, workers, sweep and queues as well. Nothing is left behind.
    """
    # The service's own code takes longer to load than most commands take.
    from api.cli.doctor_checks import findings  # noqa: PLC0415

    failed = False
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings(url, os.environ):
        failed = failed or finding.state == "fail"
        if as_json:
            print_document(finding)
            continue
        state = Text(f"{finding.state:<5}", _COLOURS[finding.state])
        name = f"{printable(finding.name):<24} "
        console.print(state, Text(f"{name}{printable(finding.found)}"), sep="")
        if finding.advice:
            console.print(Text(f"     {printable(finding.advice)}"))
    if failed:
        raise typer.Exit(EX_FAILED)
