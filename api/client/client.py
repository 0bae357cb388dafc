"""The Python client: ``Client`` submits requests, waits for tasks and downloads their bundles."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Self, Unpack
from urllib.parse import quote

import httpx
import msgspec

from api.client.api_keys import Keys
from api.client.arguments import check_url
from api.client.download import Download
from api.client.errors import (
    ApiError,
    QrmillError,
)
from api.client.pagination import CHUNKS_A_PAGE, TASKS_A_PAGE, Filters, parameters, rows
from api.client.submit import (
    BULK,
    CsvSource,
    Form,
    Options,
    Submitted,
    dry_run,
    opened,
    rewound,
    submit,
)
from api.client.transport import Api, Backoff, decode
from api.client.wait import FOR_PROGRESS, FOR_THE_END, LongPoll, wait
from api.schemas.lists import ChunkList, ChunkResponse, TaskList, TaskSummary
from api.schemas.tasks import BulkItem, DryRun, TaskStatus


class Client:
    """A client of the API. Threads may share it.

    What fails for now is tried again with full-jitter back-off, never before the API asked for it:
    connections that break, 429, 502, 503, 504, and 409 while another request with the same
    Idempotency-Key is handled. A key that has no request left in its window waits for the next.

    Example::

        with Client("http://127.0.0.1:8080", api_key) as client:
            task = client.submit(gtin="9506000134352", items=[{"lot": "LOT-7", "serial": "A1"}])
            client.wait(task.task_id)
            client.download(task.task_id, "bundle.zip")

    Args:
        url: where the API is, with the prefix of its paths if it has one.
        api_key: sent to the API and to nobody else.
        timeout: seconds to wait for a connection, and for each piece of an answer.
        attempts: how often a request is sent at most; a download counts only those that bring it
            no further.
        patience: seconds that the attempts of one request, and the pauses between, may take; one
            that nothing is answered to is given up two seconds later.
        on_failure: told of each failure after which a request is sent again.
        sleep: waits for seconds.
        clock: tells seconds, from any start.

    Attributes:
        keys: API keys, for operators.

    Raises:
        ValueError: the URL or the key cannot be right.
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
        self._http = httpx.Client(base_url=url)
        self._timeout = timeout
        self._backoff = Backoff(attempts, patience, sleep, clock, on_failure)
        self._api = Api(self._http, api_key, timeout, self._backoff)
        self.keys = Keys(self._api)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def submit(
        self,
        *,
        gtin: str,
        items: Iterable[BulkItem | Mapping[str, str | None]],
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Submitted:
        """Send a request. One in a file is sent with ``client.submit(**json.load(file))``.

        Args:
            gtin: of all items.
            items: one symbol each, with ``lot``, ``serial`` and ``expiry`` where it has them.
            idempotency_key: one that is kept with the order makes sure that it is rendered once,
                even if this program ends before it knows the task; else a random one is used.
            options: see ``Options``.

        Raises:
            ApiError, UnreachableError: it was not accepted, as far as is known; the error has the
                key with which it can be sent again.
            ValueError: the key is not 1 to 255 characters of visible ASCII.
        """
        body = msgspec.json.encode({"gtin": gtin, "items": [*items], **options})
        return submit(self._api, "application/json", lambda: body, {}, idempotency_key)

    def submit_csv(
        self,
        source: CsvSource,
        *,
        gtin: str,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Submitted:
        """Send a request whose items are the rows of a CSV file; else as ``submit``.

        Args:
            source: the file's path, its bytes, or a file that was opened for reading bytes; that
                is read from its beginning, once an attempt.
            gtin: of all items.
            idempotency_key: see ``submit``.
            options: see ``Options``.

        Raises:
            ApiError, UnreachableError: it was not accepted, as far as is known; the error has the
                key with which it can be sent again.
            OSError: the file cannot be read.
            ValueError: the key is not 1 to 255 characters of visible ASCII.
        """
        params = {name: str(value) for name, value in {"gtin": gtin, **options}.items()}
        with opened(source) as file:
            body = partial(rewound, file)
            return submit(self._api, "text/csv", body, params, idempotency_key)

    def submit_form(self, form: Form, *, idempotency_key: str | None = None) -> Submitted:
        """Send a request that is written already; else as ``submit``."""
        return submit(self._api, form.media_type, lambda: form.body, form.params, idempotency_key)

    def dry_run(self, form: Form) -> DryRun:
        """Return what would be refused of a request, and which symbols would be made.

        Raises:
            ApiError, UnreachableError: it cannot be read, or there was no answer.
        """
        return dry_run(self._api, form)

    def status(self, task_id: str) -> TaskStatus:
        """Return how far a task is.

        Raises:
            ApiError, UnreachableError: there is no such task, or it cannot be asked for.
        """
        return decode(self._api.send("GET", _path(task_id)), TaskStatus)

    def wait(
        self,
        task_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[TaskStatus], object] | None = None,
    ) -> TaskStatus:
        """Return a task's status once it is completed.

        Args:
            task_id: of the task.
            timeout: seconds to wait; for ever without.
            on_progress: told of every status that differs from the one before; polls for it are
                held for a second, where those that only wait for the end are held for long.

        Raises:
            TaskFailedError: it has failed.
            WaitTimeoutError: it has not ended in time.
            ApiError, UnreachableError: there is no such task, or it cannot be asked for.
        """
        held = FOR_PROGRESS if on_progress else FOR_THE_END
        poll = LongPoll(self._api, _path(task_id), self._backoff.clock, held)
        return wait(poll, self._backoff, timeout, on_progress)

    def list(self, **filters: Unpack[Filters]) -> Iterator[TaskSummary]:
        """Yield this key's tasks, the newest first.

        Args:
            filters: see ``Filters``.

        Raises:
            ApiError, UnreachableError: a filter is not valid, or a page cannot be asked for.
        """
        query = {"limit": str(TASKS_A_PAGE)} | parameters(filters)
        return rows(self._api, BULK, query, TaskList, lambda page: page.tasks)

    def chunks(self, task_id: str) -> Iterator[ChunkResponse]:
        """Yield a task's chunks in their order: how far each is, and its last error.

        Raises:
            ApiError, UnreachableError: there is no such task, or a page cannot be asked for.
        """
        path, query = f"{_path(task_id)}chunks/", {"limit": str(CHUNKS_A_PAGE)}
        return rows(self._api, path, query, ChunkList, lambda page: page.chunks)

    def download(self, task_id: str, path: str | os.PathLike[str]) -> Path:
        """Download a completed task's bundle to ``path``, which is returned.

        It is written to ``path`` with ``.part`` added, and put in place when its size and SHA-256
        are those that the API tells. What is there already, of this call or of one before that was
        interrupted, is not fetched again.

        Raises:
            DownloadError: it cannot be had now, or is not what the API says, or another download
                to ``path`` goes on.
            TaskFailedError: the task has failed.
            ApiError, UnreachableError: the task cannot be asked for.
            OSError: the file cannot be written.
        """
        target = Path(path)
        download = Download(self._http, lambda: self.status(task_id), target, self._timeout)
        download.run(self._backoff)
        return target

    def cancel(self, task_id: str) -> TaskStatus:
        """Cancel a task in flight; twice is once. Return its status.

        Raises:
            ApiError: there is no such task, or it has ended (``not_possible``).
            UnreachableError: there was no answer.
        """
        return decode(self._api.send("DELETE", _path(task_id)), TaskStatus)

    def retry(self, task_id: str) -> TaskStatus:
        """Render again what a failed task lacks. Return its status.

        Raises:
            ApiError: there is no such task, or it has not failed (``not_possible``).
            UnreachableError: there was no answer.
        """
        try:
            self._api.send("POST", f"{_path(task_id)}retry/")
        except ApiError as error:
            # An earlier attempt may have done it, and its answer was lost.
            if error.error_code != "not_possible" or error.attempts == 1:
                raise
        return self.status(task_id)


def _path(task_id: str) -> str:
    return f"{BULK}{quote(task_id, safe='')}/"
