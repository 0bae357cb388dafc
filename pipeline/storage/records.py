"""A job's objects in S3: the request, the bundle, the result record and the callback record.

No other module reads or writes these objects. Writes are idempotent: a repeated write stores the
same bytes at the same key, or bytes that supersede them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import msgspec

from pipeline.errors import ObjectMissingError, UnreadableError
from pipeline.model.jobs import Item
from pipeline.model.records import CallbackRecord, RequestHead, RequestTail, Result
from pipeline.model.request_object import (
    complete_head,
    decode_head,
    decode_items,
    decode_tail,
    tail_offset,
)
from pipeline.model.versions import refuse_newer, version_of
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.multipart_upload import Upload, Uploaded
from pipeline.storage.write_options import ONLY_ONCE

_JSON = "application/json"
#: Largest size in bytes of a request object written with one PUT, and part size of larger ones.
_ONE_PUT = 8 * 1024 * 1024
#: Bytes that are read first to decode the head of a request object; quadrupled until they suffice.
_HEAD_BYTES = 1 << 16

Record = TypeVar("Record", Result, CallbackRecord)


class JobRecords:
    """The objects of all jobs in the main bucket.

    Every method raises:
        StoreUnavailableError: S3 does not respond, or returns an error.

    Args:
        bucket: the main bucket.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def write_request(
        self,
        task_id: str,
        pieces: Sequence[bytes],
        keep_going: Callable[[], bool],
        *,
        once: bool = False,
    ) -> None:
        """Write a request object; a large one in parts, so that it is not in memory twice.

        Args:
            task_id: id of the job.
            pieces: the line with the head, the items of each chunk, and the last line.
            keep_going: called before each part of a large object; returns False to abandon the
                upload.
            once: whether an existing object stays as it is.

        Raises:
            UploadAbandonedError: ``keep_going`` returned False.
            ObjectExistsError: the object exists, and is to be written only ``once``.
        """
        key = keys.request_object(task_id)
        if sum(map(len, pieces)) <= _ONE_PUT:
            put = self._bucket.put_once if once else self._bucket.put
            put(key, b"".join(pieces), _JSON)
        else:
            condition = ONLY_ONCE if once else {}
            upload = Upload(pieces, _ONE_PUT, keep_going, _JSON, condition=condition)
            self._bucket.upload(key, upload)

    def delete_request(self, task_id: str) -> None:
        """Delete a request object; a missing object is not an error."""
        self._bucket.delete(keys.request_object(task_id))

    def _read_start(self, task_id: str) -> tuple[RequestHead, int, bytes | None]:
        """Return the head, its size in bytes, and the whole object if it had to be read."""
        key, size = keys.request_object(task_id), _HEAD_BYTES
        while b"\n" not in (data := self._bucket.get_start(key, size)):
            if len(data) < size:
                raise UnreadableError(f"{key} has no complete head")
            size *= 4
        line, _, _ = data.partition(b"\n")
        with _readable(key):
            refuse_newer(version_of(line), key)
            head = decode_head(line)
        return head, len(line) + 1, data if len(data) < size else None

    def read_request(self, task_id: str) -> tuple[RequestHead, int, RequestTail]:
        """Return the head, the size of the head in bytes, and the last line of a request object.

        Raises:
            ObjectMissingError: the object does not exist.
            UnreadableError: the object is damaged.
            NewerVersionError: a newer release wrote the object.
        """
        head, head_bytes, whole = self._read_start(task_id)
        key, offset = keys.request_object(task_id), tail_offset(head, head_bytes)
        line = self._bucket.get_end(key, offset) if whole is None else whole[offset:]
        with _readable(key):
            tail = decode_tail(line)
        return complete_head(head, tail), head_bytes, tail

    def read_items(self, task_id: str, offset: int, length: int) -> list[Item]:
        """Return the items of one chunk.

        Args:
            task_id: id of the job.
            offset: start of the items in the request object, in bytes.
            length: length of the items, in bytes.

        Raises:
            ObjectMissingError: the object does not exist.
            UnreadableError: the object is damaged.
        """
        key = keys.request_object(task_id)
        data = self._bucket.get(key, offset, length)
        with _readable(key):
            return decode_items(data)

    def upload_bundle(self, task_id: str, upload: Upload) -> Uploaded:
        """Write a bundle atomically from a stream.

        Raises:
            UploadAbandonedError: the upload's ``keep_going`` or ``confirm`` returned False.
        """
        return self._bucket.upload(keys.bundle_object(task_id), upload)

    def read_bundle_digest(self, task_id: str) -> Uploaded | None:
        """Return the size and the SHA-256 of a job's bundle, or None if there is none.

        The bundle is read piece by piece.
        """
        try:
            return self._bucket.digest(keys.bundle_object(task_id))
        except ObjectMissingError:
            return None

    def write_result(self, task_id: str, result: Result) -> None:
        """Write a job's result record."""
        self._bucket.put(keys.result_object(task_id), msgspec.json.encode(result), _JSON)

    def read_result(self, task_id: str) -> Result | None:
        """Return a job's result record, or None if there is none.

        Raises:
            UnreadableError: the record is damaged.
            NewerVersionError: a newer release wrote the record.
        """
        return self._read(keys.result_object(task_id), Result)

    def write_callback(self, task_id: str, record: CallbackRecord) -> None:
        """Write a job's callback record."""
        self._bucket.put(keys.callback_object(task_id), msgspec.json.encode(record), _JSON)

    def read_callback(self, task_id: str) -> CallbackRecord | None:
        """Return a job's callback record, or None if there is none.

        Raises:
            UnreadableError: the record is damaged.
            NewerVersionError: a newer release wrote the record.
        """
        return self._read(keys.callback_object(task_id), CallbackRecord)

    def delete_result(self, task_id: str) -> None:
        """Delete a job's result record; a missing record is not an error."""
        self._bucket.delete(keys.result_object(task_id))

    def delete_end(self, task_id: str) -> None:
        """Delete a job's result and callback records, before the job is reopened."""
        self.delete_result(task_id)
        self._bucket.delete(keys.callback_object(task_id))

    def list_jobs(self) -> Iterator[list[str]]:
        """Yield the task ids of all jobs that have objects, up to 1000 at a time."""
        return self._bucket.list_folders(keys.JOBS)

    def written_at(self, task_id: str) -> datetime | None:
        """Return the time of the last write of a job's objects; None if the job has no objects."""
        written = (when for _, when in self._bucket.list_ages(keys.objects_of(task_id)))
        return max(written, default=None)

    def delete_job(self, task_id: str) -> None:
        """Delete all objects below a job's prefix, including those with unknown names."""
        self._bucket.delete_all(keys.objects_of(task_id))

    def delete_jobs(self, task_ids: Iterable[str]) -> None:
        """Delete the objects that the service writes for these jobs, up to 1000 per request."""
        self._bucket.delete_each(key for task_id in task_ids for key in keys.all_objects(task_id))

    def abort_uploads(self, begun_before: datetime) -> None:
        """Abort uploads of requests and bundles that were begun before ``begun_before``."""
        self._bucket.abort_uploads(begun_before)

    def _read(self, key: str, kind: type[Record]) -> Record | None:
        try:
            data = self._bucket.get(key)
        except ObjectMissingError:
            return None
        with _readable(key):
            refuse_newer(version_of(data), key)
            return msgspec.json.decode(data, type=kind)


@contextmanager
def _readable(key: str) -> Iterator[None]:
    """Translate decoding errors in the block.

    Raises:
        UnreadableError: the object ``key`` cannot be decoded.
    """
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The decoder's message is left out, because it may quote the object's content.
        raise UnreadableError(f"{key} is damaged: it cannot be decoded") from error
