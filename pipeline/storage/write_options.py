"""Request parameters for writing objects: server-side encryption and a checksum of every body.

Encryption is requested with a PUT, or when a multipart upload is created. The parts of an upload
inherit its encryption and must not request their own (S3 User Guide, "Specifying SSE-KMS",
CreateMultipartUpload). Every server validates an MD5 of the body (``Content-MD5``). The other
checksums (``x-amz-checksum-…``) are stored with the object. With them, each part has a checksum,
and the completion lists the checksums of all parts (S3 User Guide, "Checking object integrity").
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pipeline.settings import Settings

Checksum = Literal["md5", "crc32", "sha256"]
#: Parameters that create an object, and have S3 reject the write of one that exists. AWS S3, Ceph
#: and moto honour the condition for PUT and for CompleteMultipartUpload; rclone ignores it.
ONLY_ONCE: Mapping[str, Any] = {"IfNoneMatch": "*"}


class ObjectHeaders(NamedTuple):
    """boto3 parameters for encryption and checksums.

    Attributes:
        encryption: parameters of server-side encryption; empty for the bucket's default.
        checksum: algorithm with which the server validates bodies.
    """

    encryption: Mapping[str, str | bool] = {}
    checksum: Checksum = "md5"

    def of_body(self, body: bytes | bytearray) -> dict[str, Any]:
        """Return the checksum parameters of a PUT or a part with ``body``."""
        if self.checksum == "md5":
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            return {"ContentMD5": base64.b64encode(digest).decode()}
        return {"ChecksumAlgorithm": self.checksum.upper()}

    def of_upload(self) -> dict[str, Any]:
        """Return the parameters that create a multipart upload."""
        algorithm = {} if self.checksum == "md5" else {"ChecksumAlgorithm": self.checksum.upper()}
        return {**self.encryption, **algorithm}

    def of_part(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ETag and checksum of a part for the completion, from its ``response``."""
        names = {"ETag", f"Checksum{self.checksum.upper()}"}
        return {name: response[name] for name in names & response.keys()}


#: The bucket's default encryption, and the checksum that every server supports.
PLAIN = ObjectHeaders()


def object_headers(settings: Settings) -> ObjectHeaders:
    """Return the encryption and checksum parameters for ``settings``."""
    requested = {
        "ServerSideEncryption": settings.s3_sse,
        "SSEKMSKeyId": settings.s3_sse_kms_key_id,
        "BucketKeyEnabled": settings.s3_sse_bucket_key or None,
    }
    encryption = {name: value for name, value in requested.items() if value is not None}
    return ObjectHeaders(encryption, settings.s3_checksum)
