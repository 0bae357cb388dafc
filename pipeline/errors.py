"""Errors that cross packages: a backend is unavailable, or an object is missing or unreadable."""


class UnavailableError(Exception):
    """A backend did not answer or refused; the same request may succeed later."""


class LedgerUnavailableError(UnavailableError):
    """Redis did not answer; the command may or may not have run, and can be repeated."""


class NewerVersionError(LedgerUnavailableError):
    """A newer release has written this of a job, and one that reads it has to go on with it."""


class StoreUnavailableError(UnavailableError):
    """S3 did not answer or refused.

    Attributes:
        code: S3's error code; the exception's name when there was no answer.
        operation: what was asked, as the S3 API names it; empty when there was no answer.
        by_kms: it was the encryption key that was refused.
    """

    def __init__(
        self, message: str, code: str = "", operation: str = "", *, by_kms: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation
        self.by_kms = by_kms


class ObjectMissingError(Exception):
    """There is no object at that key."""


class ObjectShortError(ObjectMissingError):
    """The object ends before the bytes that were asked for; asking again does not help."""


class BrokerUnavailableError(UnavailableError):
    """The broker did not answer."""


class EnqueueError(BrokerUnavailableError):
    """The broker did not take a message; it may still have it."""


class UnreadableError(Exception):
    """An object of a job in S3 is not what was written there; the message names it.

    Attributes:
        key_id: of the API key that owns the job; None where that cannot be read either.
    """

    key_id: str | None = None
