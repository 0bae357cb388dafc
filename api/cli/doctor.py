"""``qrmill doctor``: check the service, and report what to do about each problem."""

import os

import typer
from rich.console import Console
from rich.text import Text

from api.cli.options import Url
from api.cli.output import EX_FAILED, Json, naming_output, print_document, printable

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(url: Url = None, as_json: Json = False) -> None:
    """Check the service, and report what to do about each problem.

    The API is checked as a client uses it. If the environment has the service's own QRMILL_
    settings, Redis, S3, the workers, the sweep and the queues are checked as well. Objects that a
    check writes are deleted afterwards.
    """
    # Imported here, because loading the service's code takes longer than most commands run.
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
        with naming_output():
            console.print(state, Text(f"{name}{printable(finding.found)}"), sep="")
            if finding.advice:
                console.print(Text(f"     {printable(finding.advice)}"))
    if failed:
        raise typer.Exit(EX_FAILED)
