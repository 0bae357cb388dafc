"""What S3's errors mean: the object is missing, or the store is out of reach for now.

The rules, all from the S3 API Reference unless said otherwise:

- What is missing is 404 (``NoSuchKey``) only to those who may list the bucket; to others it is 403
  (GetObject, "Permissions"). A 403 can therefore not be read as missing: every role needs
  ``s3:ListBucket``.
- A missing bucket (``NoSuchBucket``) says nothing of its objects: the store is out of reach.
  Answers to HEAD have no body, and so no code but the status; the service asks with HEAD for
  buckets alone.
- 503 ``SlowDown``, 500 ``InternalError``, and an error in the body of a 200
  (CompleteMultipartUpload: "a 200 OK response can contain either a success or an error") may pass.
  boto3 tries these again, with a back-off, as often as the client's patience has it
  (:mod:`pipeline.storage.clients`); what is left then is out of reach.
- 301, 307 and ``AuthorizationHeaderMalformed`` with another region: boto3 asks again where
  ``x-amz-bucket-region`` says (S3 User Guide, "Request redirection"). Clients of a download URL
  cannot, so the doctor says that the region is wrong.
- ``NoSuchUpload`` of a part or a completion is an upload that was aborted, or completed by an
  attempt whose answer was lost: the upload has to be made anew.
- ``ExpiredToken`` and what STS refuses (AWS STS API Reference, AssumeRoleWithWebIdentity) pass with
  the next credentials.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from pipeline.errors import ObjectMissingError, ObjectShortError, StoreUnavailableError

#: What a range that begins behind an object's last byte is answered with (RFC 9110, 15.5.17).
_BEHIND_THE_END = frozenset({"416", "InvalidRange"})
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})


@contextmanager
def translated() -> Iterator[None]:
    """Turn what boto3 raises into this module's errors, without a URL or a key in the message."""
    try:
        yield
    except ClientError as error:
        raise _meaning(error) from error
    except (BotoCoreError, ResponseParserError, urllib3.exceptions.HTTPError, OSError) as error:
        name = type(error).__name__
        raise StoreUnavailableError(name, name) from error
    except RuntimeError as error:
        # This is how botocore says it, in RefreshableCredentials.
        if "still expired" not in str(error):
            raise
        raise StoreUnavailableError("the credentials have expired", "ExpiredToken") from error


def _meaning(error: ClientError) -> Exception:
    said = error.response.get("Error", {})
    code = said.get("Code", "unknown")
    message = f"{error.operation_name}: {code}"
    if code in _BEHIND_THE_END:
        return ObjectShortError(message)
    if code in _MISSING:
        return ObjectMissingError(message)
    # A key that may not be used is AccessDenied as well; the message alone tells them apart.
    by_kms = code.startswith("KMS") or "kms:" in said.get("Message", "")
    if by_kms:
        message += " (KMS)"
    return StoreUnavailableError(message, code, error.operation_name, by_kms=by_kms)
