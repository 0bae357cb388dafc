"""``python3 deploy/compose_secrets.py``: the secrets of deploy/compose.yaml, made once.

It needs nothing but Python. Secrets that are there already are kept, so that it may be run again;
the users of Valkey are made of them anew, by the rules of deploy/redis/users.acl as they are now.
"""

import hashlib
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROLES = ("api", "worker", "sweep")
#: The rules of each role's user, who has no password there.
RULES = Path(__file__).with_name("redis") / "users.acl"
_HOST = "valkey"  # the service's name in compose.yaml
_USERS = "valkey-users.acl"


def make_secrets(directory: Path) -> list[str]:
    """Write what is missing in ``directory``; return the names of what was written.

    The directory is for its owner alone. The files in it can be read by all, because containers see
    them as they are, and run as other users.

    Raises:
        ValueError: a URL that is there is for another user than its role's, or has no password.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    made = {f"redis-url-{role}": _redis_url(role) for role in ROLES} | {
        "s3-secret-access-key": secrets.token_hex(20),
        "grafana-password": secrets.token_urlsafe(18),
    }
    _remove_stand_ins(directory, [*made, _USERS])
    written = [name for name in made if not (directory / name).exists()]
    for name in written:
        _write(directory / name, made[name])
    users = valkey_users({role: _password(directory, role) for role in ROLES})
    path = directory / _USERS
    if not path.exists() or path.read_text("utf-8") != users:
        _write(path, users)
        written.append(_USERS)
    return written


def valkey_users(passwords: Mapping[str, str]) -> str:
    """Return an ACL file with a user for each role, and nobody else.

    Args:
        passwords: of each role; the file has their SHA-256 alone, as Valkey's ACL LIST has it.
    """
    rules = {line.split()[1]: line for line in RULES.read_text("utf-8").splitlines()}
    digests = {role: hashlib.sha256(word.encode()).hexdigest() for role, word in passwords.items()}
    users = [f"{rules[f'qrmill-{role}']} #{digest}" for role, digest in digests.items()]
    return "\n".join([rules["default"], *users, ""])


def _remove_stand_ins(directory: Path, names: Iterable[str]) -> None:
    # Some engines make an empty folder of a file that is to be mounted and is not there
    # (docker/compose issue 5377): by an `up` before the files were made.
    for name in names:
        if (directory / name).is_dir():
            (directory / name).rmdir()


def _redis_url(role: str) -> str:
    return f"redis://qrmill-{role}:{secrets.token_hex(24)}@{_HOST}:6379/0"


def _password(directory: Path, role: str) -> str:
    path = directory / f"redis-url-{role}"
    url = urlsplit(path.read_text("utf-8").strip())
    if url.username != f"qrmill-{role}" or not url.password:
        raise ValueError(
            f"The URL in {path} is not that of the user qrmill-{role} with a password: "
            "remove the file, and this makes another."
        )
    return unquote(url.password)


def _write(path: Path, content: str) -> None:
    # What is there is not changed but replaced: it can be read only, and never is half of it seen.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.write_text(content, "utf-8")
    new.chmod(0o444)
    new.replace(path)


if __name__ == "__main__":
    where = Path(__file__).with_name("secrets")
    try:
        sys.stdout.write("".join(f"{where / name}\n" for name in make_secrets(where)))
    except ValueError as error:
        sys.exit(str(error))
