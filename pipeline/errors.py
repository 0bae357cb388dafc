"""Errors that cross packages: a backend is unavailable, or an object is missing or unreadable."""


class UnavailableError(Exception):
    """A backend did not respond or rejected the request; a retry may succeed later."""


class LedgerUnavailableError(UnavailableError):
    """Redis did not respond; the command may or may not have run, and can be repeated."""


class NewerVersionError(LedgerUnavailableError):
    """A newer release wrote this message, entry or record, and only that release can read it."""


class StoreUnavailableError(UnavailableError):
    """S3 did not respond or rejected the request.

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
    """No object exists under the requested key."""


class ObjectShortError(ObjectMissingError):
    """The object is shorter than the requested range; a retry does not help."""


class BrokerUnavailableError(UnavailableError):
    """The broker did not respond."""


class EnqueueError(BrokerUnavailableError):
    """The broker did not confirm a message; the message may be enqueued all the same."""


class UnreadableError(Exception):
    """An object of a job in S3 is damaged; the error's text names the object.

    Attributes:
        key_id: id of the API key that owns the job; None if that cannot be read either.
    """

    key_id: str | None = None
