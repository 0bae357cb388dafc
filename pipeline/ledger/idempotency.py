"""Idempotency keys: a request that is sent again with the same key gets the same job.

A request reserves its key under a lease before it writes anything, and confirms the key when the
request is accepted. If the process that reserved the key dies, the lease expires. The next request
with the key takes over the reservation and the task id, and therefore writes the same S3 objects
again. Writing these objects twice is harmless. Deleting them is not, because the other request may
have been accepted. A request therefore renews its lease before it deletes its objects.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts
from pipeline.model.records import Idempotency

#: Milliseconds until a reservation expires unless it is renewed, and until a confirmed key expires.
_LEASE, LIFETIME = 15_000, 86_400_000

Verdict = Literal["new", "replay", "busy", "mismatch"]
Run = Callable[..., Any]


class IdempotencyError(Exception):
    """Raised when an idempotency key cannot be used for a request.

    Attributes:
        busy: True if another request with the key is being handled; False if the key was used with
            a body of another meaning.
    """

    def __init__(self, *, busy: bool) -> None:
        super().__init__("in use" if busy else "used with another body")
        self.busy = busy


class Reservation:
    """An idempotency key that this request holds, or whose request was accepted before.

    Call :meth:`renew` before deleting what the request wrote. Once the lease has expired, another
    request with the key may have taken over the reservation and may write for the same task id.

    Every method raises:
        LedgerUnavailableError: Redis is unreachable.

    Attributes:
        task_id: id of the job that belongs to the key.
        replayed: True if a request with the key was accepted before.
        is_takeover: True if the reservation was taken over from another request, whose progress is
            unknown.
    """

    def __init__(self, run: Run, name: str, key: Idempotency, reserved: "_Reserved") -> None:
        self.task_id = reserved.task_id
        self.replayed = reserved.verdict == "replay"
        self.is_takeover = reserved.is_takeover
        self._run, self._name, self._key = run, name, key
        self._until = reserved.until

    def renew(self) -> bool:
        """Renew the lease; return False if another request has taken over the reservation."""
        return self._lease(_LEASE)

    def expire(self) -> None:
        """End the lease at once, because it is unknown whether the request was accepted.

        The next request with the key takes over the task id without waiting for the lease.
        """
        self._lease(0)

    def confirm(self) -> None:
        """Record that the request was accepted."""
        self._settle(LIFETIME)

    def release(self) -> None:
        """Release the key, because the request was not accepted."""
        if self.renew():
            self._settle("")

    def _settle(self, left: int | str) -> None:
        key = self._key
        arguments = (self.task_id, key.body_sha256, left, key.meaning_sha256)
        self._run("settle_key", [self._name], *arguments)

    def _lease(self, lease: int) -> bool:
        arguments = (self.task_id, self._until, lease)
        self._until = int(self._run("lease_key", [self._name], *arguments))
        return self._until > 0


class _Reserved(NamedTuple):
    verdict: Verdict
    task_id: str
    until: int
    is_takeover: bool


class IdempotencyKeys:
    """The idempotency keys of all tenants, in Redis.

    Every method raises:
        LedgerUnavailableError: Redis is unreachable.
    """

    def __init__(self, client: redis.Redis) -> None:
        scripts = Scripts(client)
        self._run, self._run_and_replicate = scripts.run, scripts.run_and_replicate

    def reserve(self, tenant: str, key: Idempotency, task_id: str) -> Reservation:
        """Reserve ``key`` for ``task_id``, or return the reservation of the job that has the key.

        Raises:
            IdempotencyError: the key is in use, or was used with another body.
        """
        name = keys.idempotency(tenant, key.key_sha256)
        before, behind = keys.job("/").split("/")
        arguments = (key.body_sha256, task_id, _LEASE, LIFETIME, key.meaning_sha256, before, behind)
        # If a failover lost the reservation, the same request sent again would become a second job.
        verdict, holder, until = self._run_and_replicate("reserve_key", [name], *arguments)
        if cast("Verdict", verdict) in {"busy", "mismatch"}:
            raise IdempotencyError(busy=verdict == "busy")
        is_takeover = verdict == "new" and holder != task_id
        reserved = _Reserved(verdict, holder, int(until), is_takeover)
        return Reservation(self._run, name, key, reserved)

    def confirm(self, tenant: str, key: Idempotency, task_id: str, *, age: int) -> None:
        """Record that a request was accepted ``age`` milliseconds ago.

        The caller need not hold the key. A key that would have expired by now is not recorded.
        """
        left = LIFETIME - age
        if left > 0:
            name = keys.idempotency(tenant, key.key_sha256)
            arguments = (task_id, key.body_sha256, left, key.meaning_sha256)
            self._run("settle_key", [name], *arguments)


def make_idempotency(header: str, body: bytes, parameters: str = "") -> Idempotency:
    """Return the digests of an idempotency key and of the body that was sent with it.

    Args:
        header: value of the ``Idempotency-Key`` header.
        body: request body, with its content coding removed.
        parameters: the request's parameters outside its body, in a canonical form.
    """
    digest = hashlib.sha256(parameters.encode())
    digest.update(body)
    return Idempotency(hashlib.sha256(header.encode()).hexdigest(), digest.hexdigest())
