"""Multipart uploads to S3: a stream of unknown length becomes one object, whole or not at all."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.storage.errors import translated
from pipeline.storage.write_options import ObjectHeaders

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

#: Parts in flight at once; each is held in memory until it has arrived.
_PARTS_IN_FLIGHT = 2


class UploadAbandonedError(Exception):
    """The caller's ``keep_going`` returned False between two parts; the upload was aborted."""


class Upload(NamedTuple):
    """A stream to be uploaded.

    Attributes:
        stream: pieces of any size.
        part_bytes: size of each part but the last; S3 requires at least 5 MiB.
        keep_going: called before each part; False abandons the upload.
        content_type: of the object.
    """

    stream: Iterable[bytes]
    part_bytes: int
    keep_going: Callable[[], bool]
    content_type: str = "application/zip"


class Uploaded(NamedTuple):
    """What was uploaded: its size in bytes and its SHA-256, hexadecimal."""

    bytes: int
    sha256: str


class MultipartUpload:
    """One multipart upload of one object.

    Args:
        client: signs, sends and retries.
        bucket: name of the bucket.
        key: of the object.
        headers: what the object is written with.
    """

    def __init__(self, client: "S3Client", bucket: str, key: str, headers: ObjectHeaders) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._headers = headers

    def write(self, upload: Upload) -> Uploaded:
        """Write the object, or abort the upload.

        At most :data:`_PARTS_IN_FLIGHT` parts and the one being filled are in memory.

        Raises:
            UploadAbandonedError: ``keep_going`` returned False.
            StoreUnavailableError: no response, or a refusal.
        """
        with translated():
            created = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                ContentType=upload.content_type,
                **self._headers.of_upload(),
            )
        upload_id = created["UploadId"]
        try:
            return self._write_parts(upload_id, upload)
        except ObjectMissingError as error:
            # The upload was aborted, or completed by an attempt whose response was lost. It cannot
            # be continued, but all of it can be sent again.
            raise StoreUnavailableError(str(error), "NoSuchUpload") from error
        except BaseException:
            abort_upload(self._client, self._bucket, self._key, upload_id)
            raise

    def _write_parts(self, upload_id: str, upload: Upload) -> Uploaded:
        digest, size = hashlib.sha256(), 0
        sent: list[Future[CompletedPartTypeDef]] = []
        with ThreadPoolExecutor(_PARTS_IN_FLIGHT, "upload-part") as pool:
            for number, part in enumerate(_split(upload.stream, upload.part_bytes), 1):
                digest.update(part)
                size += len(part)
                if number > _PARTS_IN_FLIGHT:
                    sent[number - 1 - _PARTS_IN_FLIGHT].result()
                if not upload.keep_going():
                    raise UploadAbandonedError(self._key)
                sent.append(pool.submit(self._write_part, upload_id, number, part))
            finished = [part.result() for part in sent]
        with translated():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                MultipartUpload={"Parts": finished},
            )
        return Uploaded(size, digest.hexdigest())

    def _write_part(self, upload_id: str, number: int, part: bytearray) -> "CompletedPartTypeDef":
        with translated():
            response = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,  # type: ignore[arg-type] # botocore takes it, its stubs do not say so
                **self._headers.of_body(part),
            )
        return {"PartNumber": number, **self._headers.of_part(response)}  # type: ignore[typeddict-item]


def abort_upload(client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload, or leave it open if that fails.

    The error that led here is the one to report. An open upload costs storage and nothing else,
    until the sweep aborts it.
    """
    with suppress(StoreUnavailableError, ObjectMissingError), translated():
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def _split(stream: Iterable[bytes], part_bytes: int) -> Iterator[bytearray]:
    """Yield ``stream`` in parts of exactly ``part_bytes``, the last one shorter."""
    # A part that grew would be in memory twice while it is copied.
    part, filled = bytearray(part_bytes), 0
    for piece in stream:
        rest = memoryview(piece)
        while rest:
            taken = min(len(rest), part_bytes - filled)
            part[filled : filled + taken] = rest[:taken]
            rest, filled = rest[taken:], filled + taken
            if filled == part_bytes:
                yield part
                part, filled = bytearray(part_bytes), 0
    if filled:
        yield part[:filled]
