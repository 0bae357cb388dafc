"""The roles' users on a running Redis server, with the rules of deploy/redis/users.acl."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import redis

from deploy.compose_secrets import ROLES, valkey_users
from deploy.embedded.ports import LOOPBACK


class RoleUsers:
    """The users of the roles, and their connections.

    Args:
        admin: client of another user, who has all permissions.
        urls: URL of each role, with user and password.
        port: port of the server.
    """

    def __init__(self, admin: redis.Redis, urls: Mapping[str, str], port: int) -> None:
        self._admin, self.urls, self.port = admin, urls, port

    def of_ports(self) -> dict[int, str]:
        """Return the user of each connection by the client's port."""
        rows = self._admin.client_list()
        return {int(row["addr"].rpartition(":")[2]): row["user"] for row in rows}

    def refused(self) -> list[str]:
        """Return a line for each denied command or key."""
        return refused(self._admin)


def refused(admin: redis.Redis) -> list[str]:
    """Return a line for each entry of ACL LOG: the user, the reason, the object and the context."""
    return [
        f"{entry['username']}: {entry['reason']} {entry['object']} ({entry['context']})"
        for entry in cast("list[dict[str, Any]]", admin.acl_log(100))
    ]


@contextmanager
def role_users(url: str) -> Iterator[RoleUsers]:
    """Create the users, each with its own password, until the end of the block.

    Args:
        url: URL of the server for a user who has all permissions.
    """
    passwords = {role: secrets.token_hex(16) for role in ROLES}
    users = [line.split()[1:] for line in valkey_users(passwords).splitlines()]
    others = [(name, rules) for name, *rules in users if name != "default"]
    port = urlsplit(url).port or 6379
    urls = {
        role: f"redis://qrmill-{role}:{password}@{LOOPBACK}:{port}/0"
        for role, password in passwords.items()
    }
    with redis.Redis.from_url(url, decode_responses=True) as admin:
        for name, rules in others:
            admin.execute_command("ACL SETUSER", name, *rules)
        admin.acl_log_reset()
        yield RoleUsers(admin, urls, port)
        admin.execute_command("ACL DELUSER", *(name for name, _ in others))
