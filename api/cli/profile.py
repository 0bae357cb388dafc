"""The profile file of the command line: the API's URL and an API key.

The file is ``$XDG_CONFIG_HOME/qrmill/profile.toml``, by default ``~/.config/qrmill/profile.toml``
(XDG Base Directory Specification 0.8). ``QRMILL_PROFILE`` names another file. The file has the
fields ``url`` and ``api_key``, and is rejected if users other than its owner may access it. Options
take precedence over the environment, and the environment over the file.
"""

import json
import os
import re
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
    printable,
)
from api.cli.streams import read_input
from api.client.arguments import check_api_key, check_url

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE, KEY_VARIABLE, PATH_VARIABLE = "QRMILL_URL", "QRMILL_API_KEY", "QRMILL_PROFILE"
#: An API key that the service made. An imported one has no public part.
_OWN_TOKEN = re.compile(r"qrmill_([0-9a-z]{12})_")
_OWNER_ALONE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

profile = typer.Typer(
    help="Store the API's URL and your API key in a file: ~/.config/qrmill/profile.toml, or the "
    "file that QRMILL_PROFILE names.",
    no_args_is_help=True,
)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Contents of the profile file; an empty value counts as not set."""

    url: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        # No traceback may contain the key.
        return f"<{type(self).__name__}>"


def profile_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the profile file, whether or not the file exists.

    Raises:
        UsageError: no variable names a folder, and the user has no home directory.
    """
    if named := environ.get(PATH_VARIABLE):
        return Path(named)
    try:
        configured = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    except RuntimeError:  # a container's user may be missing from /etc/passwd
        raise UsageError(
            f"No home directory is known for the profile file. Set HOME or {PATH_VARIABLE}."
        ) from None
    return configured / "qrmill" / "profile.toml"


def read_profile(path: Path, *, named: bool = False) -> Profile:
    """Return the profile at ``path``; an empty profile if the file does not exist.

    Args:
        path: path of the file.
        named: whether ``QRMILL_PROFILE`` names the file, so that a missing file is an error.

    Raises:
        UsageError: the file cannot be read, is accessible to other users, or is not a profile.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & _OTHERS:
                raise UsageError(
                    f"{path} contains an API key, but other users may access it. "
                    f"Run: chmod 600 {path}"
                )
            return msgspec.convert(tomllib.load(file), Profile)
    # HOME=/dev/null is a common way to have no home directory.
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise UsageError(f"{PATH_VARIABLE} names {path}, which does not exist.") from None
        return Profile()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    # The file is not UTF-8 or not TOML, or has other fields.
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"{path} is not a valid profile file: {error}.") from None


def write_profile(path: Path, wanted: Profile) -> None:
    """Write ``wanted`` to ``path``, readable only by its owner.

    The file is replaced atomically: a concurrent reader sees either the old or the new profile.
    A symbolic link to the file remains.

    Raises:
        UsageError: the path exists and is not a regular file, for example a device.
        OSError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a regular file. Set {PATH_VARIABLE} to another path.")
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fields = msgspec.structs.asdict(wanted)
    # A JSON string in ASCII is also a TOML string.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items() if value]
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ALONE), "w") as to:
            to.writelines(lines)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def current_profile(environ: Mapping[str, str]) -> Profile:
    """Return the URL and the key from the environment, or else from the profile file.

    The file is read only if the environment lacks the URL or the key. An empty value counts as
    missing.

    Raises:
        UsageError: the file cannot be used.
    """
    url, api_key = environ.get(URL_VARIABLE, ""), environ.get(KEY_VARIABLE, "")
    if not (url and api_key):
        kept = _read_current(environ)
        url, api_key = url or kept.url, api_key or kept.api_key
    return Profile(url, api_key)


def _read_current(environ: Mapping[str, str]) -> Profile:
    try:
        path = profile_path(environ)
    except UsageError:  # without a home directory there is no file
        return Profile()
    return read_profile(path, named=bool(environ.get(PATH_VARIABLE)))


@profile.command("set")
def set_profile(
    url: Annotated[str, typer.Option(help="URL of the API. Default: unchanged.")] = "",
) -> None:
    """Write the profile file. The key is read from a prompt or from standard input."""
    path = profile_path(os.environ)
    kept = read_profile(path)
    url = url or kept.url or DEFAULT_URL
    with checking_usage():
        check_url(url)
        api_key = read_secret("API key")
        check_api_key(api_key)
    write_profile(path, Profile(url, api_key))
    print_message(f"The profile was written to {path}, which only you can read.")


@profile.command("show")
def show_profile(as_json: Json = False) -> None:
    """Print the path and the contents of the profile file, without the key's secret."""
    path = profile_path(os.environ)
    kept = read_profile(path)
    named = _OWN_TOKEN.match(kept.api_key)
    key_id = named[1] if named else ""
    if as_json:
        print_document({"file": printable(path), "url": kept.url, "key_id": key_id})
        return
    missing = "" if path.exists() else " (does not exist)"
    print_fields([("file", f"{path}{missing}"), ("url", kept.url), ("key id", key_id)])


def read_secret(name: str) -> str:
    """Return a secret from a prompt or from the first line of standard input.

    A secret is never an argument, because every user of the machine can see arguments.

    Args:
        name: name of the secret, for the prompt.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True, err=True)).strip()
    return read_input(line=True).decode("ascii", "replace").strip()
