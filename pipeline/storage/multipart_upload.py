"""Uploads to S3: write a stream of unknown length as one object, atomically.

A stream of one part is written with one PUT, and a longer one as a multipart upload.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.storage.errors import translated
from pipeline.storage.write_options import ObjectHeaders

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

#: Largest number of parts in flight; each part stays in memory until S3 has received it.
_PARTS_IN_FLIGHT = 2


class UploadAbandonedError(Exception):
    """Raised when ``keep_going`` or ``confirm`` returned False; the upload was aborted."""


class Uploaded(NamedTuple):
    """The size in bytes and the hexadecimal SHA-256 of an uploaded object."""

    bytes: int
    sha256: str


class Upload(NamedTuple):
    """A stream to be uploaded.

    Attributes:
        stream: the object's bytes, in pieces of any size.
        part_bytes: size in bytes of each part except the last; S3 requires at least 5 MiB.
        keep_going: called before each part is sent; returns False to abandon the upload. Not called
            before a single part, which ``confirm`` precedes.
        content_type: content type of the object.
        confirm: called with the object's size and digest before the request that makes the object
            visible: before a single part is sent, or when all parts have been sent. Returns False
            to abandon the upload.
        condition: parameters that may have S3 reject the request that makes the object visible.
    """

    stream: Iterable[bytes | memoryview]
    part_bytes: int
    keep_going: Callable[[], bool]
    content_type: str = "application/zip"
    confirm: Callable[[Uploaded], bool] | None = None
    condition: Mapping[str, Any] = {}

    def may_complete(self, uploaded: Uploaded, *, checked: bool) -> bool:
        """Return whether the object may become visible.

        Args:
            uploaded: size and digest of the object.
            checked: whether ``keep_going`` has been called.
        """
        if self.confirm is not None:
            return self.confirm(uploaded)
        return checked or self.keep_going()


class ObjectUpload:
    """The upload of one object.

    Args:
        client: S3 client that signs, sends and retries requests.
        bucket: name of the bucket.
        key: key of the object.
        headers: encryption and checksum parameters of the object.
    """

    def __init__(self, client: "S3Client", bucket: str, key: str, headers: ObjectHeaders) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._headers = headers

    def write(self, upload: Upload) -> Uploaded:
        """Write the object, or abort the upload.

        At most :data:`_PARTS_IN_FLIGHT` parts and the part being filled are in memory.

        Raises:
            UploadAbandonedError: the upload's ``keep_going`` or ``confirm`` returned False.
            StoreUnavailableError: S3 does not respond, or returns an error.
        """
        parts = _split(upload.stream, upload.part_bytes)
        begun = deque(islice(parts, 2))
        if len(begun) <= 1:
            return self._write_whole(begun.pop() if begun else bytearray(), upload)
        return self._write_in_parts(_taken(begun, parts), upload)

    def _write_whole(self, data: bytearray, upload: Upload) -> Uploaded:
        uploaded = Uploaded(len(data), hashlib.sha256(data).hexdigest())
        if not upload.may_complete(uploaded, checked=False):
            raise UploadAbandonedError(self._key)
        with translated():
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=data,  # type: ignore[arg-type] # as below
                ContentType=upload.content_type,
                **self._headers.encryption,  # type: ignore[arg-type] # the stubs want literals
                **self._headers.of_body(data),
                **upload.condition,
            )
        return uploaded

    def _write_in_parts(self, parts: Iterable[bytearray], upload: Upload) -> Uploaded:
        with translated():
            created = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                ContentType=upload.content_type,
                **self._headers.of_upload(),
            )
        upload_id = created["UploadId"]
        try:
            return self._write_parts(upload_id, parts, upload)
        except ObjectMissingError as error:
            # The upload was aborted, or completed by an attempt whose response was lost. The upload
            # cannot be continued, but the whole object can be sent again.
            raise StoreUnavailableError(str(error), "NoSuchUpload") from error
        except BaseException:
            abort_upload(self._client, self._bucket, self._key, upload_id)
            raise

    def _write_parts(self, upload_id: str, parts: Iterable[bytearray], upload: Upload) -> Uploaded:
        digest, size = hashlib.sha256(), 0
        sent: list[Future[CompletedPartTypeDef]] = []
        with ThreadPoolExecutor(_PARTS_IN_FLIGHT, "upload-part") as pool:
            for number, part in enumerate(parts, 1):
                digest.update(part)
                size += len(part)
                if number > _PARTS_IN_FLIGHT:
                    sent[number - 1 - _PARTS_IN_FLIGHT].result()
                if not upload.keep_going():
                    raise UploadAbandonedError(self._key)
                sent.append(pool.submit(self._write_part, upload_id, number, part))
            finished = [part.result() for part in sent]
        uploaded = Uploaded(size, digest.hexdigest())
        if not upload.may_complete(uploaded, checked=True):
            raise UploadAbandonedError(self._key)
        with translated():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                MultipartUpload={"Parts": finished},
                **upload.condition,
            )
        return uploaded

    def _write_part(self, upload_id: str, number: int, part: bytearray) -> "CompletedPartTypeDef":
        with translated():
            response = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,  # type: ignore[arg-type] # botocore accepts a bytearray, the stubs do not
                **self._headers.of_body(part),
            )
        return {"PartNumber": number, **self._headers.of_part(response)}  # type: ignore[typeddict-item]


def abort_upload(client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload, or leave the upload open if the request fails.

    A failed request is ignored, so that the caller reports the original error. An open upload only
    costs storage, until the sweep aborts it.
    """
    with suppress(StoreUnavailableError, ObjectMissingError), translated():
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def _taken(begun: deque[bytearray], rest: Iterable[bytearray]) -> Iterator[bytearray]:
    """Yield the parts of ``begun``, then ``rest``; parts that were sent take no memory any more."""
    while begun:
        yield begun.popleft()
    yield from rest


def _split(stream: Iterable[bytes | memoryview], part_bytes: int) -> Iterator[bytearray]:
    """Yield ``stream`` in parts of exactly ``part_bytes``; the last part may be shorter."""
    part = bytearray()
    for piece in stream:
        rest = memoryview(piece)
        while rest:
            taken = min(len(rest), part_bytes - len(part))
            part += rest[:taken]
            rest = rest[taken:]
            if len(part) == part_bytes:
                yield part
                part = bytearray()
    if part:
        yield part
