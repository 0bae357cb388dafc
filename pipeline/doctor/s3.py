"""The check-up of S3: credentials, buckets, signatures, multipart uploads, URLs, the clock."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3

from pipeline.doctor.check import Check, Finding, compare_clocks
from pipeline.doctor.s3_advice import AS_A_WORKER, advice_on
from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import Storage
from pipeline.storage.credentials import CredentialsExpiry
from pipeline.storage.multipart_upload import Upload, UploadAbandonedError

_BYTES = 1024
_URL_SECONDS = 60
_TIMEOUT = 10  # seconds
_ERROR_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_GRANT = (
    "Let a worker's credentials get, put, delete and list objects in this bucket, and make and "
    f"abort multipart uploads. {AS_A_WORKER}"
)


def s3_checks(settings: Settings, storage: Storage) -> Iterator[Check]:
    """Yield the checks of S3; what it refuses is explained by its code.

    Args:
        settings: where it is.
        storage: as the service opens it.
    """

    def explain(error: StoreUnavailableError, otherwise: str) -> str:
        return advice_on(error, settings, otherwise)

    for check in _checks(settings, storage):
        yield check._replace(explain=explain)


def _checks(settings: Settings, storage: Storage) -> Iterator[Check]:
    bucket, region = storage.bucket, settings.s3_region
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
    yield Check("s3 credentials", lambda: credentials(storage.credentials), away, needed=True)
    for each in (bucket, storage.staging_bucket):
        name = each.name
        yield Check(f"s3 bucket {name}", partial(there, each, where, region), away, needed=True)
        yield Check(f"s3 objects {name}", partial(objects, each), _GRANT)
    if settings.s3_sse is not None:
        yield Check("s3 encryption", partial(encryption, bucket, settings.s3_sse), _GRANT)
    yield Check("s3 multipart", lambda: multipart(bucket), _GRANT)
    fetch = partial(download_url, bucket, storage.public_bucket, url_advice)
    yield Check("s3 download URL", fetch, _GRANT)
    yield Check("s3 clock", lambda: clock(bucket), away)


def credentials(expiry: CredentialsExpiry) -> Finding:
    """Say what requests are signed with, and for how long that lasts."""
    name, left = "s3 credentials", expiry.seconds_left()
    if expiry.method is None:
        advice = "Set QRMILL_S3_ACCESS_KEY_ID and its secret, or give this machine a role."
        return Finding(name, "fail", "there are none", advice)
    if expiry.unknown:
        found = f"a session token ({expiry.method}) of which nobody knows when it ends"
        advice = (
            "Download URLs may end before their time. Use a role that boto3 renews, or set "
            "AWS_CREDENTIAL_EXPIRATION beside AWS_SESSION_TOKEN."
        )
        return Finding(name, "warn", found, advice)
    if left is None:
        return Finding(name, "ok", f"keys ({expiry.method})")
    return Finding(name, "ok", f"{expiry.method}, good for {left / 60:.0f} min and then renewed")


def there(bucket: Bucket, where: str, region: str) -> Finding:
    """Say whether the bucket is there, and in the region that download URLs are signed for."""
    name = f"s3 bucket {bucket.name}"
    try:
        headers = _headers(bucket)
    except ObjectMissingError:
        advice = (
            f"Create the bucket {bucket.name!r} at {where}, or correct QRMILL_BUCKET and "
            "QRMILL_STAGING_BUCKET; if it is there, the server wants it elsewhere in the URL: "
            "QRMILL_S3_ADDRESSING_STYLE."
        )
        return Finding(name, "fail", "there is no such bucket", advice)
    server = headers.get("server", "a server without a name")
    home = headers.get("x-amz-bucket-region", region)
    if home != region:
        advice = f"Set QRMILL_S3_REGION={home}: download URLs signed for {region} do not work."
        return Finding(name, "fail", f"it is in {home}, and QRMILL_S3_REGION is {region}", advice)
    return Finding(name, "ok", f"there, at {where} ({server})")


def _headers(bucket: Bucket) -> dict[str, str]:
    try:
        return bucket.headers()
    except StoreUnavailableError as error:
        if error.code.isdecimal():  # an answer to HEAD has no body that says why
            next(bucket.list_keys(keys.checkup_object()), None)
        raise


def encryption(bucket: Bucket, asked: str) -> Finding:
    """Write a small object and look whether it is encrypted as was asked."""
    name, key = "s3 encryption", keys.checkup_object()
    try:
        bucket.put(key, b"x")
        headers = bucket.object_headers(key)
    finally:
        bucket.delete(key)
    found = headers.get("x-amz-server-side-encryption", "none")
    by = headers.get("x-amz-server-side-encryption-aws-kms-key-id", "")
    if found == asked:
        return Finding(name, "ok", f"{found} {by}".rstrip())
    advice = "This server does not do what QRMILL_S3_SSE asks: unset it, or use one that does."
    return Finding(name, "fail", f"{asked} was asked for, {found} is there", advice)


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
