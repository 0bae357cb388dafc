"""``qrmill keys``: operators make, list and revoke API keys; any key makes its webhook secret."""

from typing import Annotated

import typer

from api.cli.options import Url, open_client
from api.cli.output import (
    Json,
    checking_usage,
    print_document,
    print_message,
    print_rows,
    printable,
)
from api.client import NewKeyRequest
from api.schemas.states import Role

keys = typer.Typer(help="Make, list and revoke API keys (operators).", no_args_is_help=True)
_COLUMNS = ("key id", "name", "role", "a minute", "a day", "created", "revoked")


@keys.command("create")
def create_key(  # noqa: PLR0917 - typer makes an option of each
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = "client",
    per_minute: Annotated[int, typer.Option(min=0, help="Requests a minute; 0: default.")] = 0,
    per_day: Annotated[int, typer.Option(min=0, help="Requests a day; 0: default.")] = 0,
    bootstrap: Annotated[
        bool,
        typer.Option(
            "--bootstrap",
            help="Write the key straight to S3, with the service's own QRMILL_ environment: "
            "for the first operator key, when there is none to ask with.",
        ),
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make an API key. The key is shown this once: keep it now."""
    wanted = NewKeyRequest(name, role, per_minute, per_day)
    if bootstrap:
        # The service's own code takes longer to load than most commands take.
        from api.cli.bootstrap import create_first_key  # noqa: PLC0415

        made = create_first_key(wanted)
    else:
        with open_client(url) as client:
            made = client.keys.create(wanted)
    if as_json:
        print_document(made)
    else:
        typer.echo(made.api_key)
    print_message("This key is shown once; only its hash is kept.")


@keys.command("list")
def list_keys(url: Url = None, as_json: Json = False) -> None:
    """List every API key, revoked ones too."""
    with open_client(url) as client:
        found = client.keys.list()
    if as_json:
        for key in found:
            print_document(key)
        return
    print_rows(
        _COLUMNS,
        (
            (
                key.key_id,
                key.name,
                key.role,
                key.per_minute or "default",
                key.per_day or "default",
                key.created_at,
                key.revoked_at,
            )
            for key in found
        ),
    )


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As `qrmill keys list` shows it.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Revoke an API key, for good. It stops working within ten seconds."""
    with open_client(url) as client, checking_usage():
        key = client.keys.revoke(key_id)
    if as_json:
        print_document(key)
    else:
        typer.echo(f"{key.key_id} ({printable(key.name)}) was revoked at {key.revoked_at}.")


@keys.command("webhook-secret")
def make_webhook_secret(
    key_id: Annotated[str, typer.Argument(help="Another key's id (operators).")] = "self",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make the secret that signs a key's callbacks. It is shown this once: keep it now."""
    with open_client(url) as client, checking_usage():
        made = client.keys.make_webhook_secret(key_id)
    if as_json:
        print_document(made)
    else:
        typer.echo(made.webhook_secret)
    if made.former_signs_until:
        print_message(f"The secret before signs along until {made.former_signs_until}.")
