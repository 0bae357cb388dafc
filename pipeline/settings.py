"""Every setting of the service in one frozen type, read from the environment by entry points.

The environment variable of a field is ``QRMILL_`` and the field's name in upper case. A field
``…_file`` names a file that holds the value, so that a secret need not stand in the environment; it
is read once, with the environment, and the value is in its own field.
"""

import difflib
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Meta

from pipeline.ledger.connection import RedisUrlError, check_redis_url

PREFIX = "QRMILL_"
#: Variables with the prefix that are not the service's: the command line's own.
CLIENT_VARIABLES = frozenset({"QRMILL_URL", "QRMILL_API_KEY", "QRMILL_PROFILE"})

#: S3 User Guide, bucket naming rules, as far as a pattern tells them.
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
#: What a URI has up to its path, without a slash at its end (RFC 3986, appendix A).
_URI_CHARACTER = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_LINK_BASE = re.compile(rf"[A-Za-z]+://(?:{_URI_CHARACTER}|[\[\]])+(?:/+{_URI_CHARACTER}+)*")
#: One or more segments, such as ``/products/api/v1``; or nothing.
_PREFIX = r"^(/[A-Za-z0-9._~-]+)*$"

Positive = Annotated[int, Meta(ge=1)]
_LEAST_BODY_LIMIT = 4 * 1024 * 1024
Port = Annotated[int, Meta(ge=1, le=65_535)]


class SettingsError(Exception):
    """A setting is wrong; the message names the variable, its value and what would be right."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service's settings; each field says what it means and in which unit."""

    redis_url: Annotated[str, Meta(description="Redis or Valkey: broker, ledger, rates")] = (
        "redis://127.0.0.1:6379/0"
    )
    redis_url_file: Annotated[
        str | None, Meta(description="file that holds `QRMILL_REDIS_URL`, password and all")
    ] = None
    broker_url: Annotated[
        str | None,
        Meta(
            description="RabbitMQ as broker, such as `amqps://user:password@host:5671/vhost`; "
            "unset: Redis is the broker"
        ),
    ] = None
    broker_url_file: Annotated[
        str | None, Meta(description="file that holds `QRMILL_BROKER_URL`, password and all")
    ] = None
    s3_endpoint_url: Annotated[
        str | None, Meta(description="S3 server as API and workers reach it; unset: AWS")
    ] = None
    s3_public_endpoint_url: Annotated[
        str | None, Meta(description="S3 server as clients reach it, for download URLs")
    ] = None
    s3_region: Annotated[str, Meta(description="S3 region, part of every signature")] = "us-east-1"
    s3_addressing_style: Annotated[
        Literal["auto", "path", "virtual"],
        Meta(
            description="bucket in the path of S3's URLs, or in their host (`virtual`); `auto`: in "
            "the path where an endpoint is set or a bucket has a dot, else in the host"
        ),
    ] = "auto"
    s3_access_key_id: Annotated[
        str | None, Meta(description="S3 access key; unset: boto3's own credential chain")
    ] = None
    s3_access_key_id_file: Annotated[
        str | None, Meta(description="file that holds `QRMILL_S3_ACCESS_KEY_ID`, one a role")
    ] = None
    s3_secret_access_key: Annotated[str | None, Meta(description="S3 secret key")] = None
    s3_secret_access_key_file: Annotated[
        str | None, Meta(description="file that holds the S3 secret key")
    ] = None
    s3_sse: Annotated[
        Literal["AES256", "aws:kms", "aws:kms:dsse"] | None,
        Meta(description="encryption asked of S3 for every object; unset: the bucket's default"),
    ] = None
    s3_sse_kms_key_id: Annotated[
        str | None, Meta(description="KMS key of that, as id or ARN; unset: the account's own")
    ] = None
    s3_sse_bucket_key: Annotated[
        bool, Meta(description="whether to ask for an S3 Bucket Key with `aws:kms`: fewer calls")
    ] = False
    s3_checksum: Annotated[
        Literal["md5", "crc32", "sha256"],
        Meta(
            description="checksum of every body: `md5`, which all servers know, or one that S3 "
            "keeps with the object"
        ),
    ] = "md5"
    bucket: Annotated[
        str, Meta(description="bucket of requests, bundles and API keys", pattern=_BUCKET)
    ] = "qrmill"
    staging_bucket: Annotated[
        str, Meta(description="bucket of rendered chunks", pattern=_BUCKET)
    ] = "qrmill-staging"
    staging: Annotated[
        Literal["zip", "object"],
        Meta(description="one staging object a chunk (`zip`) or one an item (`object`)"),
    ] = "zip"
    link_base: Annotated[
        str, Meta(description="what Digital Link URIs begin with", max_length=500)
    ] = "https://id.gs1.org"
    charset: Annotated[
        Literal["cset82", "ascii"],
        Meta(description="characters of lot and serial: GS1 set 82, or all printable ASCII"),
    ] = "cset82"
    max_items: Annotated[
        int, Meta(description="items a request may have, 100,000 at most", ge=1, le=100_000)
    ] = 5000
    max_body_bytes: Annotated[
        Annotated[int, Meta(ge=1024)] | None,
        Meta(
            description="bytes a request body may have, inflated; unset: 1 KiB an item of "
            "`QRMILL_MAX_ITEMS`, and at least 4 MiB"
        ),
    ] = None
    chunk_size: Annotated[int, Meta(description="items a chunk has", ge=1, le=10_000)] = 500
    api_prefix: Annotated[
        str,
        Meta(description="path before `/qr/bulk/`, such as `/products/api/v1`", pattern=_PREFIX),
    ] = ""
    rate_per_minute: Annotated[
        Positive, Meta(description="requests a minute of a key that has no rate of its own")
    ] = 300
    rate_per_day: Annotated[
        Positive, Meta(description="requests a day of a key that has no rate of its own")
    ] = 10_000
    long_polls: Annotated[
        int, Meta(description="polls that may wait at once in an API process", ge=0, le=10_000)
    ] = 512
    download_url_ttl: Annotated[
        int, Meta(description="seconds a download URL works", ge=1, le=604_800)
    ] = 3600
    job_ttl: Annotated[
        Positive, Meta(description="seconds an ended job is kept: request, bundle, ledger entry")
    ] = 7 * 86_400
    job_deadline: Annotated[
        Positive, Meta(description="seconds after which a job that has not ended fails")
    ] = 3600
    max_attempts: Annotated[
        Positive, Meta(description="times a chunk is begun before it is given up")
    ] = 6
    max_backlog: Annotated[
        Positive, Meta(description="messages that may wait; beyond it, requests are answered 503")
    ] = 20_000
    max_retries: Annotated[
        int, Meta(description="times a chunk or bundle that failed is tried again", ge=0)
    ] = 3
    retry_backoff: Annotated[
        Positive, Meta(description="milliseconds before the first retry, doubling up to a minute")
    ] = 5000
    heartbeat_timeout: Annotated[
        int,
        Meta(description="seconds of silence after which a worker counts as dead", ge=5),
    ] = 15
    lease: Annotated[
        int,
        Meta(
            description="seconds after which an attempt at a chunk or callback, or a bundler, "
            "counts as dead",
            ge=1,
        ),
    ] = 60
    callback_http: Annotated[
        bool, Meta(description="whether callbacks may go to `http` URLs too")
    ] = False
    callback_networks: Annotated[
        str,
        Meta(
            description="networks that callbacks may reach although they are not public, "
            "such as `10.0.0.0/8 fd00::/8`"
        ),
    ] = ""
    upload_part_bytes: Annotated[
        int, Meta(description="bytes of a multipart upload's part", ge=5 * 1024 * 1024)
    ] = 5 * 1024 * 1024
    metrics_port: Annotated[
        Port | None, Meta(description="port at which Prometheus finds this part; unset: none")
    ] = None
    metrics_host: Annotated[
        str, Meta(description="address that the metrics port is bound to", min_length=1)
    ] = "127.0.0.1"
    log_format: Annotated[Literal["json", "text"], Meta(description="form of log lines")] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least level logged")
    ] = "info"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings of ``environ``; variables that are not there keep their defaults.

        Raises:
            SettingsError: a value is wrong, or a file cannot be read.
        """
        values = {
            field: environ[variable(field)]
            for field in cls.__struct_fields__
            if environ.get(variable(field))
        }
        values |= _values_in_files(values)
        try:
            settings = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(_name_the_variable(str(error), values)) from None
        settings.check()
        return settings

    def __repr__(self) -> str:
        # Passwords and keys are among the values; none of them belongs into a log or a traceback.
        return f"<{type(self).__name__}>"

    def check(self) -> None:
        """Check what a type cannot say.

        Raises:
            SettingsError: a URL has the wrong form, or a key has no secret.
        """
        for field in ("s3_endpoint_url", "s3_public_endpoint_url", "link_base"):
            _check_url(field, getattr(self, field), {"http", "https"})
        try:
            check_redis_url(self.redis_url)
        except RedisUrlError as error:
            raise SettingsError(f"{variable('redis_url')} is {error}.") from None
        self._check_broker_url()
        if not _LINK_BASE.fullmatch(self.link_base):
            raise SettingsError(
                f"{variable('link_base')} is {self.link_base!r}: drop the slash at its end, the "
                "query and the fragment, and percent-encode what a URI cannot have: %20 is a space."
            )
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise SettingsError(
                f"{variable('s3_access_key_id')} and {variable('s3_secret_access_key')} (or their "
                f"files, {variable('s3_access_key_id_file')} and "
                f"{variable('s3_secret_access_key_file')}) belong together: set both or neither."
            )
        self._check_encryption()
        self.allowed_networks()

    def _check_broker_url(self) -> None:
        _check_url("broker_url", self.broker_url, {"amqp", "amqps"})
        if self.broker_url is not None:
            try:
                _check_amqp_query(self.broker_url)
            except ValueError as error:
                raise SettingsError(f"{variable('broker_url')} cannot be read: {error}.") from None

    def _check_encryption(self) -> None:
        """Check what S3 would refuse (S3 User Guide, "Using server-side encryption with KMS")."""
        if self.s3_sse_kms_key_id and self.s3_sse not in {"aws:kms", "aws:kms:dsse"}:
            raise SettingsError(
                f"{variable('s3_sse_kms_key_id')} is {self.s3_sse_kms_key_id!r}: it goes with "
                f"{variable('s3_sse')}=aws:kms or aws:kms:dsse."
            )
        if self.s3_sse_bucket_key and self.s3_sse != "aws:kms":
            raise SettingsError(
                f"{variable('s3_sse_bucket_key')} is true: it goes with "
                f"{variable('s3_sse')}=aws:kms alone."
            )

    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return the networks that callbacks may reach although they are not public.

        Raises:
            SettingsError: one of them is not a network.
        """
        words = self.callback_networks.replace(",", " ").split()
        try:
            return tuple(map(ip_network, words))
        except ValueError as error:
            raise SettingsError(
                f"{variable('callback_networks')} is {self.callback_networks!r}: {error}; write "
                "networks as 10.0.0.0/8, with spaces or commas between them."
            ) from None

    @property
    def lease_ms(self) -> int:
        """The lease, in milliseconds."""
        return self.lease * 1000

    @property
    def deadline_ms(self) -> int:
        """The deadline of jobs, in milliseconds from their acceptance."""
        return self.job_deadline * 1000

    @property
    def job_ttl_ms(self) -> int:
        """How long an ended job is kept, in milliseconds."""
        return self.job_ttl * 1000

    @property
    def heartbeat_timeout_ms(self) -> int:
        """The silence after which a worker counts as dead, in milliseconds."""
        return self.heartbeat_timeout * 1000

    def body_limit(self) -> int:
        """Return how many bytes a request body may have.

        An item with the longest values, each character of them escaped, takes less than 0.4 KiB,
        so that a request of ``max_items`` fits however it is written.
        """
        return self.max_body_bytes or max(_LEAST_BODY_LIMIT, 1024 * self.max_items)


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each ``QRMILL_`` variable that no setting reads: most are mistyped."""
    known = {variable(field) for field in Settings.__struct_fields__} | CLIENT_VARIABLES
    sentences = []
    for name in sorted(set(environ) - known):
        if name.startswith(PREFIX):
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            sentences.append(f"{name} is set, but there is no such setting.{hint}")
    return sentences


def _values_in_files(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the fields whose ``…_file`` is among ``values``."""
    found = {}
    for field, path in values.items():
        stem = field.removesuffix("_file")
        if stem == field:
            continue
        if stem in values:
            raise SettingsError(f"{variable(stem)} and {variable(field)} are both set: drop one.")
        try:
            found[stem] = Path(path).read_text("utf-8").strip()
        except OSError as error:
            reason = f"{error.strerror}: {error.filename!r}"
            raise SettingsError(f"{variable(field)}: {reason}.") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{variable(field)}: {path!r} is not text in UTF-8.") from None
        if not found[stem]:
            raise SettingsError(f"{variable(field)}: {path!r} is empty.")
    return found


def _name_the_variable(message: str, values: Mapping[str, str]) -> str:
    reason, _, path = message.rpartition(" - at `$.")
    field = path.rstrip("`")
    return f"{variable(field)} is {values.get(field)!r}: {reason}."


def _check_url(field: str, url: str | None, schemes: set[str]) -> None:
    if url is None:
        return
    wanted = " or ".join(f"{scheme}://host:port" for scheme in sorted(schemes))
    shown = url.split("@")[-1]  # whatever stands before may be a password
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes and parts.port != 0
        if known and parts.hostname and not parts.fragment:
            return
    except ValueError:  # a port that is no number, or a broken address
        pass
    raise SettingsError(f"{variable(field)} is {shown!r}: it has to be {wanted}.")


def _check_amqp_query(url: str) -> None:
    """Check the query of a URL of RabbitMQ: the parameters of pika's ``URLParameters``.

    Raises:
        ValueError: it says which parameter is wrong, and not its value, which may be a secret.
    """
    import pika  # noqa: PLC0415 - needed by few, and slow

    address, _, query = url.partition("?")
    if "@" in query:
        raise ValueError("a ? in its password is written %3F, an @ in its query %40")
    for name, value in parse_qsl(query, keep_blank_values=True):
        try:
            pika.URLParameters(f"{address}?{urlencode({name: value})}")
        except (ValueError, TypeError, SyntaxError, OSError) as error:
            raise ValueError(f"pika's URLParameters does not take its {name!r}") from error
