"""``qrmill keys``: manage API keys (operators only), and create webhook secrets (any key)."""

from typing import Annotated

import typer

from api.cli.options import Url, open_client
from api.cli.output import (
    Json,
    UsageError,
    checking_usage,
    print_document,
    print_line,
    print_message,
    print_rows,
)
from api.cli.profile import read_secret
from api.client import ImportKeyRequest, NewKeyRequest
from api.schemas.states import Role

keys = typer.Typer(
    help="Create, import, list, rotate and revoke API keys (operators only); create webhook "
    "secrets.",
    no_args_is_help=True,
)
_STORE = "Store this key now: the service keeps only its hash and cannot show it again."
_COLUMNS = (
    *("key id", "name", "role", "per minute", "per day", "created", "revoked"),
    *("expires", "last used", "tenant", "tenant name", "imported"),
    *("items per minute", "items per day", "link bases"),
)
Name = Annotated[str, typer.Option(help="Name of the key's owner.")]
KeyRole = Annotated[Role, typer.Option(help="Role of the key.")]
PerMinute = Annotated[
    int, typer.Option(min=0, help="Maximum requests per minute; 0 for the service's default.")
]
PerDay = Annotated[
    int, typer.Option(min=0, help="Maximum requests per day; 0 for the service's default.")
]
ItemsPerMinute = Annotated[
    int, typer.Option(min=0, help="Maximum items per minute; 0 for the service's default.")
]
ItemsPerDay = Annotated[
    int, typer.Option(min=0, help="Maximum items per day; 0 for the service's default.")
]
Tenant = Annotated[
    str | None,
    typer.Option(
        help="Tenant of the key: the tenant's name, or the id of any of its keys. Default: a new "
        "tenant with the key's name."
    ),
]
ExpiresInDays = Annotated[
    int | None,
    typer.Option(min=1, max=3650, help="Days until the key expires. Default: it does not expire."),
]
LinkBases = Annotated[
    list[str] | None,
    typer.Option(
        "--link-base",
        metavar="URL",
        help="Beginning of Digital Link URIs that the key may use; repeatable, the default first. "
        "Default: that of the service.",
    ),
]
KeyId = Annotated[str, typer.Argument(help="Key id, as `qrmill keys list` shows it.")]


@keys.command("create")
def create_key(  # noqa: PLR0917 - typer makes an option of each
    name: Name,
    role: KeyRole = "client",
    per_minute: PerMinute = 0,
    per_day: PerDay = 0,
    items_per_minute: ItemsPerMinute = 0,
    items_per_day: ItemsPerDay = 0,
    tenant: Tenant = None,
    expires_in_days: ExpiresInDays = None,
    link_base: LinkBases = None,
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
    rates, items = (per_minute, per_day), (items_per_minute, items_per_day)
    fields = (name, role, *rates, tenant, expires_in_days, *items, tuple(link_base or ()))
    wanted = NewKeyRequest(*fields)
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
    print_message(_STORE)


@keys.command("import")
def import_key(  # noqa: PLR0917 - typer makes an option of each
    name: Name,
    token_stdin: Annotated[
        bool,
        typer.Option(
            "--token-stdin",
            help="Required: read the token from standard input. It is never an argument, because "
            "every user of the machine can see arguments.",
        ),
    ] = False,
    role: KeyRole = "client",
    per_minute: PerMinute = 0,
    per_day: PerDay = 0,
    items_per_minute: ItemsPerMinute = 0,
    items_per_day: ItemsPerDay = 0,
    tenant: Tenant = None,
    expires_in_days: ExpiresInDays = None,
    link_base: LinkBases = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create an API key for a token that clients already have.

    The token has 32 to 255 visible ASCII characters, at least 32 of them random, and does not begin
    with `qrmill_`. A token can be imported once.
    """
    if not token_stdin:
        raise UsageError("The token is read from standard input. Add --token-stdin.")
    rates, items = (per_minute, per_day), (items_per_minute, items_per_day)
    fields = (name, role, *rates, tenant, expires_in_days, *items, tuple(link_base or ()))
    wanted = ImportKeyRequest(*fields, token=read_secret("Token"))
    with open_client(url) as client:
        made = client.keys.import_token(wanted)
    if as_json:
        print_document(made)
    else:
        print_line(made.key_id)
    print_message("The service keeps only a hash of the token. Revoke it by this key id.")


@keys.command("rotate")
def rotate_key(
    key_id: KeyId,
    days: Annotated[
        int, typer.Option(min=0, max=365, help="Days for which the former key still works.")
    ] = 7,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create a key of the same tenant, print it, and have the former key expire.

    Both keys have the same tasks, Idempotency-Keys and webhook secret. The new key has the name,
    role and rates of the former one, and does not expire.
    """
    with open_client(url) as client, checking_usage():
        made = client.keys.rotate(key_id, days)
    if as_json:
        print_document(made)
    else:
        print_line(made.api_key)
    print_message(_STORE)
    print_message(f"The former key {made.former.key_id} works until {made.former.expires_at}.")


@keys.command("list")
def list_keys(url: Url = None, as_json: Json = False) -> None:
    """List every API key, including revoked and expired keys."""
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
                key.expires_at,
                key.last_used_at,
                key.tenant,
                key.tenant_name,
                "yes" if key.imported else "no",
                key.items_per_minute or "default",
                key.items_per_day or "default",
                " ".join(key.link_bases) or "default",
            )
            for key in found
        ),
    )


@keys.command("revoke")
def revoke_key(
    key_id: KeyId,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Revoke an API key permanently. The key stops working within ten seconds."""
    with open_client(url) as client, checking_usage():
        key = client.keys.revoke(key_id)
    if as_json:
        print_document(key)
    else:
        print_line(f"{key.key_id} ({key.name}) was revoked at {key.revoked_at}.")


@keys.command("webhook-secret")
def make_webhook_secret(
    key_id: Annotated[
        str, typer.Argument(help="Key id (operators only), or `self` for your own key.")
    ] = "self",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create the secret that signs the webhooks of a key's tenant.

    The secret cannot be shown again.
    """
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
