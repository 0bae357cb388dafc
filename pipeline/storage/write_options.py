"""What objects are written with: server-side encryption, and a checksum of every body.

Encryption is asked for with the object, and with an upload when it is created; its parts are
encrypted alike and may not ask again (S3 User Guide, "Specifying SSE-KMS", CreateMultipartUpload).
An MD5 of the body (``Content-MD5``) is what every server checks. The others
(``x-amz-checksum-…``) are kept with the object; then each part has one, and the completion names
them all (S3 User Guide, "Checking object integrity").
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pipeline.settings import Settings

Checksum = Literal["md5", "crc32", "sha256"]


class ObjectHeaders(NamedTuple):
    """boto3's parameters for these headers.

    Attributes:
        encryption: those of server-side encryption; empty for the bucket's own default.
        checksum: how bodies are checked on arrival.
    """

    encryption: Mapping[str, str | bool] = {}
    checksum: Checksum = "md5"

    def of_body(self, body: bytes | bytearray) -> dict[str, Any]:
        """Return the parameters of a PUT or of a part, but for the encryption."""
        if self.checksum == "md5":
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            return {"ContentMD5": base64.b64encode(digest).decode()}
        return {"ChecksumAlgorithm": self.checksum.upper()}

    def of_upload(self) -> dict[str, Any]:
        """Return the parameters that create a multipart upload."""
        algorithm = {} if self.checksum == "md5" else {"ChecksumAlgorithm": self.checksum.upper()}
        return {**self.encryption, **algorithm}

    def of_part(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the completion says of a part that was answered so."""
        names = {"ETag", f"Checksum{self.checksum.upper()}"}
        return {name: answer[name] for name in names & answer.keys()}


#: The bucket's own encryption, and the checksum that every server knows.
PLAIN = ObjectHeaders()


def object_headers(settings: Settings) -> ObjectHeaders:
    """Return what ``settings`` want objects to be written with."""
    asked = {
        "ServerSideEncryption": settings.s3_sse,
        "SSEKMSKeyId": settings.s3_sse_kms_key_id,
        "BucketKeyEnabled": settings.s3_sse_bucket_key or None,
    }
    encryption = {name: value for name, value in asked.items() if value is not None}
    return ObjectHeaders(encryption, settings.s3_checksum)
