"""Idempotency-Keys: the same request, sent again, is the same job.

A key is reserved under a lease before anything is written, and confirmed when the request is
accepted. Whoever reserved it and died leaves a lease that runs out: the next request with the key
takes it over together with the task id, so that what the first one wrote is written again at the
same places. Writing twice does no harm; undoing does, so the first one has to ask before it undoes.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts
from pipeline.model.records import Idempotency

#: Milliseconds a reservation lasts unless it is renewed, and a confirmed key.
_LEASE, _LIFETIME = 15_000, 86_400_000

Verdict = Literal["new", "replay", "busy", "mismatch"]
Run = Callable[..., Any]


class IdempotencyError(Exception):
    """A key cannot be used for this request.

    Attributes:
        busy: its first request is being handled now; else it came with another body.
    """

    def __init__(self, *, busy: bool) -> None:
        super().__init__("in use" if busy else "used with another body")
        self.busy = busy


class Reservation:
    """An Idempotency-Key that this request holds, or whose request was accepted before.

    What undoes a request has to be allowed by :meth:`renew`: once the lease has run out, another
    request with the key may have taken it over, and acts on the same task id. Every method raises
    ``LedgerUnavailableError``.

    Attributes:
        task_id: whose job it is.
        replayed: its request was accepted before.
        is_takeover: another request held it first, and nobody knows how far that got.
    """

    def __init__(self, run: Run, name: str, body_sha256: str, reserved: "_Reserved") -> None:
        self.task_id = reserved.task_id
        self.replayed = reserved.verdict == "replay"
        self.is_takeover = reserved.is_takeover
        self._run, self._name, self._body_sha256 = run, name, body_sha256
        self._until = reserved.until

    def renew(self) -> bool:
        """Hold it for another lease; return False if another request has taken it over."""
        return self._lease(_LEASE)

    def expire(self) -> None:
        """End the lease, because nothing knows whether the request was accepted.

        The next request with the key need not wait for that, and takes the task id over.
        """
        self._lease(0)

    def confirm(self) -> None:
        """Say that the request was accepted."""
        self._settle(_LIFETIME)

    def release(self) -> None:
        """Give the key back, as the request was not accepted."""
        if self.renew():
            self._settle("")

    def _settle(self, left: int | str) -> None:
        self._run("settle_key", [self._name], self.task_id, self._body_sha256, left)

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
    """The keys of all clients, in Redis. Every method raises ``LedgerUnavailableError``."""

    def __init__(self, client: redis.Redis) -> None:
        scripts = Scripts(client)
        self._run, self._run_and_replicate = scripts.run, scripts.run_and_replicate

    def reserve(self, key_id: str, key: Idempotency, task_id: str) -> Reservation:
        """Reserve ``key`` for ``task_id``, or find whose it is.

        Raises:
            IdempotencyError: it is in use now, or was used with another body.
        """
        name = keys.idempotency(key_id, key.key_sha256)
        arguments = (key.body_sha256, task_id, _LEASE, _LIFETIME)
        # Were it forgotten once the request is in S3, the same sent again would be a second job.
        verdict, holder, until = self._run_and_replicate("reserve_key", [name], *arguments)
        if cast("Verdict", verdict) in {"busy", "mismatch"}:
            raise IdempotencyError(busy=verdict == "busy")
        is_takeover = verdict == "new" and holder != task_id
        reserved = _Reserved(verdict, holder, int(until), is_takeover)
        return Reservation(self._run, name, key.body_sha256, reserved)

    def confirm(self, key_id: str, key: Idempotency, task_id: str, *, age: int) -> None:
        """Say that a request was accepted ``age`` milliseconds ago, though nobody holds its key."""
        left = _LIFETIME - age
        if left > 0:
            name = keys.idempotency(key_id, key.key_sha256)
            self._run("settle_key", [name], task_id, key.body_sha256, left)


def make_idempotency(header: str, body: bytes, parameters: str = "") -> Idempotency:
    """Return the digests of an Idempotency-Key and of the request it came with.

    Args:
        header: the key.
        body: without its content coding.
        parameters: what the request says outside its body, always written the same way.
    """
    digest = hashlib.sha256(parameters.encode())
    digest.update(body)
    return Idempotency(hashlib.sha256(header.encode()).hexdigest(), digest.hexdigest())
