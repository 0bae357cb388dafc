"""The command ``qrmill``: an HTTP client of the API like any other.

``qrmill up`` starts the embedded stack, which is a program of its own.
"""

import os
import sys
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.table import Table

from api.app import read_settings
from pipeline.service import Role, SettingsError, StoreUnavailableError, open_service

app = typer.Typer(
    help="GS1 Digital Link QR codes in bulk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Make, list and revoke API keys (operators).", no_args_is_help=True)
app.add_typer(keys, name="keys")

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_TIMEOUT = 30  # seconds

Url = Annotated[str, typer.Option(envvar="QRMILL_URL", help="Where the API is.")]
ApiKey = Annotated[
    str, typer.Option(envvar="QRMILL_API_KEY", help="An operator's key.", show_default=False)
]
_DEFAULT_URL = "http://127.0.0.1:8080"


@app.command(context_settings=_PASS_ON)
def up(ctx: typer.Context) -> None:
    """Run the whole service on this machine; `qrmill up --help` lists its options."""
    # -P: a folder `api` or `deploy` where the user stands is not the service's.
    arguments = [sys.executable, "-P", "-m", "deploy.embedded", "up", *ctx.args]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own module, no shell


@app.command(context_settings=_PASS_ON)
def sweep(ctx: typer.Context) -> None:
    """Find jobs that nothing moves and move them, until stopped, or one time with --once."""
    arguments = [sys.executable, "-P", "-m", "pipeline.maintenance", *ctx.args]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own module, no shell


@keys.command("create")
def create_key(  # noqa: PLR0917 - typer makes an option of each
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = "client",
    per_minute: Annotated[int, typer.Option(min=0, help="Requests a minute; 0: default.")] = 0,
    per_day: Annotated[int, typer.Option(min=0, help="Requests a day; 0: default.")] = 0,
    bootstrap: Annotated[  # noqa: FBT002 - an option
        bool,
        typer.Option(
            "--bootstrap",
            help="Write the key straight to S3, with the service's own QRMILL_ environment: "
            "for the first operator key, when there is none to ask with.",
        ),
    ] = False,
    url: Url = _DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Make an API key. The key is shown this once: keep it now."""
    if bootstrap:
        token = _bootstrap(name, role, per_minute, per_day)
    else:
        body = {"name": name, "role": role, "per_minute": per_minute, "per_day": per_day}
        token = _call("POST", url, "/keys/", api_key, body)["api_key"]
    typer.echo(token)
    typer.echo("This key is shown once; only its hash is kept.", err=True)


@keys.command("list")
def list_keys(url: Url = _DEFAULT_URL, api_key: ApiKey = "") -> None:
    """List every API key, revoked ones too."""
    table = Table("key id", "name", "role", "a minute", "a day", "created", "revoked", box=None)
    for key in _call("GET", url, "/keys/", api_key)["keys"]:
        rates = [str(key[rate] or "default") for rate in ("per_minute", "per_day")]
        times = [key["created_at"], key["revoked_at"] or ""]
        table.add_row(key["key_id"], key["name"], key["role"], *rates, *times)
    Console(soft_wrap=True).print(table)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As `qrmill keys list` shows it.")],
    url: Url = _DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Revoke an API key, for good. It stops working within ten seconds."""
    key = _call("DELETE", url, f"/keys/{key_id}/", api_key)
    typer.echo(f"{key['key_id']} ({key['name']}) was revoked at {key['revoked_at']}.")


@keys.command("webhook-secret")
def make_webhook_secret(
    key_id: Annotated[str, typer.Argument(help="Another key's id (operators).")] = "self",
    url: Url = _DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Make the secret that signs a key's callbacks. It is shown this once: keep it now."""
    made = _call("POST", url, f"/keys/{key_id}/webhook-secret/", api_key)
    typer.echo(made["webhook_secret"])
    if made["former_signs_until"]:
        typer.echo(f"The secret before signs along until {made['former_signs_until']}.", err=True)


def main() -> None:
    """Run the command line."""
    app()


def _call(
    method: str, url: str, path: str, api_key: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the API's answer; one that is an error ends the command with its words."""
    if not api_key or not api_key.isascii():
        _end("There is no API key, or a mistyped one; set QRMILL_API_KEY to an operator's.")
    try:
        answer = httpx.request(
            method, url.rstrip("/") + path, headers={"X-API-Key": api_key}, json=body,
            timeout=_TIMEOUT,
        )  # fmt: skip
    except httpx.HTTPError as error:
        _end(f"{url} does not answer: {error}.")
    if answer.is_error:
        _end(_words(answer))
    try:
        parsed: dict[str, Any] = answer.json()
    except ValueError:
        _end(_words(answer))
    return parsed


def _words(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        details = [f"{row['pointer']}: {row['detail']}" for row in problem.get("errors", [])]
        return "\n".join([f"{answer.status_code}: {problem['detail']}", *details])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{answer.status_code}: {answer.url} does not answer like qrmill."


def _bootstrap(name: str, role: Role, per_minute: int, per_day: int) -> str:
    try:
        service = open_service(read_settings())
        made = service.api_keys.create(name=name, role=role, per_minute=per_minute, per_day=per_day)
    except (SettingsError, StoreUnavailableError, ValueError) as error:
        _end(f"The key was not made: {error}.")
    return made.token


def _end(sentence: str) -> NoReturn:
    typer.echo(f"qrmill: {sentence}", err=True)
    raise typer.Exit(1)
