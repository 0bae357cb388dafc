"""The Python client: ``Client`` submits requests, waits for tasks and downloads their bundles."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Self, Unpack, overload
from urllib.parse import quote

import msgspec

from .api_keys import Keys
from .arguments import check_options, check_url
from .download import Download
from .errors import NOT_POSSIBLE, ApiError, QrmillError
from .pagination import CHUNKS_PER_PAGE, TASKS_PER_PAGE, Filters, encode_filters, iterate_rows
from .submit import (
    BULK,
    CsvSource,
    Form,
    Options,
    SubmitOptions,
    Submitted,
    dry_run,
    encode_params,
    open_source,
    rewind,
    submit,
)
from .target import BundleTarget, copy_to_stream, open_target
from .transport import Api, RetryPolicy, check_deleted, decode, open_http
from .wait import FOR_PROGRESS, FOR_THE_END, LongPoll, wait
from .wire_types import (
    BulkItem,
    ChunkList,
    ChunkResponse,
    DryRun,
    Serials,
    TaskList,
    TaskStatus,
    TaskSummary,
)


class Client:
    """A client of the API. Thread-safe.

    The client retries transient failures with full-jitter backoff, and honours Retry-After.
    Transient failures are broken connections, the statuses 429, 502, 503 and 504, and 409 while
    another request with the same Idempotency-Key is in flight. If the key has no requests left in
    its rate window, the client waits for the next window.

    Example::

        with Client("http://127.0.0.1:8080", api_key) as client:
            task = client.submit(gtin="9506000134352", items=[{"lot": "LOT-7", "serial": "A1"}])
            client.wait(task.task_id)
            client.download(task.task_id, "bundle.zip")

    Args:
        url: URL of the API, including a path prefix if it has one.
        api_key: sent only to the API.
        timeout: seconds to wait for a connection, and for each piece of a response.
        attempts: maximum number of attempts per request; in a download, only attempts without
            progress count.
        patience: seconds that the attempts of one request and the pauses between them may take;
            the last attempt may wait for a silent server two seconds longer.
        on_failure: called with each error that is followed by another attempt.
        sleep: sleeps for a number of seconds.
        clock: returns seconds since any fixed time.

    Attributes:
        keys: management of API keys, for operators, and of webhook secrets.

    Raises:
        ValueError: the URL or the key is malformed, or an environment variable names an unusable
            proxy or unusable certificates.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout: float = 30.0,
        attempts: int = 8,
        patience: float = 300.0,
        on_failure: Callable[[QrmillError], object] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_url(url)
        self._http = open_http(url)
        self._timeout = timeout
        self._policy = RetryPolicy(attempts, patience, sleep, clock, on_failure)
        self._api = Api(self._http, api_key, timeout, self._policy)
        self.keys = Keys(self._api)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        *,
        gtin: str | None = None,
        items: Iterable[BulkItem | Mapping[str, object]] | None = None,
        serials: Serials | Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Submitted:
        """Submit a request. To submit a JSON file, call ``client.submit(**json.load(file))``.

        Args:
            gtin: GTIN shared by all items; None if every item has one.
            items: one per symbol, each with any fields of ``BulkItem``.
            serials: in place of ``items``, the serial numbers that the service makes; the options
                may then have the other fields of the items.
            idempotency_key: key of the request; None for a random key. If you store the key with
                your order, the order is rendered only once, even if your program ends before it
                receives the task id.
            options: see ``SubmitOptions``.

        Raises:
            ApiError: the request was rejected.
            UnreachableError: the API did not respond, and may have accepted the request; submit
                again with the error's ``idempotency_key``.
            ValueError: the key is not 1 to 255 characters of visible ASCII, or an option is not a
                finite number.
        """
        check_options(options)
        content = {
            "gtin": gtin,
            "items": None if items is None else [*items],
            "serials": serials,
        }
        given = {name: value for name, value in content.items() if value is not None}
        body = msgspec.json.encode({**given, **options})
        return submit(self._api, "application/json", lambda: body, {}, idempotency_key)

    def submit_csv(
        self,
        source: CsvSource,
        *,
        gtin: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Submitted:
        """Submit a request whose items are the rows of a CSV file; otherwise like ``submit``.

        Args:
            source: path, bytes, or a seekable file opened in binary mode, which is read from its
                beginning in every attempt.
            gtin: GTIN shared by all items; None if the file has a column ``gtin``.
            idempotency_key: see ``submit``.
            options: see ``Options``.

        Raises:
            ApiError: the request was rejected.
            UnreachableError: the API did not respond, and may have accepted the request.
            OSError: the file cannot be read.
            ValueError: the key is not 1 to 255 characters of visible ASCII, or an option is not a
                finite number.
        """
        check_options(options)
        shared = {} if gtin is None else {"gtin": gtin}
        params = encode_params({**shared, **options})
        with open_source(source) as file:
            body = partial(rewind, file)
            return submit(self._api, "text/csv", body, params, idempotency_key)

    def submit_form(self, form: Form, *, idempotency_key: str | None = None) -> Submitted:
        """Submit an encoded request; otherwise like ``submit``."""
        return submit(self._api, form.media_type, lambda: form.body, form.params, idempotency_key)

    def dry_run(self, form: Form) -> DryRun:
        """Validate a request without submitting it; return the invalid values and its symbols.

        Raises:
            ApiError: the request cannot be parsed.
            UnreachableError: the API did not respond.
        """
        return dry_run(self._api, form)

    def status(self, task_id: str) -> TaskStatus:
        """Return the state and progress of a task.

        Raises:
            ApiError: the task does not exist.
            UnreachableError: the API did not respond.
        """
        return decode(self._api.send("GET", _path(task_id)), TaskStatus)

    def wait(
        self,
        task_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[TaskStatus], object] | None = None,
    ) -> TaskStatus:
        """Wait until a task is completed, and return its status.

        Args:
            task_id: UUID of the task.
            timeout: seconds to wait; None for no limit.
            on_progress: called with every status that differs from the previous one; the service
                then holds each poll for at most one second.

        Raises:
            TaskFailedError: the task has failed.
            WaitTimeoutError: the task has not ended in time.
            ApiError: the task does not exist.
            UnreachableError: the API did not respond.
        """
        held = FOR_PROGRESS if on_progress else FOR_THE_END
        poll = LongPoll(self._api, _path(task_id), self._policy.clock, held)
        return wait(poll, self._policy, timeout, on_progress)

    def list(self, **filters: Unpack[Filters]) -> Iterator[TaskSummary]:
        """Yield the tasks of this key's tenant, or of all for an operator, newest first.

        Args:
            filters: see ``Filters``.

        Raises:
            ApiError: a filter is invalid.
            UnreachableError: the API did not respond.
        """
        query = {"limit": str(TASKS_PER_PAGE)} | encode_filters(filters)
        return iterate_rows(self._api, BULK, query, TaskList, lambda page: page.tasks)

    def chunks(self, task_id: str) -> Iterator[ChunkResponse]:
        """Yield a task's chunks in order, each with its state and last error.

        Raises:
            ApiError: the task does not exist.
            UnreachableError: the API did not respond.
        """
        path, query = f"{_path(task_id)}chunks/", {"limit": str(CHUNKS_PER_PAGE)}
        return iterate_rows(self._api, path, query, ChunkList, lambda page: page.chunks)

    @overload
    def download(self, task_id: str, path: str | os.PathLike[str]) -> Path: ...

    @overload
    def download(self, task_id: str, path: BinaryIO) -> None: ...

    def download(self, task_id: str, path: BundleTarget) -> Path | None:
        """Download a completed task's bundle to ``path``, and return the path.

        The bundle is written to a file named ``path`` with ``.part`` appended. The file is
        renamed to ``path`` when its size and SHA-256 are those that the API reports. A call that
        was interrupted leaves the ``.part`` file, and the next call downloads only the rest.
        Symbolic links are followed.

        ``path`` may also be a FIFO, a character device or a file opened in binary mode. The bundle
        is then downloaded to a temporary file, verified, and copied. For an open file, None is
        returned.

        Raises:
            DownloadError: the bundle is not available, differs from what the API reports, or is
                being written by another download.
            TaskFailedError: the task has failed.
            ApiError: the task does not exist.
            UnreachableError: the API did not respond.
            OSError: the path cannot be written, or is neither a file, a FIFO nor a character
                device. As far as possible, this is checked before the download starts.
        """
        with open_target(path) as place:
            if isinstance(place, Path):
                self._download(task_id, place)
            else:
                with TemporaryDirectory(prefix="qrmill-") as folder:
                    file = Path(folder, "bundle.zip")
                    self._download(task_id, file)
                    copy_to_stream(file, place)
        return Path(path) if isinstance(path, (str, os.PathLike)) else None

    def _download(self, task_id: str, file: Path) -> None:
        Download(self._http, lambda: self.status(task_id), file, self._timeout).run(self._policy)

    def cancel(self, task_id: str) -> TaskStatus:
        """Cancel a task in flight, and return its status. Idempotent.

        Raises:
            ApiError: the task does not exist, or has ended (``not_possible``).
            UnreachableError: the API did not respond.
        """
        return decode(self._api.send("DELETE", _path(task_id)), TaskStatus)

    def purge(self, task_id: str) -> None:
        """Delete a task that has ended: its bundle, its request and its records. Idempotent.

        Raises:
            ApiError: the task does not exist, or is in flight (``not_possible``).
            UnreachableError: the API did not respond.
        """
        path = _path(task_id)
        check_deleted(self._api.send("DELETE", path, params={"purge": "true"}))

    def retry(self, task_id: str) -> TaskStatus:
        """Run a failed task again, rendering only its missing chunks, and return its status.

        Raises:
            ApiError: the task does not exist, or has not failed (``not_possible``).
            UnreachableError: the API did not respond.
        """
        try:
            self._api.send("POST", f"{_path(task_id)}retry/")
        except ApiError as error:
            # An earlier attempt may have succeeded although its response was lost.
            if error.error_code != NOT_POSSIBLE or error.attempts == 1:
                raise
        return self.status(task_id)


def _path(task_id: str) -> str:
    return f"{BULK}{quote(task_id, safe='')}/"
