"""A job's objects in S3: the request, the bundle, how it ended, and how its callback ended.

This is their one reader and writer. Whoever writes an object twice writes the same bytes at the
same key, or bytes that supersede them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import msgspec

from pipeline.errors import ObjectMissingError, UnreadableError
from pipeline.model.jobs import Item
from pipeline.model.records import CallbackRecord, RequestHead, Result
from pipeline.model.request_object import decode_head, decode_items
from pipeline.model.versions import refuse_newer, version_of
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.multipart_upload import Upload, Uploaded

_JSON = "application/json"
#: Bytes up to which a request object is one PUT, and bytes of a part of a longer one.
_ONE_PUT = 8 * 1024 * 1024
#: Bytes of a request object that are read for its head; four times as many while that is short.
_HEAD_BYTES = 1 << 16

Record = TypeVar("Record", Result, CallbackRecord)


class JobRecords:
    """Reads, writes and removes the objects of jobs.

    Every method raises:
        StoreUnavailableError: try again later.

    Args:
        bucket: the main bucket.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def write_request(
        self, task_id: str, pieces: Sequence[bytes], keep_going: Callable[[], bool]
    ) -> None:
        """Write a request object; a long one in parts, so that it is not held twice.

        Args:
            task_id: the job.
            pieces: the head's line, then the items of each chunk.
            keep_going: asked before each part of a long one.

        Raises:
            UploadAbandonedError: ``keep_going`` returned False.
        """
        key = keys.request_object(task_id)
        if sum(map(len, pieces)) <= _ONE_PUT:
            self._bucket.put(key, b"".join(pieces), _JSON)
        else:
            self._bucket.upload(key, Upload(pieces, _ONE_PUT, keep_going, _JSON))

    def delete_request(self, task_id: str) -> None:
        """Remove a request object; it is no error if there is none."""
        self._bucket.delete(keys.request_object(task_id))

    def read_head(self, task_id: str) -> tuple[RequestHead, int]:
        """Return the head of a request object, and its size in bytes.

        Raises:
            ObjectMissingError: there is no such object.
            UnreadableError: it is damaged.
            NewerVersionError: a newer release has written it.
        """
        key, size = keys.request_object(task_id), _HEAD_BYTES
        while b"\n" not in (data := self._bucket.get_start(key, size)):
            if len(data) < size:
                raise UnreadableError(f"{key} has no whole head")
            size *= 4
        line, _, _ = data.partition(b"\n")
        with _readable(key):
            refuse_newer(version_of(line), key)
            return decode_head(line), len(line) + 1

    def read_items(self, task_id: str, offset: int, length: int) -> list[Item]:
        """Return the items of one chunk.

        Args:
            task_id: the job.
            offset: where they begin in the request object, in bytes.
            length: in bytes.

        Raises:
            ObjectMissingError: there is no such object.
            UnreadableError: it is damaged.
        """
        key = keys.request_object(task_id)
        data = self._bucket.get(key, offset, length)
        with _readable(key):
            return decode_items(data)

    def upload_bundle(self, task_id: str, upload: Upload) -> Uploaded:
        """Write a bundle from a stream, whole or not at all.

        Raises:
            UploadAbandonedError: the upload's ``keep_going`` returned False.
        """
        return self._bucket.upload(keys.bundle_object(task_id), upload)

    def write_result(self, task_id: str, result: Result) -> None:
        """Record how a job ended."""
        self._bucket.put(keys.result_object(task_id), msgspec.json.encode(result), _JSON)

    def read_result(self, task_id: str) -> Result | None:
        """Return how a job ended for good; None when there is no record of that.

        Raises:
            UnreadableError: the record is damaged.
            NewerVersionError: a newer release has written it.
        """
        return self._read(keys.result_object(task_id), Result)

    def write_callback(self, task_id: str, record: CallbackRecord) -> None:
        """Record how a job's callback ended."""
        self._bucket.put(keys.callback_object(task_id), msgspec.json.encode(record), _JSON)

    def read_callback(self, task_id: str) -> CallbackRecord | None:
        """Return how a job's callback ended; None when there is no record of that.

        Raises:
            UnreadableError: the record is damaged.
            NewerVersionError: a newer release has written it.
        """
        return self._read(keys.callback_object(task_id), CallbackRecord)

    def delete_end(self, task_id: str) -> None:
        """Remove the records of how a job and its callback ended, before it is opened again."""
        self._bucket.delete(keys.result_object(task_id))
        self._bucket.delete(keys.callback_object(task_id))

    def list_jobs(self) -> Iterator[list[str]]:
        """Yield the task ids of all jobs that have objects, up to 1000 at a time."""
        return self._bucket.list_folders(keys.JOBS)

    def written_at(self, task_id: str) -> datetime | None:
        """Return when the latest of a job's objects was written; None when it has none."""
        written = (when for _, when in self._bucket.list_ages(keys.objects_of(task_id)))
        return max(written, default=None)

    def delete_job(self, task_id: str) -> None:
        """Remove every object of a job, whatever it is called."""
        self._bucket.delete_all(keys.objects_of(task_id))

    def delete_jobs(self, task_ids: Iterable[str]) -> None:
        """Remove the objects that the service writes of jobs, in few requests."""
        self._bucket.delete_each(key for task_id in task_ids for key in keys.all_objects(task_id))

    def abort_uploads(self, begun_before: datetime) -> None:
        """Abort uploads of requests and bundles that were begun long ago."""
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
    """Decode what the object ``key`` holds, in the block.

    Raises:
        UnreadableError: it cannot be decoded.
    """
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not the decoder's message: it may quote what is there.
        raise UnreadableError(f"{key} is not what was written there") from error
