"""The check-up of S3: buckets, signatures, multipart uploads, download URLs, the clock."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3

from pipeline import keys
from pipeline.checkup import Check, Finding, compare_clocks
from pipeline.settings import Settings
from pipeline.store import (
    Bucket,
    ObjectMissingError,
    Upload,
    UploadAbandonedError,
)

_BYTES = 1024
_URL_SECONDS = 60
_TIMEOUT = 10  # seconds
_ERROR_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_GRANT = (
    "Let the access key of QRMILL_S3_ACCESS_KEY_ID get, put, delete and list objects in this "
    "bucket, and make and abort multipart uploads."
)


def s3_checks(
    settings: Settings, bucket: Bucket, staging_bucket: Bucket, public_bucket: Bucket
) -> Iterator[Check]:
    """Yield the checks of S3.

    Args:
        settings: where it is.
        bucket: as the service reaches it.
        staging_bucket: as the service reaches it.
        public_bucket: as clients reach it.
    """
    where = settings.s3_endpoint_url or "AWS"
    away = (
        f"See that S3 answers at {where}, and that QRMILL_S3_ACCESS_KEY_ID, its secret and "
        "QRMILL_S3_REGION are right; 403 means that a signature was refused."
    )
    outside = settings.s3_public_endpoint_url or where
    url_advice = (
        f"Clients download from {outside} (QRMILL_S3_PUBLIC_ENDPOINT_URL, else "
        "QRMILL_S3_ENDPOINT_URL): a proxy there has to pass path, query and Host on unchanged, "
        "for the signature covers them."
    )
    for each in (bucket, staging_bucket):
        yield Check(f"s3 bucket {each.name}", _there(each, where), away, needed=True)
        yield Check(f"s3 objects {each.name}", _objects(each), _GRANT)
    yield Check("s3 multipart", lambda: multipart(bucket), _GRANT)
    yield Check("s3 download URL", lambda: download_url(bucket, public_bucket, url_advice), _GRANT)
    yield Check("s3 clock", lambda: clock(bucket), away)


def _there(bucket: Bucket, where: str) -> Callable[[], Finding]:
    return lambda: there(bucket, where)


def _objects(bucket: Bucket) -> Callable[[], Finding]:
    return lambda: objects(bucket)


def there(bucket: Bucket, where: str) -> Finding:
    """Say whether the bucket is there."""
    name = f"s3 bucket {bucket.name}"
    try:
        server = bucket.headers().get("server", "a server without a name")
    except ObjectMissingError:
        advice = f"Create the bucket {bucket.name!r} at {where}, or correct QRMILL_BUCKET and "
        return Finding(name, "fail", "there is no such bucket", f"{advice}QRMILL_STAGING_BUCKET.")
    return Finding(name, "ok", f"there, at {where} ({server})")


def objects(bucket: Bucket) -> Finding:
    """Write, read and remove a small object."""
    name, key, content = f"s3 objects {bucket.name}", keys.checkup_object(), os.urandom(_BYTES)
    try:
        bucket.put(key, content)
        same = bucket.get(key) == content
    finally:
        bucket.delete(key)
    if not same:
        return Finding(name, "fail", "what was read is not what was written", _GRANT)
    if _exists(bucket, key):
        return Finding(name, "fail", "what was deleted can still be read", _GRANT)
    return Finding(name, "ok", "written, read and deleted; the signatures were taken")


def multipart(bucket: Bucket) -> Finding:
    """Complete a small multipart upload and remove it; begin another and abort it."""
    key, content = keys.checkup_object(), os.urandom(_BYTES)
    try:
        bucket.upload(key, Upload([content], _BYTES, lambda: True))
        same = bucket.get(key) == content
    finally:
        bucket.delete(key)
    try:
        bucket.upload(key, Upload([content], _BYTES, lambda: False))
    except UploadAbandonedError:
        same = same and not _exists(bucket, key)
    if same:
        return Finding("s3 multipart", "ok", "one completed, one aborted")
    return Finding("s3 multipart", "fail", "what was uploaded cannot be read as it was", _GRANT)


def download_url(bucket: Bucket, public_bucket: Bucket, advice: str) -> Finding:
    """Fetch a presigned URL as clients do."""
    name, key, content = "s3 download URL", keys.checkup_object(), os.urandom(_BYTES)
    try:
        bucket.put(key, content)
        url = public_bucket.presign(key, seconds=_URL_SECONDS, filename="checkup.zip")
        said = _fetched(url, content)
    finally:
        bucket.delete(key)
    host = urlsplit(url).hostname
    if said is not None:
        return Finding(name, "fail", f"{urlsplit(url).netloc} {said}", advice)
    if host in _LOOPBACK:
        found = f"fetched from {urlsplit(url).netloc}, which no other machine can reach"
        return Finding(name, "warn", found, advice)
    return Finding(name, "ok", f"fetched from {urlsplit(url).netloc}")


def clock(bucket: Bucket) -> Finding:
    """Compare its clock, by which signatures are judged, with this machine's."""
    date = bucket.headers().get("date")
    if date is None:
        return Finding(
            "s3 clock", "warn", "S3 does not say its time", "Compare the clocks by hand."
        )
    ahead = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    return compare_clocks("s3 clock", ahead + 0.5)  # its fraction of a second was cut off


def _exists(bucket: Bucket, key: str) -> bool:
    try:
        bucket.get(key)
    except ObjectMissingError:
        return False
    return True


def _fetched(url: str, content: bytes) -> str | None:
    """Return why a URL did not give ``content``; None if it did. The URL is a secret."""
    with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
        try:
            answer = pool.request("GET", url, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            return f"does not answer ({type(error).__name__})"
    if answer.status != HTTPStatus.OK:
        code = _ERROR_CODE.search(answer.data)
        return f"answered {answer.status} {code[1].decode() if code else ''}".rstrip()
    return None if answer.data == content else "gave something else than was written"
