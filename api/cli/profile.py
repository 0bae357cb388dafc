"""The profile file of the command line: where the API is, and the key to send it.

``$XDG_CONFIG_HOME/qrmill/profile.toml``, without that ``~/.config/qrmill/profile.toml`` (XDG Base
Directory Specification 0.8); ``QRMILL_PROFILE`` names another. It has ``url`` and ``api_key``, and
is refused when others than its owner may read it. An option beats the environment, and the
environment the file.
"""

import json
import os
import secrets
import stat
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.output import (
    Json,
    UsageError,
    checking_usage,
    print_document,
    print_fields,
    print_message,
)
from api.client.arguments import check_api_key, check_url

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE, KEY_VARIABLE, PATH_VARIABLE = "QRMILL_URL", "QRMILL_API_KEY", "QRMILL_PROFILE"
_OWNER_ALONE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

profile = typer.Typer(
    help="Keep the API's URL and your key in a file: the one that QRMILL_PROFILE names, or "
    "~/.config/qrmill/profile.toml.",
    no_args_is_help=True,
)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the file says."""

    url: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        # The key belongs into no traceback.
        return f"<{type(self).__name__}>"


def profile_path(environ: Mapping[str, str]) -> Path:
    """Return where the profile file is, or would be."""
    if named := environ.get(PATH_VARIABLE):
        return Path(named)
    configured = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return configured / "qrmill" / "profile.toml"


def read_profile(path: Path, *, named: bool = False) -> Profile:
    """Return what the file at ``path`` says; nothing when there is none and nobody ``named`` it.

    Raises:
        UsageError: it cannot be read, others may read it, or it says something else.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise UsageError(
                    f"{path} holds an API key and others may read it. Run: chmod 600 {path}"
                )
            return msgspec.convert(tomllib.load(file), Profile)
    except FileNotFoundError:
        if named:
            raise UsageError(f"{PATH_VARIABLE} names {path}, and there is no such file.") from None
        return Profile()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, msgspec.ValidationError) as error:  # no TOML, no UTF-8, or other fields
        raise UsageError(f"{path} is no profile: {error}.") from None


def write_profile(path: Path, wanted: Profile) -> None:
    """Put ``wanted`` at ``path``, for its owner alone; a reader sees the old or the new one.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fields = msgspec.structs.asdict(wanted)
    # A JSON string in ASCII is a TOML string.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items() if value]
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ALONE), "w") as to:
            to.writelines(lines)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def current_profile(environ: Mapping[str, str]) -> Profile:
    """Return the URL and the key that the environment says, and else the file.

    The file is not read if the environment has both. An empty value counts as missing.

    Raises:
        UsageError: the file is refused.
    """
    url, api_key = environ.get(URL_VARIABLE, ""), environ.get(KEY_VARIABLE, "")
    if not (url and api_key):
        kept = read_profile(profile_path(environ), named=bool(environ.get(PATH_VARIABLE)))
        url, api_key = url or kept.url, api_key or kept.api_key
    return Profile(url, api_key)


@profile.command("set")
def set_profile(
    url: Annotated[str, typer.Option(help="Where the API is; without: as it was.")] = "",
) -> None:
    """Write the profile file. The key is asked for, or read from standard input."""
    path = profile_path(os.environ)
    kept = read_profile(path)
    url = url or kept.url or DEFAULT_URL
    with checking_usage():
        check_url(url)
        api_key = _asked_key()
        check_api_key(api_key)
    write_profile(path, Profile(url, api_key))
    print_message(f"Written to {path}, which only you may read.")


@profile.command("show")
def show_profile(as_json: Json = False) -> None:
    """Say where the profile file is, and what it says but the key's secret."""
    path = profile_path(os.environ)
    kept = read_profile(path)
    key_id = "".join(kept.api_key.split("_")[1:2])
    if as_json:
        print_document({"file": str(path), "url": kept.url, "key_id": key_id})
        return
    there = "" if path.exists() else " (there is none)"
    print_fields([("file", f"{path}{there}"), ("url", kept.url), ("key id", key_id)])


def _asked_key() -> str:
    """Return the key; never from the arguments, which every user of the machine can see."""
    if sys.stdin.isatty():
        return str(typer.prompt("API key", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()
