"""The S3 clients of a process, with shared credentials and a shared clock correction.

All S3 clients are created in this module. If S3 accepts connections and never responds, a call
takes the read timeout multiplied by the number of attempts. Each role chooses both numbers:

- Workers and the sweep can wait: three attempts of ten seconds.
- The API has to respond soon, and its callers can retry: two attempts of three seconds.
- The API's health checks, and its cleanup after a timeout, use a fail-fast client: one attempt of
  two seconds. This client shares the credentials and the clock correction of the API's other one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.handlers import convert_body_to_file_like_object

from pipeline.settings import Settings, SettingsError
from pipeline.storage.bucket import Bucket
from pipeline.storage.clock_skew import ClockSkew
from pipeline.storage.credentials import CredentialsExpiry
from pipeline.storage.loopback import is_loopback, proxies_for
from pipeline.storage.write_options import object_headers

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_CONNECT_TIMEOUT = 2  # seconds
_ATTEMPTS = 3


class Storage(NamedTuple):
    """The buckets, and the client and credentials that they use.

    Attributes:
        bucket: the main bucket, for requests, bundles and API keys.
        staging_bucket: the bucket for staged chunks.
        public_bucket: the main bucket at its public endpoint; used only to sign download URLs.
        client: client of ``bucket`` and ``staging_bucket``.
        clock_skew: clock correction for the signatures of all three.
        credentials: expiry of the credentials of all three.
        session: boto3 session that holds the credentials.
    """

    bucket: Bucket
    staging_bucket: Bucket
    public_bucket: Bucket
    client: "S3Client"
    clock_skew: ClockSkew
    credentials: CredentialsExpiry
    session: boto3.session.Session


def open_storage(
    settings: Settings,
    *,
    read_timeout: int,
    attempts: int = _ATTEMPTS,
    sharing: Storage | None = None,
) -> Storage:
    """Return the storage for ``settings``; connections are opened on first use.

    Without keys in the settings, boto3 searches for credentials: in the environment, in its files,
    by a web identity token (``AWS_ROLE_ARN``, ``AWS_WEB_IDENTITY_TOKEN_FILE``), at a container's
    endpoint, and by an instance's role (Boto3 documentation, "Credentials").

    Args:
        settings: endpoints, region, access keys and encryption.
        read_timeout: seconds to wait for a response.
        attempts: number of attempts for a request that gets no response or a transient error.
        sharing: storage with the same settings, whose credentials and clock correction to use.

    Raises:
        SettingsError: boto3's own configuration is invalid, or the credentials cannot be loaded.
    """
    with _as_settings_error():
        session = sharing.session if sharing else _open_session(settings)
        credentials = session.get_credentials()
    # The public client sends no request, so it uses the clock skew that the other client observes.
    clock_skew = sharing.clock_skew if sharing else ClockSkew()
    patience = {"read_timeout": read_timeout, "attempts": attempts}
    client = connect_s3(session, settings, endpoint_url=settings.s3_endpoint_url, **patience)
    public_client = connect_s3(
        session, settings, endpoint_url=_public_endpoint(settings, client), **patience
    )
    clock_skew.attach(client)
    clock_skew.attach(public_client)
    headers = object_headers(settings)
    return Storage(
        bucket=Bucket(client, settings.bucket, headers),
        staging_bucket=Bucket(client, settings.staging_bucket, headers),
        public_bucket=Bucket(public_client, settings.bucket),
        client=client,
        clock_skew=clock_skew,
        credentials=CredentialsExpiry(credentials, clock_skew),
        session=session,
    )


def _open_session(settings: Settings) -> boto3.session.Session:
    return boto3.session.Session(
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        region_name=settings.s3_region,
    )


def connect_s3(
    session: boto3.session.Session,
    settings: Settings,
    *,
    endpoint_url: str | None,
    read_timeout: int,
    attempts: int = _ATTEMPTS,
) -> "S3Client":
    """Return an S3 client, which is safe to share between threads.

    The client differs from boto3's defaults in four points:

    - Signature version 4 is explicit, because presigned URLs would be signed with version 2.
    - Checksums are only computed and validated when required. Otherwise a ranged read would be
      compared with the checksum of the whole object, and older servers would reject the newer
      checksums.
    - The regional endpoint is used in ``us-east-1`` too. The global endpoint returns redirects for
      recently created buckets of other regions (S3 User Guide, "Request redirection").
    - A loopback endpoint is reached directly, and not through a proxy of the environment.
    """
    config = Config(
        # Building botocore's own user agent per request took a fifth of a small request's CPU time.
        user_agent=f"qrmill/{version('qrmill')}",
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=32,
        proxies=proxies_for(endpoint_url),
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={
            "addressing_style": _addressing_style(settings),
            "us_east_1_regional_endpoint": "regional",
        },
    )
    client: S3Client = session.client("s3", endpoint_url=endpoint_url, config=config)
    found = client.meta.endpoint_url
    if endpoint_url is None and is_loopback(found):  # of boto3's variables, as AWS_ENDPOINT_URL
        patience = {"read_timeout": read_timeout, "attempts": attempts}
        return connect_s3(session, settings, endpoint_url=found, **patience)
    # botocore converts bodies to files. Before sending a file, it waits for the server's 100
    # (Continue) (RFC 9110, section 10.1.1), and then sends the file in pieces of 16 KiB. PutObject
    # therefore sends the bytes as they are; only the parts of multipart uploads are still files.
    client.meta.events.unregister(
        "before-parameter-build.s3.PutObject", convert_body_to_file_like_object
    )
    return client


def _public_endpoint(settings: Settings, client: "S3Client") -> str:
    """Return the endpoint at which clients of the service reach S3.

    For AWS, this is the explicit regional endpoint. Without an explicit endpoint, botocore signs
    URLs for the global one (``botocore.signers._should_use_global_endpoint``). The global endpoint
    redirects to the region, where the signature is invalid.
    """
    return settings.s3_public_endpoint_url or settings.s3_endpoint_url or client.meta.endpoint_url


def _addressing_style(settings: Settings) -> Literal["path", "virtual"]:
    """Return ``path`` or ``virtual``: the bucket is in the path or in the host of URLs.

    The setting decides unless it is ``auto``. At AWS, the bucket is in the host, as AWS recommends.
    A bucket name with a dot is in the path, because no TLS certificate matches such a host (S3 User
    Guide, "Virtual hosting of general purpose buckets"). For other servers, the bucket is in the
    path, because many of them have no host name per bucket.
    """
    if settings.s3_addressing_style != "auto":
        return settings.s3_addressing_style
    other = settings.s3_endpoint_url or settings.s3_public_endpoint_url
    dotted = "." in f"{settings.bucket}{settings.staging_bucket}"
    return "path" if other or dotted else "virtual"


@contextmanager
def _as_settings_error() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, OSError) as error:
        raise SettingsError(
            f"The S3 credentials cannot be loaded ({error}): set QRMILL_S3_ACCESS_KEY_ID and "
            "QRMILL_S3_SECRET_ACCESS_KEY, or correct the AWS_ variables and files that boto3 reads."
        ) from error
