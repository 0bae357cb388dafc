"""The S3 clients of a process: made here alone, with one set of credentials and one clock.

How long a call takes with an S3 that accepts connections and never answers is the product of two
numbers: seconds to wait for a response, and attempts. Whoever waits decides. Workers and the sweep
have time: three attempts of ten seconds. The API has a client waiting who would rather try again:
two attempts of three seconds. Its probes, and what it has to undo after a timeout, use a fail-fast
client: one attempt of two seconds, with the credentials and the clock of the other one.
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
from pipeline.storage.write_options import object_headers

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_CONNECT_TIMEOUT = 2  # seconds
_ATTEMPTS = 3


class Storage(NamedTuple):
    """The buckets, and what signs for them.

    Attributes:
        bucket: of requests, bundles and API keys.
        staging_bucket: of staged chunks.
        public_bucket: the first one at the address at which clients reach it; for signing alone.
        client: what the first two ask with.
        clock_skew: the correction of the clock that all of them sign by.
        credentials: with which all of them sign.
        session: which has them.
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
    """Return the storage that ``settings`` name; connections are made when first used.

    Without keys in the settings, boto3 looks for credentials: in the environment, in its files, a
    web identity token (``AWS_ROLE_ARN``, ``AWS_WEB_IDENTITY_TOKEN_FILE``), a container's endpoint,
    an instance's role (Boto3 documentation, "Credentials").

    Args:
        settings: addresses, region, keys, encryption.
        read_timeout: seconds to wait for a response.
        attempts: how often a request is sent that gets no response, or a transient error.
        sharing: a storage of the same settings whose credentials and clock this one uses.

    Raises:
        SettingsError: boto3's own configuration is wrong, or names credentials that cannot be had.
    """
    with _explained():
        session = sharing.session if sharing else _open_session(settings)
        credentials = session.get_credentials()
    # The client for URLs never gets a response, so it shares what the other one observes.
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
    """Return an S3 client; it is safe to share between threads.

    Signature version 4 is set by hand because presigned URLs would be signed with version 2, and
    checksums are computed when required, because a ranged read would else be compared with the
    whole object's and older servers know no others. The region's own endpoint is used in
    ``us-east-1`` too: the global one answers for young buckets elsewhere with redirects (S3 User
    Guide, "Request redirection").
    """
    config = Config(
        # Put together anew for each request, botocore's own took a fifth of a small request's CPU.
        user_agent=f"qrmill/{version('qrmill')}",
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=32,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={
            "addressing_style": _addressing_style(settings),
            "us_east_1_regional_endpoint": "regional",
        },
    )
    client: S3Client = session.client("s3", endpoint_url=endpoint_url, config=config)
    # As the file that botocore makes of it, a body would wait for the server's 100 (Continue)
    # (RFC 9110, section 10.1.1) and go out in pieces of 16 KiB. Parts of uploads may do so.
    client.meta.events.unregister(
        "before-parameter-build.s3.PutObject", convert_body_to_file_like_object
    )
    return client


def _public_endpoint(settings: Settings, client: "S3Client") -> str:
    """Return where clients reach S3.

    Of AWS that is the region's own endpoint, said outright: without one botocore signs URLs for the
    global endpoint, whose redirects into the region a signature does not survive
    (``botocore.signers._should_use_global_endpoint``).
    """
    return settings.s3_public_endpoint_url or settings.s3_endpoint_url or client.meta.endpoint_url


def _addressing_style(settings: Settings) -> Literal["path", "virtual"]:
    """Return where the bucket stands in a URL.

    At AWS it stands in the host, which is what AWS wants, unless it has a dot, which no certificate
    matches (S3 User Guide, "Virtual hosting of general purpose buckets"). Other servers have often
    no names for buckets.
    """
    if settings.s3_addressing_style != "auto":
        return settings.s3_addressing_style
    other = settings.s3_endpoint_url or settings.s3_public_endpoint_url
    dotted = "." in f"{settings.bucket}{settings.staging_bucket}"
    return "path" if other or dotted else "virtual"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, OSError) as error:
        raise SettingsError(
            f"The S3 credentials cannot be had ({error}): set QRMILL_S3_ACCESS_KEY_ID and its "
            "secret, or correct the AWS_ variables and files that boto3 reads."
        ) from error
