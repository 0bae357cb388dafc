"""The callback record in S3: how a callback ended, so that a lost Redis sends none again."""

from typing import Literal

import msgspec

from pipeline.jobs import CallbackState, Result, State


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a callback ended.

    Attributes:
        job_state, job_error_code: the end it is about.
        callback_state: ``delivered`` or ``failed``; the others as in :class:`JobStatus`.
    """

    version: Literal[1] = 1
    job_state: State
    job_error_code: str | None = None
    callback_state: CallbackState
    callback_event: str
    callback_attempts: int
    callback_error: str | None = None
    callback_delivered_at: int | None = None

    def is_about(self, result: Result) -> bool:
        """Return whether this is the callback about ``result``, and not about an end before it."""
        return (self.job_state, self.job_error_code) == (result.state, result.error_code)

    def fields(self) -> list[str | int]:
        """Return the ledger's fields and their values, one after the other."""
        values = msgspec.structs.asdict(self).items()
        kept = [(name, value) for name, value in values if name.startswith("callback_")]
        return [part for pair in kept if pair[1] is not None for part in pair]
