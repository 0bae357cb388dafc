"""Translation of S3's errors: an object is missing, or the store is unavailable.

The rules are from the S3 API Reference unless stated otherwise:

- A missing object is 404 (``NoSuchKey``) only for callers that may list the bucket. For other
  callers it is 403 (GetObject, "Permissions"). The service never treats a 403 as a missing object,
  so every role needs ``s3:ListBucket``.
- A missing bucket (``NoSuchBucket``) implies nothing about its objects, so the store is
  unavailable. Responses to HEAD have no body, and therefore no code except the status: HEAD for a
  missing bucket or object raises :class:`ObjectMissingError`.
- 503 ``SlowDown``, 500 ``InternalError`` and an error in the body of a 200 are transient
  (CompleteMultipartUpload: "a 200 OK response can contain either a success or an error"). boto3
  retries them with exponential backoff, up to the client's number of attempts
  (:mod:`pipeline.storage.clients`). If the last attempt fails, the store is unavailable.
- On 301, 307 and ``AuthorizationHeaderMalformed`` with another region, boto3 repeats the request in
  the region that ``x-amz-bucket-region`` names (S3 User Guide, "Request redirection"). Clients of a
  download URL cannot do that, so the doctor reports that the region is wrong.
- ``NoSuchUpload`` for a part or a completion means that the upload was aborted, or that an attempt
  whose response was lost completed it. The upload has to be restarted.
- 412 ``PreconditionFailed`` is the response to a conditional write (``If-None-Match: *``) of an
  object that exists (S3 User Guide, "How to prevent object overwrites with conditional writes").
- ``ExpiredToken`` and errors of STS (AWS STS API Reference, AssumeRoleWithWebIdentity) last until
  new credentials are obtained.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from pipeline.errors import (
    ObjectExistsError,
    ObjectMissingError,
    ObjectShortError,
    StoreUnavailableError,
)

#: Codes for a range that begins after an object's last byte (RFC 9110, section 15.5.17).
_RANGE_NOT_SATISFIABLE = frozenset({"416", "InvalidRange"})
_EXISTS = frozenset({"412", "PreconditionFailed"})
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})


@contextmanager
def translated() -> Iterator[None]:
    """Translate the errors of boto3; the messages contain no URL and no object key."""
    try:
        yield
    except ClientError as error:
        raise _translate(error) from error
    except (BotoCoreError, ResponseParserError, urllib3.exceptions.HTTPError, OSError) as error:
        name = type(error).__name__
        raise StoreUnavailableError(name, name) from error
    except RuntimeError as error:
        # botocore's RefreshableCredentials raise this for credentials that cannot be renewed.
        if "still expired" not in str(error):
            raise
        raise StoreUnavailableError("the credentials have expired", "ExpiredToken") from error


def _translate(error: ClientError) -> Exception:
    details = error.response.get("Error", {})
    code = details.get("Code", "unknown")
    message = f"{error.operation_name}: {code}"
    if code in _RANGE_NOT_SATISFIABLE:
        return ObjectShortError(message)
    if code in _EXISTS:
        return ObjectExistsError(message)
    if code in _MISSING:
        return ObjectMissingError(message)
    # AccessDenied for an encryption key differs from other denials only in the message.
    by_kms = code.startswith("KMS") or "kms:" in details.get("Message", "")
    if by_kms:
        message += " (KMS)"
    return StoreUnavailableError(message, code, error.operation_name, by_kms=by_kms)
