"""``qrmill keys``: manage API keys (operators only), and create webhook secrets (any key)."""

from typing import Annotated

import typer

from api.cli.options import Url, open_client
from api.cli.output import (
    Json,
    checking_usage,
    print_document,
    print_line,
    print_message,
    print_rows,
    printable,
)
from api.client import NewKeyRequest
from api.schemas.states import Role

keys = typer.Typer(
    help="Create, list and revoke API keys (operators only); create webhook secrets.",
    no_args_is_help=True,
)
_COLUMNS = ("key id", "name", "role", "per minute", "per day", "created", "revoked")


@keys.command("create")
def create_key(  # noqa: PLR0917 - typer makes an option of each
    name: Annotated[str, typer.Option(help="Name of the key's owner.")],
    role: Annotated[Role, typer.Option(help="Role of the key.")] = "client",
    per_minute: Annotated[
        int, typer.Option(min=0, help="Maximum requests per minute; 0 for the service's default.")
    ] = 0,
    per_day: Annotated[
        int, typer.Option(min=0, help="Maximum requests per day; 0 for the service's default.")
    ] = 0,
    bootstrap: Annotated[
        bool,
        typer.Option(
            "--bootstrap",
            help="Write the key directly to S3 with the service's QRMILL_ variables; for the first "
            "operator key.",
        ),
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create an API key and print it. The key cannot be shown again."""
    wanted = NewKeyRequest(name, role, per_minute, per_day)
    if bootstrap:
        # Imported here because loading the service's code takes longer than most commands run.
        from api.cli.bootstrap import create_first_key  # noqa: PLC0415

        made = create_first_key(wanted)
    else:
        with open_client(url) as client:
            made = client.keys.create(wanted)
    if as_json:
        print_document(made)
    else:
        print_line(made.api_key)
    print_message("Store this key now: the service keeps only its hash and cannot show it again.")


@keys.command("list")
def list_keys(url: Url = None, as_json: Json = False) -> None:
    """List every API key, including revoked keys."""
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
    key_id: Annotated[str, typer.Argument(help="Key id, as `qrmill keys list` shows it.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Revoke an API key permanently. The key stops working within ten seconds."""
    with open_client(url) as client, checking_usage():
        key = client.keys.revoke(key_id)
    if as_json:
        print_document(key)
    else:
        print_line(f"{key.key_id} ({printable(key.name)}) was revoked at {key.revoked_at}.")


@keys.command("webhook-secret")
def make_webhook_secret(
    key_id: Annotated[
        str, typer.Argument(help="Key id (operators only), or `self` for your own key.")
    ] = "self",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create the secret that signs a key's webhooks. The secret cannot be shown again."""
    with open_client(url) as client, checking_usage():
        made = client.keys.make_webhook_secret(key_id)
    if as_json:
        print_document(made)
    else:
        print_line(made.webhook_secret)
    if made.former_signs_until:
        print_message(
            f"Until {made.former_signs_until}, webhooks are signed with the former secret too."
        )
