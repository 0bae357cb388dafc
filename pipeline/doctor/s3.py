"""Checks of S3: credentials, buckets, signatures, multipart uploads, download URLs, the clock."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from pipeline.doctor.check import Check, Finding, compare_clocks
from pipeline.doctor.s3_advice import AS_A_WORKER, advice_on
from pipeline.errors import ObjectExistsError, ObjectMissingError, StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import Storage
from pipeline.storage.credentials import CredentialsExpiry
from pipeline.storage.loopback import is_loopback, proxies_for
from pipeline.storage.multipart_upload import Upload, UploadAbandonedError

_BYTES = 1024
#: Least size of a part that another part follows (S3 API Reference, UploadPart).
_PART_BYTES = 5 * 1024 * 1024
_URL_SECONDS = 60
_TIMEOUT = 10  # seconds
_ERROR_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
_GRANT = (
    "Allow the worker's credentials to read, write, delete and list objects in this bucket, and to "
    f"create and abort multipart uploads. {AS_A_WORKER}"
)
_CONDITIONS = (
    "Use an S3 server that supports If-None-Match in PutObject if clients have serials drawn at "
    "random. deploy/s3.md (Conditional writes) describes what may happen without it; a server that "
    "rejects the condition cannot accept such requests."
)
_BROKEN = "Check the log of the S3 server, and any proxy or cache in front of it."


def s3_checks(settings: Settings, storage: Storage) -> Iterator[Check]:
    """Yield the checks of S3; the advice of a failed check depends on the error code of S3.

    Args:
        settings: settings with the endpoint, the buckets and the credentials.
        storage: storage as the service opens it.
    """

    def explain(error: StoreUnavailableError, otherwise: str) -> str:
        return advice_on(error, settings, otherwise)

    for check in _checks(settings, storage):
        yield check._replace(explain=explain)


def _checks(settings: Settings, storage: Storage) -> Iterator[Check]:
    bucket, region = storage.bucket, settings.s3_region
    where = settings.s3_endpoint_url or "AWS"
    unreachable = (
        f"Check that this machine can reach S3 at {where}, and that QRMILL_S3_ACCESS_KEY_ID, "
        "QRMILL_S3_SECRET_ACCESS_KEY and QRMILL_S3_REGION are right. 403 means that S3 rejected "
        "the signature."
    )
    outside = settings.s3_public_endpoint_url or where
    url_advice = (
        f"Clients download from {outside} (QRMILL_S3_PUBLIC_ENDPOINT_URL, or "
        "QRMILL_S3_ENDPOINT_URL if that is not set). A proxy there must forward the path, the "
        "query and the Host header unchanged, because the signature covers them."
    )
    yield Check(
        "s3 credentials", lambda: credentials(storage.credentials), unreachable, required=True
    )
    for each in (bucket, storage.staging_bucket):
        name = each.name
        yield Check(
            f"s3 bucket {name}", partial(exists, each, where, region), unreachable, required=True
        )
        yield Check(f"s3 objects {name}", partial(objects, each), _GRANT)
    if settings.s3_sse is not None:
        yield Check("s3 encryption", partial(encryption, bucket, settings.s3_sse), _GRANT)
    yield Check("s3 conditional writes", partial(conditional_writes, bucket), _CONDITIONS)
    yield Check("s3 multipart", lambda: multipart(bucket), _GRANT)
    fetch = partial(download_url, bucket, storage.public_bucket, url_advice)
    yield Check("s3 download URL", fetch, _GRANT)
    yield Check("s3 clock", lambda: clock(bucket), unreachable)


def credentials(expiry: CredentialsExpiry) -> Finding:
    """Report the credentials that sign requests, and how long they are valid."""
    name, left = "s3 credentials", expiry.seconds_left()
    if expiry.method is None:
        advice = (
            "Set QRMILL_S3_ACCESS_KEY_ID and QRMILL_S3_SECRET_ACCESS_KEY, or give this machine a "
            "role."
        )
        return Finding(name, "fail", "no credentials were found", advice)
    if expiry.unknown:
        found = f"a session token ({expiry.method}) with an unknown expiry time"
        advice = (
            "Download URLs may expire early. Use a role, whose credentials boto3 renews, or set "
            "AWS_CREDENTIAL_EXPIRATION in addition to AWS_SESSION_TOKEN."
        )
        return Finding(name, "warn", found, advice)
    if left is None:
        return Finding(name, "ok", f"access keys without an expiry time ({expiry.method})")
    return Finding(name, "ok", f"{expiry.method}, valid for {left / 60:.0f} min, then renewed")


def exists(bucket: Bucket, where: str, region: str) -> Finding:
    """Check that the bucket exists, in the region for which download URLs are signed."""
    name = f"s3 bucket {bucket.name}"
    try:
        headers = _headers(bucket)
    except ObjectMissingError:
        advice = (
            f"Create the bucket {bucket.name!r} at {where}, or correct QRMILL_BUCKET and "
            "QRMILL_STAGING_BUCKET. If the bucket exists, the server expects its name in another "
            "place of the URL: change QRMILL_S3_ADDRESSING_STYLE."
        )
        return Finding(name, "fail", "the bucket does not exist", advice)
    server = headers.get("server", "unknown server")
    home = headers.get("x-amz-bucket-region", region)
    if home != region:
        found = f"the bucket is in region {home}, but QRMILL_S3_REGION is {region}"
        advice = f"Set QRMILL_S3_REGION={home}. Download URLs signed for {region} do not work."
        return Finding(name, "fail", found, advice)
    return Finding(name, "ok", f"exists at {where} ({server})")


def _headers(bucket: Bucket) -> dict[str, str]:
    try:
        return bucket.headers()
    except StoreUnavailableError as error:
        if error.code.isdecimal():  # a HEAD response has no error code; list to get one
            next(bucket.list_keys(keys.checkup_object()), None)
        raise


def encryption(bucket: Bucket, requested: str) -> Finding:
    """Write a small object and check that it is encrypted as requested."""
    name, key = "s3 encryption", keys.checkup_object()
    try:
        bucket.put(key, b"x")
        headers = bucket.object_headers(key)
    finally:
        bucket.delete(key)
    found = headers.get("x-amz-server-side-encryption", "none")
    by = headers.get("x-amz-server-side-encryption-aws-kms-key-id", "")
    if found == requested:
        return Finding(name, "ok", f"{found} {by}".rstrip())
    advice = "This server ignores QRMILL_S3_SSE. Unset it, or use a server that supports it."
    return Finding(name, "fail", f"requested {requested}, but the encryption is {found}", advice)


def objects(bucket: Bucket) -> Finding:
    """Write, read and delete a small object."""
    name, key, content = f"s3 objects {bucket.name}", keys.checkup_object(), os.urandom(_BYTES)
    try:
        bucket.put(key, content)
        same = bucket.get(key) == content
    finally:
        bucket.delete(key)
    if not same:
        return Finding(
            name, "fail", "an object that was read differs from what was written", _BROKEN
        )
    if _exists(bucket, key):
        return Finding(name, "fail", "an object can still be read after its deletion", _BROKEN)
    return Finding(name, "ok", "an object was written, read and deleted")


def conditional_writes(bucket: Bucket) -> Finding:
    """Check that an object is not overwritten by a write under ``If-None-Match: *``."""
    name, key = "s3 conditional writes", keys.checkup_object()
    try:
        bucket.put(key, b"x")
        bucket.put_once(key, b"y", "text/plain")
    except ObjectExistsError:
        return Finding(name, "ok", "an object was not overwritten")
    finally:
        bucket.delete(key)
    return Finding(name, "warn", "the server ignores If-None-Match", _CONDITIONS)


def multipart(bucket: Bucket) -> Finding:
    """Complete an upload of two parts and delete the object; then abort another upload."""
    key, content = keys.checkup_object(), bytes(_PART_BYTES) + os.urandom(_BYTES)
    try:
        bucket.upload(key, Upload([content], _PART_BYTES, lambda: True))
        same = bucket.get(key) == content
    finally:
        bucket.delete(key)
    try:
        bucket.upload(key, Upload([content], _PART_BYTES, lambda: False))
    except UploadAbandonedError:
        same = same and not _exists(bucket, key)
    if same:
        return Finding("s3 multipart", "ok", "one upload completed, one aborted")
    found = "a completed upload differs from what was written, or an aborted one left an object"
    return Finding("s3 multipart", "fail", found, _BROKEN)


def download_url(bucket: Bucket, public_bucket: Bucket, advice: str) -> Finding:
    """Fetch an object by a presigned URL, as clients do."""
    name, key, content = "s3 download URL", keys.checkup_object(), os.urandom(_BYTES)
    try:
        bucket.put(key, content)
        url = public_bucket.presign(key, seconds=_URL_SECONDS, filename="checkup.zip")
        error = _fetch_error(url, content)
    finally:
        bucket.delete(key)
    if error is not None:
        return Finding(name, "fail", f"{urlsplit(url).netloc} {error}", advice)
    if is_loopback(url):
        found = f"fetched from {urlsplit(url).netloc}, which no other machine can reach"
        advice = (
            "Set QRMILL_S3_PUBLIC_ENDPOINT_URL to the URL at which clients reach S3, unless all "
            "clients run on this machine."
        )
        return Finding(name, "warn", found, advice)
    return Finding(name, "ok", f"fetched from {urlsplit(url).netloc}")


def clock(bucket: Bucket) -> Finding:
    """Compare this machine's clock with the clock of S3, by which S3 validates signatures."""
    date = bucket.headers().get("date")
    if date is None:
        found = "the response of S3 has no Date header"
        return Finding("s3 clock", "warn", found, "Compare the clocks of both machines by hand.")
    ahead = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    return compare_clocks("s3 clock", ahead + 0.5)  # the header is truncated to whole seconds


def _exists(bucket: Bucket, key: str) -> bool:
    try:
        bucket.get(key)
    except ObjectMissingError:
        return False
    return True


class _NoRedirects(HTTPRedirectHandler):
    """Treats a redirect as an error: the signature of a URL is valid only for the URL's host."""

    def redirect_request(self, *_: object) -> None:
        """Return None, so that the redirect is not followed."""


def _fetch_error(url: str, content: bytes) -> str | None:
    """Return why a URL did not return ``content``, or None if it did.

    The message does not contain the URL, because the signature in the URL is a secret. Like
    clients, the doctor fetches the URL through a proxy of the environment, unless the URL has a
    loopback address.
    """
    opener = build_opener(ProxyHandler(proxies_for(url)), _NoRedirects())
    try:
        with opener.open(url, timeout=_TIMEOUT) as response:
            found = response.read()
    except HTTPError as error:
        code = _ERROR_CODE.search(error.read())
        return f"returned {error.code} {code[1].decode() if code else ''}".rstrip()
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return f"did not respond ({type(reason).__name__})"
    return None if found == content else "returned other content than was written"
