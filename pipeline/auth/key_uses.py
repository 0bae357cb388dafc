"""The day of each API key's last use, recorded in S3.

A use is recorded as an empty object, whose time of writing is the day of the use. The object is not
the key's own: S3 has no atomic change of an object, so that recording a use could undo a concurrent
revocation.
"""

import time
from collections import deque
from datetime import UTC
from threading import Lock, Thread

import structlog

from pipeline.errors import StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

log = structlog.get_logger(__name__)

_DAY = 86_400  # seconds
_RETRY = 3600  # seconds after a failed attempt to record a use


class KeyUses:
    """Last uses of API keys; thread-safe."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        #: Key id -> time from which a use has to be recorded, in seconds since the epoch.
        self._due: dict[str, float] = {}
        self._waiting: deque[str] = deque()
        self._writing = False
        self._lock = Lock()

    def note(self, key_id: str) -> None:
        """Record that a key is in use, once per day (UTC) and process.

        A thread of its own writes to S3, so that the caller neither waits nor fails.
        """
        now = time.time()
        if now < self._due.get(key_id, 0.0):
            return
        with self._lock:
            if now < self._due.get(key_id, 0.0):
                return
            self._due[key_id] = now - now % _DAY + _DAY
            self._waiting.append(key_id)
            if self._writing:
                return
            self._writing = True
        try:
            Thread(target=self._write_all, name="last use of API keys", daemon=True).start()
        except RuntimeError:  # no more threads; the next key to be noted starts one
            self._writing = False

    def days(self, key_id: str | None = None) -> dict[str, str]:
        """Return the day of the last use (ISO 8601, UTC) by key id, of one key or of all keys.

        Raises:
            StoreUnavailableError: S3 is unreachable.
        """
        prefix = keys.KEY_MARKS if key_id is None else keys.marks_of(key_id)
        found = {}
        for name, written_at in self._bucket.list_ages(prefix):
            owner, _, mark = name.removeprefix(keys.KEY_MARKS).partition("/")
            if mark == "used":
                found[owner] = written_at.astimezone(UTC).date().isoformat()
        return found

    def _write_all(self) -> None:
        while (key_id := self._next()) is not None:
            try:
                self._bucket.put(keys.key_use_object(key_id), b"")
            except StoreUnavailableError as error:
                self._due[key_id] = time.time() + _RETRY
                log.warning("last use not recorded", key_id=key_id, reason=str(error))

    def _next(self) -> str | None:
        with self._lock:
            self._writing = bool(self._waiting)
            return self._waiting.popleft() if self._writing else None
