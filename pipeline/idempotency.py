"""Idempotency-Keys: the same request, sent again, is the same job.

A key is reserved under a lease before anything is written, and confirmed when the request is
accepted. Whoever reserved it and died leaves a lease that runs out: the next request with the key
takes it over together with the task id, so that what the first one wrote is written again at the
same places.
"""

import hashlib
from typing import Literal, NamedTuple, cast

import redis

from pipeline import keys
from pipeline.jobs import Idempotency
from pipeline.lua import Scripts

#: Milliseconds a reservation lasts, and a confirmed key. A request may take longer in the worst
#: case: two that act on one task id do no harm.
_LEASE, _LIFETIME = 15_000, 86_400_000

Verdict = Literal["new", "replay", "busy", "mismatch"]


class IdempotencyError(Exception):
    """A key cannot be used for this request.

    Attributes:
        busy: its first request is being handled now; else it came with another body.
    """

    def __init__(self, *, busy: bool) -> None:
        super().__init__("in use" if busy else "used with another body")
        self.busy = busy


class Reservation(NamedTuple):
    """What became of a reservation: whose job it is, and whether that was accepted before."""

    task_id: str
    replayed: bool


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
        verdict, holder = self._run_and_replicate("reserve_key", [name], *arguments)
        if cast("Verdict", verdict) in {"busy", "mismatch"}:
            raise IdempotencyError(busy=verdict == "busy")
        return Reservation(holder, replayed=verdict == "replay")

    def confirm(self, key_id: str, key: Idempotency, task_id: str, *, age: int = 0) -> None:
        """Say that the request was accepted ``age`` milliseconds ago."""
        left = _LIFETIME - age
        if left > 0:
            self._settle(key_id, key, task_id, left)

    def release(self, key_id: str, key: Idempotency, task_id: str) -> None:
        """Give a key back whose request was not accepted."""
        self._settle(key_id, key, task_id, "")

    def let_go(self, key_id: str, key: Idempotency, task_id: str) -> None:
        """End the lease of a key whose request may or may not have been accepted.

        The next request with the key need not wait for that, and takes the task id over.
        """
        self._run("let_go_key", [keys.idempotency(key_id, key.key_sha256)], task_id)

    def _settle(self, key_id: str, key: Idempotency, task_id: str, left: int | str) -> None:
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
