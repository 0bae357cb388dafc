"""``python3 deploy/compose_secrets.py``: generate the secrets of deploy/compose.yaml.

The script needs Python and openssl, and can be run repeatedly. It keeps existing secrets and
generates those that are missing. It updates the ACL file of Valkey to the current rules in
deploy/redis/users.acl.
"""

import hashlib
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROLES = ("api", "worker", "sweep")
#: Rules of the user of each role, without passwords.
RULES = Path(__file__).with_name("redis") / "users.acl"
_HOST = "valkey"  # the service's name in compose.yaml
_USERS = "valkey-users.acl"
_CERTIFICATE, _TLS_KEY = "tls-certificate.pem", "tls-key.pem"
#: Days for which a self-signed certificate is valid.
_DAYS = 825


def make_secrets(directory: Path) -> list[str]:
    """Write the missing files into ``directory``; return the names of the files written.

    The directory has mode 0700. The files have mode 0444, because they are mounted into containers
    whose processes run as other users.

    Raises:
        ValueError: an existing Redis URL has no password, or has the user of another role; or the
            certificate or its key is missing and cannot be made.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    made = {f"redis-url-{role}": _redis_url(role) for role in ROLES} | {
        "s3-secret-access-key": secrets.token_hex(20),
        "grafana-password": secrets.token_urlsafe(18),
    }
    _remove_stand_ins(directory, [*made, _USERS, _CERTIFICATE, _TLS_KEY])
    written = [name for name in made if not (directory / name).exists()]
    for name in written:
        _write(directory / name, made[name])
    users = valkey_users({role: _password(directory, role) for role in ROLES})
    path = directory / _USERS
    if not path.exists() or path.read_text("utf-8") != users:
        _write(path, users)
        written.append(_USERS)
    return written + _make_certificate(directory)


def valkey_users(passwords: Mapping[str, str]) -> str:
    """Return the content of an ACL file with one user per role. The default user is off.

    Args:
        passwords: password of each role. The file has only SHA-256 digests of the passwords,
            as does the output of Valkey's ACL LIST.
    """
    rules = {line.split()[1]: line for line in RULES.read_text("utf-8").splitlines()}
    digests = {role: hashlib.sha256(word.encode()).hexdigest() for role, word in passwords.items()}
    users = [f"{rules[f'qrmill-{role}']} #{digest}" for role, digest in digests.items()]
    return "\n".join([rules["default"], *users, ""])


def _remove_stand_ins(directory: Path, names: Iterable[str]) -> None:
    # If a file to mount does not exist, some engines create an empty directory in its place
    # (docker/compose issue 5377). That happens when `up` runs before this script.
    for name in names:
        if (directory / name).is_dir():
            (directory / name).rmdir()


def _make_certificate(directory: Path) -> list[str]:
    """Write a self-signed certificate of this machine and its key, unless there are both."""
    certificate, key = directory / _CERTIFICATE, directory / _TLS_KEY
    if certificate.exists() and key.exists():
        return []
    openssl = shutil.which("openssl")
    if certificate.exists() or key.exists() or openssl is None:
        raise ValueError(
            f"Write your certificate with its chain into {certificate} and its key into {key}. "
            "For a self-signed certificate, install openssl, delete both files and run this "
            "script again."
        )
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    output = ["-nodes", "-days", str(_DAYS), "-keyout", "-", "-out", "-"]
    done = subprocess.run([*command, *subject, *output], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"openssl failed: {done.stderr.decode(errors='replace').strip()}")
    private, begin, public = done.stdout.decode("ascii").partition("-----BEGIN CERTIFICATE")
    _write(key, private)
    _write(certificate, begin + public)
    return [_CERTIFICATE, _TLS_KEY]


def _redis_url(role: str) -> str:
    return f"redis://qrmill-{role}:{secrets.token_hex(24)}@{_HOST}:6379/0"


def _password(directory: Path, role: str) -> str:
    path = directory / f"redis-url-{role}"
    url = urlsplit(path.read_text("utf-8").strip())
    if url.username != f"qrmill-{role}" or not url.password:
        raise ValueError(
            f"The URL in {path} must have the user qrmill-{role} and a password. "
            "Delete the file and run this script again to generate a new URL."
        )
    return unquote(url.password)


def _write(path: Path, content: str) -> None:
    # The file is replaced and not overwritten: it is read-only, and a reader must not see a part of
    # the content.
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
