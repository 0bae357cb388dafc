"""Secrets of the stack, generated at the first start and stored with mode 0600."""

import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from deploy.embedded.files import make_private_directory, write_private
from pipeline.service import ApiKeys, Role

_T = TypeVar("_T")


class CredentialsError(Exception):
    """Raised when a file of secrets is damaged. The message has its path and the remedy."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials of the stack's Redis and S3 servers."""

    redis_password: str
    s3_access_key_id: str
    s3_secret_access_key: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The API keys that ``up`` creates: one for a client and one for an operator."""

    client_key: str
    operator_key: str


def s3_secret_file(directory: Path) -> Path:
    """Return the path of the file with only the S3 secret key, for a ``*_FILE`` setting."""
    return directory / "s3-secret-access-key"


def redis_url_file(directory: Path) -> Path:
    """Return the path of the file with the URL of Redis, for a ``*_FILE`` setting."""
    return directory / "redis-url"


def write_secret_files(directory: Path, redis_url: str, s3_secret: str) -> None:
    """Write the files from which the service reads its secrets.

    The environment of a process can be read by other processes of its user and appears in core
    dumps and diagnostic reports. The environment therefore has the paths of these files only.

    Args:
        directory: an existing directory.
        redis_url: URL of Redis with the password.
        s3_secret: S3 secret key.
    """
    write_private(redis_url_file(directory), redis_url.encode())
    write_private(s3_secret_file(directory), s3_secret.encode())


def api_keys_file(directory: Path) -> Path:
    """Return the path of the file with the stack's API keys."""
    return directory / "api-keys.json"


def server_credentials(directory: Path) -> Credentials:
    """Return the credentials in ``directory``, or generate and store them.

    Raises:
        CredentialsError: the file cannot be decoded.
    """
    path = make_private_directory(directory) / "servers.json"
    credentials = _read(path, Credentials)
    if credentials is None:
        credentials = Credentials(
            redis_password=secrets.token_hex(24),
            s3_access_key_id=secrets.token_hex(10),
            s3_secret_access_key=secrets.token_hex(20),
        )
        write_private(path, msgspec.json.encode(credentials))
    return credentials


def api_tokens(directory: Path, api_keys: ApiKeys) -> Tokens:
    """Return the API keys in ``directory``; replace a key that the service rejects.

    Raises:
        CredentialsError: the file cannot be decoded.
        StoreUnavailableError: S3 is unreachable.
    """
    path = api_keys_file(directory)
    before = _read(path, Tokens)
    tokens = Tokens(
        client_key=_working(before.client_key if before else None, "client", api_keys),
        operator_key=_working(before.operator_key if before else None, "operator", api_keys),
    )
    if tokens != before:
        write_private(path, msgspec.json.encode(tokens))
    return tokens


def _working(token: str | None, role: Role, api_keys: ApiKeys) -> str:
    if token and api_keys.authenticate(token) is not None:
        return token
    return api_keys.create(name=f"embedded {role}", role=role).token


def _read(path: Path, type_: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise CredentialsError(
            f"{path} is damaged ({error}). Restore it, or delete it to have new secrets generated."
        ) from None
