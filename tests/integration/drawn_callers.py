"""Tenants with jobs in several states, and callers of every role, for requests drawn at random."""

from typing import Any, NamedTuple

from falcon.testing import TestClient

from api.app import App
from pipeline.auth.api_key import KeyFields, Role
from pipeline.service import ApiKey, Service
from tests.integration.drawn_requests import Ids
from tests.integration.hostile_bodies import GTIN

_IMPORTED = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"
_RATE = 10_000_000
#: Jobs of each tenant that no request may change, and jobs that its own requests change.
_KEPT, _CHANGED = 2, 4


class Tenant(NamedTuple):
    """A tenant.

    Attributes:
        lot: lot of all items of its jobs.
        kept, changed: ids of its jobs.
        secrets: texts that no other tenant may see.
    """

    lot: str
    client: TestClient
    key: ApiKey
    kept: list[str]
    changed: list[str]
    secrets: frozenset[str]

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that no request may change, as a poll shows them."""
        shown = [self.client.simulate_get(f"/qr/bulk/{task_id}/").json for task_id in self.kept]
        return [
            {**each, "download_url": None, "expires_at": None, "bundle": None} for each in shown
        ]


class Caller(NamedTuple):
    """A caller of the API or of the console.

    Attributes:
        role: what it is to the service.
        token: its API key.
        tenant: index of its tenant, if it works for one.
        signed_in: whether it has a session of the console.
    """

    role: str
    token: str = ""
    tenant: int | None = None
    signed_in: bool = False

    @property
    def sees_all(self) -> bool:
        return self.role in {"operator", "session"}


class Callers:
    """Two tenants and all who call.

    Args:
        service: has the keys.
        app: receives the tenants' first jobs.
    """

    def __init__(self, service: Service, app: App) -> None:
        self._service = service
        self.all = [Caller("none"), Caller("unknown", f"qrmill_{'0' * 48}")]
        self.tenants = [self._add_tenant(app, number) for number in range(2)]
        operator = service.api_keys.create(**_fields("operator", "operator"))
        self.operator_id = operator.key.key_id
        self.all += [Caller("operator", operator.token), Caller("session", signed_in=True)]
        spare = [service.api_keys.create(**_fields("spare")).key for _ in range(6)]
        self._spare = [key.key_id for key in spare]

    def tasks_of(self, caller: Caller) -> Ids:
        """Return the task ids that a caller may try: what is another's it must not change."""
        kept = [task_id for tenant in self.tenants for task_id in tenant.kept]
        changed = [task_id for tenant in self.tenants for task_id in tenant.changed]
        if caller.sees_all:
            return Ids(changed, kept)
        if caller.role != "client" or caller.tenant is None:
            return Ids([*changed, *kept], [])
        own, other = self.tenants[caller.tenant], self.tenants[1 - caller.tenant]
        return Ids([*own.changed, *other.kept, *other.changed], own.kept)

    def keys_of(self, caller: Caller) -> Ids:
        """Return the ids of API keys that a caller may try."""
        used = [self.operator_id, *(tenant.key.key_id for tenant in self.tenants)]
        return Ids(self._spare, used) if caller.sees_all else Ids([*self._spare, *used], [])

    def hidden_from(self, caller: Caller) -> frozenset[str]:
        """Return the texts that a caller may not see."""
        if caller.sees_all:
            return frozenset()
        works = caller.role == "client"
        others = (
            t for number, t in enumerate(self.tenants) if not works or number != caller.tenant
        )
        return frozenset().union(*(tenant.secrets for tenant in others))

    def _add_tenant(self, app: App, number: int) -> Tenant:
        made, name = self._service.api_keys, f"Printers {number}"
        first = made.create(**_fields(name))
        tenant = first.key.key_id
        second = made.create(**_fields(f"{name}, press 2", tenant=tenant))
        made.import_token(f"{_IMPORTED}{number}", **_fields(f"{name}, press 3", tenant=tenant))
        expired, revoked = (made.create(**_fields(f"{name}, old", tenant=tenant)) for _ in range(2))
        made.rotate(expired.key.key_id, 0)
        made.revoke(revoked.key.key_id)
        working = (first.token, second.token, f"{_IMPORTED}{number}")
        self.all += [Caller("client", token, number) for token in working]
        self.all += [Caller("expired", expired.token, number)]
        self.all += [Caller("revoked", revoked.token, number)]
        client, lot = TestClient(app, headers={"X-API-Key": first.token}), f"LOT-OF-{number}-ONLY"
        tasks = [_submit(client, lot) for _ in range(_KEPT + _CHANGED)]
        secrets = frozenset({lot, name, first.key.key_id, *tasks})
        return Tenant(lot, client, first.key, tasks[:_KEPT], tasks[_KEPT:], secrets)


def _submit(client: TestClient, lot: str) -> str:
    body = {"gtin": GTIN, "items": [{"lot": lot, "serial": f"{n}"} for n in range(2)]}
    accepted = client.simulate_post("/qr/bulk/", json=body)
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json["task_id"])


def _fields(name: str, role: Role = "client", tenant: str | None = None) -> KeyFields:
    return KeyFields(name=name, role=role, tenant=tenant, per_minute=_RATE, per_day=_RATE)
