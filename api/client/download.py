"""Downloads of bundles: resumed after a failure, and renamed into place only after verification."""

import hashlib
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx2

from .environment import describe_proxy
from .errors import DownloadError, TaskFailedError
from .locking import LockedError, lock_file
from .target import part_of
from .transport import (
    RedactedURL,
    RetryPolicy,
    describe_error,
    describe_request,
    parse_retry_after,
)
from .wire_types import TaskStatus

#: HTTP statuses with which a store rejects a URL if the URL or its credentials have expired.
_URL_REJECTED = frozenset({400, 401, 403})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
#: Number of consecutive URLs that the store may reject before the download fails.
_MAX_REJECTED_URLS = 3
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Source(NamedTuple):
    """A bundle: its presigned URL, and the size and digest that the API reports."""

    url: str
    bytes: int
    sha256: str


class Download:
    """Downloads a bundle to a file ``<path>.part``, and renames the complete file to ``path``.

    Args:
        http: HTTP client whose default headers have no API key.
        get_status: polls the task; each poll presigns a new URL.
        path: path of the finished bundle; not a symbolic link.
        timeout: seconds to wait for a connection, and for each piece of the bundle.
    """

    def __init__(
        self, http: httpx2.Client, get_status: Callable[[], TaskStatus], path: Path, timeout: float
    ) -> None:
        self._http = http
        self._get_status = get_status
        self._path = path
        self._part = part_of(path)
        self._timeout = timeout
        self._source: Source | None = None
        self._etag: str | None = None  # ETag of the content written to the .part file so far
        self._furthest = 0  # largest size so far; an attempt that exceeds it made progress
        self._rejected_urls = 0
        self._digest_was_wrong = False

    def run(self, policy: RetryPolicy) -> None:
        """Download until the bundle is complete.

        After a request that made progress, the next request is sent immediately. After a request
        without progress, ``policy`` decides when to retry and when to fail.

        Raises:
            DownloadError: the bundle is not available, differs from what the API reports, or is
                being written by another download.
            TaskFailedError: the task has failed.
            ApiError, UnreachableError: the task cannot be polled.
        """
        try:
            with lock_file(self._part):
                self._run(policy)
        except LockedError:
            raise DownloadError(f"{self._part} is being written by another download") from None

    def _run(self, policy: RetryPolicy) -> None:
        done = False
        while not done:
            source = self._source = self._source or _find_source(self._get_status())
            done = self._verify(source) if self._size() == source.bytes else False
            if not done:
                policy.call(partial(self._advance, source))

    def _advance(self, source: Source) -> None:
        """Send one request for the missing bytes.

        Raises:
            DownloadError: the request made no progress.
        """
        if self._size() > source.bytes:
            self._restart()
        reason = "the connection ended too early"
        try:
            self._request(source)
        except httpx2.HTTPError as error:
            reason = describe_error(error)
        except ValueError as error:  # the environment names an unusable proxy for this URL
            raise DownloadError(f"{_describe(source)} failed: {error}") from None
        size = self._size()
        if self._source and size <= self._furthest and size < source.bytes:
            raise DownloadError(
                f"{_describe(source)} stopped after {size} of {source.bytes} bytes: {reason}",
                transient=True,
            )
        self._furthest = max(size, self._furthest)

    def _request(self, source: Source) -> None:
        begin = self._size()
        request = httpx2.Request(
            "GET",
            source.url,
            headers=self._headers(begin),
            extensions={"timeout": httpx2.Timeout(self._timeout).as_dict()},
        )
        request.url = RedactedURL(source.url)
        with closing(self._http.send(request, stream=True)) as response:
            # `rclone serve s3` sends a range with 200 instead of 206, but with Content-Range.
            if response.is_success and "Content-Range" in response.headers:
                self._append(response, begin, source)
            elif response.status_code == HTTPStatus.OK:  # the whole file, requested or not
                self._etag = response.headers.get("ETag")
                self._write(response, "wb", source)
            else:
                self._handle_rejection(response, source)

    def _headers(self, begin: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
            # A weak validator must not be used here (RFC 9110, section 13.1.5).
            if self._etag and not self._etag.startswith("W/"):
                headers["If-Range"] = self._etag
        return headers

    def _append(self, response: httpx2.Response, begin: int, source: Source) -> None:
        """Append a range, if it begins at the first missing byte and belongs to the same file.

        Raises:
            DownloadError: the range does not fit; the download starts again from the first byte.
        """
        etag = response.headers.get("ETag")
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        fits = found and int(found[1]) == begin and found[2] in {"*", str(source.bytes)}
        if not fits or (self._etag and etag != self._etag):
            self._restart()
            raise DownloadError(
                f"{_describe(source)} changed between two requests, or the store returned a range "
                "that was not requested",
                transient=True,
            )
        self._etag = etag
        self._write(response, "ab", source)

    def _write(self, response: httpx2.Response, mode: str, source: Source) -> None:
        self._rejected_urls = 0
        with self._part.open(mode) as file:
            for block in response.iter_raw():
                file.write(block)
                if file.tell() > source.bytes:
                    raise DownloadError(f"{_describe(source)} has more than {source.bytes} bytes")

    def _handle_rejection(self, response: httpx2.Response, source: Source) -> None:
        """Handle an error response: discard a rejected URL, so that a new one is requested.

        Raises:
            DownloadError: the error does not concern the URL, or too many URLs were rejected.
        """
        status = response.status_code
        if status in _URL_REJECTED and self._rejected_urls < _MAX_REJECTED_URLS:
            self._rejected_urls += 1
            self._source = None
            return
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._restart()
        raise DownloadError(
            f"{_describe(source)}{describe_proxy(response)} returned status {status}",
            transient=status in {*_TRANSIENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE},
            retry_after=parse_retry_after(response.headers) or 0.0,
        )

    def _verify(self, source: Source) -> bool:
        """Rename the file into place if its digest is right; otherwise download again, once.

        Returns True if the digest was right.

        Raises:
            DownloadError: the digest is wrong for the second time.
        """
        with self._part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == source.sha256:
            self._part.replace(self._path)
            return True
        self._restart()
        if self._digest_was_wrong:
            raise DownloadError(
                f"{_describe(source)} was downloaded twice, and its SHA-256 is {digest}; the API "
                f"reports {source.sha256}"
            )
        self._digest_was_wrong = True
        self._furthest = 0
        return False

    def _restart(self) -> None:
        self._part.open("wb").close()  # truncated instead of deleted: the lock may be on this file
        self._etag = None

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0


def _describe(source: Source) -> str:
    return describe_request("GET", httpx2.URL(source.url))


def _find_source(status: TaskStatus) -> Source:
    if status.status == "failed":
        raise TaskFailedError(status.task_id, status.error, status.error_code)
    if status.bundle is None or status.download_url is None:
        raise DownloadError(
            f"task {status.task_id} is {status.status}; wait until the task is completed"
        )
    try:
        httpx2.URL(status.download_url)
    except httpx2.InvalidURL:  # the exception's message may show a part of the URL, a secret
        raise DownloadError(f"the download URL of task {status.task_id} is malformed") from None
    return Source(status.download_url, status.bundle.bytes, status.bundle.sha256)
