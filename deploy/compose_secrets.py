"""``python3 deploy/compose_secrets.py``: the secrets of deploy/compose.yaml, made once.

It needs nothing but Python. What is there already is kept, so that it may be run again.
"""

import secrets
import sys
from pathlib import Path

_HOST = "valkey"  # the service's name in compose.yaml


def make_secrets(directory: Path) -> list[str]:
    """Write what is missing in ``directory``; return the names of what was written.

    The directory is for its owner alone. The files in it can be read by all, because containers see
    them as they are, and run as other users.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    made = [
        *_write(directory, "redis-password", secrets.token_hex(24)),
        *_write(directory, "s3-secret-access-key", secrets.token_hex(20)),
        *_write(directory, "grafana-password", secrets.token_urlsafe(18)),
    ]
    password = (directory / "redis-password").read_text("ascii")
    made += _write(directory, "redis-url", f"redis://:{password}@{_HOST}:6379/0")
    made += _write(directory, "valkey.conf", f'requirepass {password}\nsave ""\n')
    return made


def _write(directory: Path, name: str, content: str) -> list[str]:
    path = directory / name
    if path.exists():
        return []
    path.write_text(content, "ascii")
    path.chmod(0o444)
    return [name]


if __name__ == "__main__":
    where = Path(__file__).with_name("secrets")
    sys.stdout.write("".join(f"{where / name}\n" for name in make_secrets(where)))
