"""Errors that cross packages: unavailable backends, missing or damaged objects, wrong symbols."""


class UnavailableError(Exception):
    """Raised when a backend does not respond or rejects a request; a retry may succeed later."""


class LedgerUnavailableError(UnavailableError):
    """Raised when Redis does not respond. The command may have run, and is safe to repeat."""


class LedgerReadOnlyError(LedgerUnavailableError):
    """Raised when Redis responds but rejects a write; reads still work.

    Attributes:
        code: Redis's error code, such as ``OOM`` or ``READONLY``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NewerVersionError(LedgerUnavailableError):
    """Raised when a message, entry or record can be read only by the newer release it is from."""


class JobPurgedError(LedgerUnavailableError):
    """Raised when a job cannot be created because it was purged; a new request gets a new job."""


class StoreUnavailableError(UnavailableError):
    """Raised when S3 does not respond or rejects a request.

    Attributes:
        code: S3's error code, or the exception's name if there was no response.
        operation: the operation's name in the S3 API; empty if there was no response.
        by_kms: whether access to the encryption key was denied.
    """

    def __init__(
        self, message: str, code: str = "", operation: str = "", *, by_kms: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation
        self.by_kms = by_kms


class ObjectMissingError(Exception):
    """Raised when no object exists under the requested key."""


class ObjectExistsError(Exception):
    """Raised when an object is to be written only once, and exists already."""


class ObjectShortError(ObjectMissingError):
    """Raised when an object is shorter than the requested range; a retry does not help."""


class BrokerUnavailableError(UnavailableError):
    """Raised when the broker does not respond."""


class EnqueueError(BrokerUnavailableError):
    """Raised when the broker does not confirm a message, which may be enqueued nevertheless."""


class UnverifiedError(Exception):
    """Raised when a symbol that was read back from its image differs from its item.

    Args:
        index: position of the first such item in the job, counted from 1.
        file: name of its image in the bundle.
        fault: how it differs, as a clause.
        count: number of such items in the chunk.
    """

    def __init__(self, index: int, file: str, fault: str, count: int) -> None:
        more = f" ({count} items of the chunk failed verification)" if count > 1 else ""
        super().__init__(f"item {index} ({file}) failed verification: {fault}{more}")
        self.count = count


class UnreadableError(Exception):
    """Raised when an object of a job in S3 is damaged; the message names the object.

    Attributes:
        key_id: id of the tenant that owns the job; None if the id is unreadable too.
    """

    key_id: str | None = None
