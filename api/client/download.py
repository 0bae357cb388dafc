"""Downloads of the client: resumed where they broke, and nothing in place that is not verified."""

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx

from api.client.errors import DownloadError, TaskFailedError
from api.client.transport import Backoff, QuietURL, place, seconds_to_wait, words
from api.schemas.tasks import TaskStatus

#: The store did not take the URL: it is no longer valid, or its signer's credentials are not.
_REFUSED = frozenset({400, 401, 403})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
#: URLs in a row that may be refused before that is taken for an answer.
_MOST_REFUSALS = 3
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Source(NamedTuple):
    """A bundle: where it is for a while, and what it has to be."""

    url: str
    bytes: int
    sha256: str


class Download:
    """A bundle on its way to ``path``; what there is of it is in ``path`` with ``.part`` added.

    Args:
        http: a client whose own headers have no API key.
        look: polls the task, which signs a new URL.
        path: where the bundle is to be.
        timeout: seconds to wait for a connection, and for each piece of the bundle.
    """

    def __init__(
        self, http: httpx.Client, look: Callable[[], TaskStatus], path: Path, timeout: float
    ) -> None:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "the bundle needs the name of a file", str(path))
        self._http = http
        self._look = look
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._timeout = timeout
        self._source: Source | None = None
        self._etag: str | None = None  # of what this download has written to the part
        self._furthest = 0  # what is gained beyond is progress
        self._refusals = 0
        self._verified_wrong = False

    def run(self, backoff: Backoff) -> None:
        """Download until the bundle is there.

        Pieces that bring it further follow each other at once; without progress, ``backoff`` says
        when to try again and when to give up.

        Raises:
            DownloadError: it cannot be had, or is not what the API says, or another download to
                ``path`` goes on.
            TaskFailedError: there is no bundle.
            ApiError, UnreachableError: the task cannot be polled.
        """
        done = False
        with self._alone():
            while not done:
                source = self._source = self._source or _source(self._look())
                done = self._verified(source) if self._size() == source.bytes else False
                if not done:
                    backoff.repeat(partial(self._advance, source))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other downloads from the part for the block; an empty one does not outlive it.

        Raises:
            DownloadError: another one has it.
        """
        with self._part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._taken() from None
            except OSError:
                pass  # a file system without locks, on some networks
            # Between the two, another one may have put the part in place.
            if not self._is(file.fileno()):
                raise self._taken()
            try:
                yield
            finally:
                if self._is(file.fileno()) and not self._size():
                    self._part.unlink()

    def _is(self, descriptor: int) -> bool:
        """Return whether ``descriptor`` is of the part, as its name finds it now."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._part.stat())
        except FileNotFoundError:
            return False

    def _taken(self) -> DownloadError:
        return DownloadError(f"{self._part} is being written by another download")

    def _advance(self, source: Source) -> None:
        """Get what is missing, as far as one request brings it."""
        if self._size() > source.bytes:
            self._start_anew()
        reason = "it ended too early"
        try:
            self._request(source)
        except httpx.HTTPError as error:
            reason = words(error)
        size = self._size()
        if self._source and size <= self._furthest and size < source.bytes:
            raise DownloadError(
                f"{self._name(source)}: {size} of {source.bytes} bytes: {reason}", transient=True
            )
        self._furthest = max(size, self._furthest)

    def _request(self, source: Source) -> None:
        begin = self._size()
        request = httpx.Request(
            "GET",
            source.url,
            headers=self._headers(begin),
            extensions={"timeout": httpx.Timeout(self._timeout).as_dict()},
        )
        request.url = QuietURL(source.url)
        with closing(self._http.send(request, stream=True)) as answer:
            # `rclone serve s3` sends a range with 200 instead of 206, but says which one it is.
            if answer.is_success and "Content-Range" in answer.headers:
                self._continue(answer, begin, source)
            elif answer.status_code == HTTPStatus.OK:  # the whole, asked for or not
                self._etag = answer.headers.get("ETag")
                self._write(answer, "wb", source)
            else:
                self._refused(answer, source)

    def _headers(self, begin: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
            # A weak validator may not be used here (RFC 9110, section 13.1.5).
            if self._etag and not self._etag.startswith("W/"):
                headers["If-Range"] = self._etag
        return headers

    def _continue(self, answer: httpx.Response, begin: int, source: Source) -> None:
        """Append a range, if it is the one that is missing and of the same file."""
        etag = answer.headers.get("ETag")
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        fits = found and int(found[1]) == begin and found[2] in {"*", str(source.bytes)}
        if not fits or (self._etag and etag != self._etag):
            self._start_anew()
            raise DownloadError(
                f"{self._name(source)} changed between two ranges, or the store sent another range "
                "than was asked for",
                transient=True,
            )
        self._etag = etag
        self._write(answer, "ab", source)

    def _write(self, answer: httpx.Response, mode: str, source: Source) -> None:
        self._refusals = 0
        with self._part.open(mode) as file:
            for block in answer.iter_raw():
                file.write(block)
                if file.tell() > source.bytes:
                    raise DownloadError(f"{self._name(source)} has more than {source.bytes} bytes")

    def _refused(self, answer: httpx.Response, source: Source) -> None:
        """Decide what follows from an answer that has nothing of the bundle.

        Raises:
            DownloadError: unless a new URL may help.
        """
        status = answer.status_code
        message = f"{self._name(source)} was answered {status}"
        if status in _REFUSED and self._refusals < _MOST_REFUSALS:
            self._refusals += 1
            self._source = None
            return
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._start_anew()
        passing = status in _PASSING or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        wait = seconds_to_wait(answer.headers) or 0.0
        raise DownloadError(message, transient=passing, retry_after=wait)

    def _verified(self, source: Source) -> bool:
        """Put the whole file in place if it is right; else start once more, from nothing.

        Raises:
            DownloadError: it is wrong again.
        """
        with self._part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == source.sha256:
            self._part.replace(self._path)
            return True
        self._start_anew()
        if self._verified_wrong:
            raise DownloadError(
                f"{self._name(source)} was fetched twice, and its SHA-256 is {digest} where the "
                f"API says {source.sha256}"
            )
        self._verified_wrong = True
        self._furthest = 0
        return False

    def _start_anew(self) -> None:
        self._part.open("wb").close()  # it stays the file that is locked
        self._etag = None

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _name(self, source: Source) -> str:
        return place("GET", httpx.URL(source.url))


def _source(status: TaskStatus) -> Source:
    if status.status == "failed":
        raise TaskFailedError(status.task_id, status.error, status.error_code)
    if status.bundle is None or status.download_url is None:
        raise DownloadError(f"task {status.task_id} is {status.status}; wait for its end first")
    return Source(status.download_url, status.bundle.bytes, status.bundle.sha256)
