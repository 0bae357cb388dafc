"""The objects of one S3 bucket."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import ObjectMissingError, ObjectShortError, StoreUnavailableError
from pipeline.storage.errors import translated
from pipeline.storage.multipart_upload import ObjectUpload, Upload, Uploaded, abort_upload
from pipeline.storage.write_options import ONLY_ONCE, PLAIN, ObjectHeaders

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

#: Largest number of objects in one request (S3 API Reference, DeleteObjects).
_DELETE_BATCH = 1000
#: Number of times an object is requested if its body breaks off in transit.
_READ_ATTEMPTS = 3
#: Bytes of an object that are in memory while its digest is computed.
_PIECE_BYTES = 1024 * 1024

Read = TypeVar("Read")


class Bucket:
    """The objects of one bucket.

    Every method that sends a request raises:
        StoreUnavailableError: S3 does not respond, or returns an error.

    Args:
        client: S3 client that signs, sends and retries requests.
        name: name of the bucket.
        headers: encryption and checksum parameters for the objects to write.
    """

    def __init__(self, client: "S3Client", name: str, headers: ObjectHeaders = PLAIN) -> None:
        self._client = client
        self.name = name
        self._headers = headers

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object atomically."""
        self._put(key, data, content_type, {})

    def put_once(self, key: str, data: bytes, content_type: str) -> None:
        """Write an object atomically, unless it exists.

        A server that ignores the condition overwrites the object.

        Raises:
            ObjectExistsError: the object exists. A lost response may be the reason: the retry of a
                successful write is rejected, too.
        """
        self._put(key, data, content_type, ONLY_ONCE)

    def _put(self, key: str, data: bytes, content_type: str, condition: Mapping[str, Any]) -> None:
        with translated():
            self._client.put_object(
                Bucket=self.name,
                Key=key,
                Body=data,
                ContentType=content_type,
                **self._headers.encryption,  # type: ignore[arg-type] # the stubs want literals
                **self._headers.of_body(data),
                **condition,
            )

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return an object, or ``length`` bytes of it from ``offset``.

        Raises:
            ObjectMissingError: the object does not exist.
            ObjectShortError: the object ends before the requested range does.
        """
        if length is None:
            return self._read(key, {})
        data = self._read(key, {"Range": f"bytes={offset}-{offset + length - 1}"})
        if len(data) != length:
            # The body did not break off in transit: it has the length that the server announced.
            raise ObjectShortError(f"{key}: {len(data)} bytes instead of {length}")
        return data

    def get_start(self, key: str, length: int) -> bytes:
        """Return the first ``length`` bytes of an object, or the whole object if it is shorter.

        Raises:
            ObjectMissingError: the object does not exist.
        """
        try:
            return self._read(key, {"Range": f"bytes=0-{length - 1}"})
        except ObjectShortError:  # the object is empty, so no range is valid
            return b""

    def get_end(self, key: str, offset: int) -> bytes:
        """Return an object from ``offset`` on; empty if the object ends there or before.

        Raises:
            ObjectMissingError: the object does not exist.
        """
        try:
            return self._read(key, {"Range": f"bytes={offset}-"})
        except ObjectShortError:
            return b""

    def digest(self, key: str) -> Uploaded:
        """Return the size and the SHA-256 of an object, which is read piece by piece.

        Raises:
            ObjectMissingError: the object does not exist.
        """
        return self._consume(key, {}, _digest)

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order."""
        return (key for key, _ in self.list_ages(prefix))

    def list_ages(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield each key that begins with ``prefix``, in order, and the time of its last write."""
        pages = self._client.get_paginator("list_objects_v2")
        with translated():
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                yield from (
                    (found["Key"], found["LastModified"]) for found in page.get("Contents", [])
                )

    def list_folders(self, prefix: str) -> Iterator[list[str]]:
        """Yield pages of the distinct names between ``prefix`` and the next slash.

        A page has at most 1000 names, regardless of the number of objects below each name (S3 API
        Reference, ListObjectsV2, ``CommonPrefixes``).
        """
        pages = self._client.get_paginator("list_objects_v2")
        with translated():
            for page in pages.paginate(Bucket=self.name, Prefix=prefix, Delimiter="/"):
                if found := page.get("CommonPrefixes"):
                    yield [each["Prefix"].removeprefix(prefix).removesuffix("/") for each in found]

    def delete(self, key: str) -> None:
        """Delete an object; a missing object is not an error."""
        with translated():
            self._client.delete_object(Bucket=self.name, Key=key)

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key begins with ``prefix``."""
        self.delete_each(self.list_keys(prefix))

    def delete_each(self, found: Iterator[str]) -> None:
        """Delete the objects with these keys, up to 1000 per request; ignore missing objects."""
        while batch := [*islice(found, _DELETE_BATCH)]:
            objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in batch]
            with translated():
                response = self._client.delete_objects(
                    Bucket=self.name, Delete={"Objects": objects, "Quiet": True}
                )
            if errors := response.get("Errors"):
                code = errors[0].get("Code", "unknown")
                raise StoreUnavailableError(f"DeleteObjects: {code}", code, "DeleteObjects")

    def presign(self, key: str, *, seconds: int, filename: str) -> str:
        """Return a URL that downloads an object and is valid for ``seconds``; sends no request."""
        with translated():
            return self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.name,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{filename}"',
                    "ResponseContentType": "application/zip",
                },
                ExpiresIn=seconds,
            )

    def check(self) -> None:
        """Check that the bucket exists and can be read."""
        self.headers()

    def headers(self) -> dict[str, str]:
        """Return the response headers of a HEAD request for the bucket.

        Raises:
            ObjectMissingError: the bucket does not exist.
        """
        with translated():
            response = self._client.head_bucket(Bucket=self.name)
        return dict(response["ResponseMetadata"]["HTTPHeaders"])

    def object_headers(self, key: str) -> dict[str, str]:
        """Return the response headers of a HEAD request for an object.

        Raises:
            ObjectMissingError: the object does not exist.
        """
        with translated():
            response = self._client.head_object(Bucket=self.name, Key=key)
        return dict(response["ResponseMetadata"]["HTTPHeaders"])

    def upload(self, key: str, upload: Upload) -> Uploaded:
        """Write an object atomically from a stream.

        Raises:
            UploadAbandonedError: the upload's ``keep_going`` or ``confirm`` returned False.
            ObjectExistsError: the object exists, and the upload is to write it only once.
        """
        return ObjectUpload(self._client, self.name, key, self._headers).write(upload)

    def abort_uploads(self, begun_before: datetime) -> int:
        """Abort the multipart uploads begun before ``begun_before`` and return their number."""
        aborted = 0
        # Some servers return NoSuchUpload instead of an empty list.
        with suppress(ObjectMissingError), translated():
            for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name
            ):
                for found in page.get("Uploads", []):
                    if found["Initiated"] < begun_before:
                        abort_upload(self._client, self.name, found["Key"], found["UploadId"])
                        aborted += 1
        return aborted

    def _read(self, key: str, wanted: Any) -> bytes:  # noqa: ANN401 - boto3's own parameters
        return self._consume(key, wanted, lambda body: body.read())

    def _consume(
        self,
        key: str,
        wanted: Any,  # noqa: ANN401 - as above
        consume: Callable[["StreamingBody"], Read],
    ) -> Read:
        for attempt in range(1, _READ_ATTEMPTS + 1):
            with translated():
                body = self._client.get_object(Bucket=self.name, Key=key, **wanted)["Body"]
            try:
                with translated():
                    return consume(body)
            except StoreUnavailableError:
                # boto3 retries a failed request, but not a body that breaks off.
                if attempt == _READ_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")


def _digest(body: "StreamingBody") -> Uploaded:
    digest, size = hashlib.sha256(), 0
    for piece in body.iter_chunks(_PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    return Uploaded(size, digest.hexdigest())
