"""All settings of the service in one frozen type, which entry points read from the environment.

The environment variable of a field is ``QRMILL_`` followed by the field's name in upper case. A
field ``NAME_file`` is the path of a file with the value of the field ``NAME``, so that a secret
does not have to be in the environment. The file is read once, together with the environment, and
its content becomes the value of ``NAME``.
"""

import difflib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Meta

from pipeline.ledger.connection import RedisUrlError, check_redis_url
from pipeline.origins import parse_origins
from render.errors import InvalidValueError
from render.gs1.link_base import MAX_LINK_BASE, check_link_base

PREFIX = "QRMILL_"
#: Variables with the prefix that configure the command line and not the service.
CLIENT_VARIABLES = frozenset({"QRMILL_URL", "QRMILL_API_KEY", "QRMILL_PROFILE"})

#: Bucket naming rules (S3 User Guide), as far as a pattern can express them.
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
#: One or more path segments, such as ``/products/api/v1``, or nothing.
_PREFIX = r"^(/[A-Za-z0-9._~-]+)*$"

Positive = Annotated[int, Meta(ge=1)]
_LEAST_BODY_LIMIT = 4 * 1024 * 1024
Port = Annotated[int, Meta(ge=1, le=65_535)]


class SettingsError(Exception):
    """Raised when a setting is invalid; the message names the variable, its value and the fix."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the service; each description states the meaning and the unit."""

    redis_url: Annotated[
        str, Meta(description="URL of Redis or Valkey, used as broker, ledger and rate limiter")
    ] = "redis://127.0.0.1:6379/0"
    redis_url_file: Annotated[
        str | None,
        Meta(description="file with the value of `QRMILL_REDIS_URL`, including its password"),
    ] = None
    broker_url: Annotated[
        str | None,
        Meta(
            description="URL of RabbitMQ as the broker, such as "
            "`amqps://user:password@host:5671/vhost`; unset: Redis as the broker"
        ),
    ] = None
    broker_url_file: Annotated[
        str | None,
        Meta(description="file with the value of `QRMILL_BROKER_URL`, including its password"),
    ] = None
    s3_endpoint_url: Annotated[
        str | None, Meta(description="S3 endpoint for API, workers and sweep; unset: AWS")
    ] = None
    s3_public_endpoint_url: Annotated[
        str | None,
        Meta(
            description="S3 endpoint for clients, part of every download URL; unset: the endpoint "
            "of the service"
        ),
    ] = None
    s3_region: Annotated[str, Meta(description="S3 region, part of every signature")] = "us-east-1"
    s3_addressing_style: Annotated[
        Literal["auto", "path", "virtual"],
        Meta(
            description="position of the bucket name in S3 URLs: `path`, `virtual` (host name) or "
            "`auto` (path with a custom endpoint or a dot in a bucket name, "
            "otherwise host name)"
        ),
    ] = "auto"
    s3_access_key_id: Annotated[
        str | None, Meta(description="S3 access key ID; unset: boto3's credential chain")
    ] = None
    s3_access_key_id_file: Annotated[
        str | None, Meta(description="file with the S3 access key ID, one per role")
    ] = None
    s3_secret_access_key: Annotated[str | None, Meta(description="S3 secret access key")] = None
    s3_secret_access_key_file: Annotated[
        str | None, Meta(description="file with the S3 secret access key, one per role")
    ] = None
    s3_sse: Annotated[
        Literal["AES256", "aws:kms", "aws:kms:dsse"] | None,
        Meta(
            description="server-side encryption for every object: `AES256`, `aws:kms` or "
            "`aws:kms:dsse`; unset: the bucket's default"
        ),
    ] = None
    s3_sse_kms_key_id: Annotated[
        str | None,
        Meta(
            description="ID or ARN of the KMS key for `aws:kms` and `aws:kms:dsse`; unset: the AWS "
            "managed key of the account"
        ),
    ] = None
    s3_sse_bucket_key: Annotated[
        bool, Meta(description="S3 Bucket Key with `aws:kms`, for fewer KMS requests")
    ] = False
    s3_checksum: Annotated[
        Literal["md5", "crc32", "sha256"],
        Meta(
            description="checksum of every upload: `md5` (supported by every server), `crc32` or "
            "`sha256` (stored by S3 with the object)"
        ),
    ] = "md5"
    bucket: Annotated[
        str,
        Meta(
            description="bucket for requests, bundles, API keys and webhook secrets",
            pattern=_BUCKET,
        ),
    ] = "qrmill"
    staging_bucket: Annotated[
        str, Meta(description="bucket for staged chunks", pattern=_BUCKET)
    ] = "qrmill-staging"
    staging: Annotated[
        Literal["zip", "object"],
        Meta(
            description="layout of staged chunks: one object per chunk (`zip`) or one per item "
            "(`object`)"
        ),
    ] = "zip"
    link_base: Annotated[
        str, Meta(description="beginning of the Digital Link URIs", max_length=MAX_LINK_BASE)
    ] = "https://id.gs1.org"
    charset: Annotated[
        Literal["cset82", "ascii"],
        Meta(
            description="characters accepted in lot and serial: GS1 character set 82 (`cset82`) or "
            "all printable ASCII (`ascii`)"
        ),
    ] = "cset82"
    max_items: Annotated[
        int,
        Meta(description="maximum number of items per request, up to 100,000", ge=1, le=100_000),
    ] = 5000
    max_body_bytes: Annotated[
        Annotated[int, Meta(ge=1024)] | None,
        Meta(
            description="maximum size of a request body in bytes, after decompression; unset: 1 "
            "KiB per item of `QRMILL_MAX_ITEMS`, at least 4 MiB"
        ),
    ] = None
    chunk_size: Annotated[
        int, Meta(description="number of items per chunk, up to 10,000", ge=1, le=10_000)
    ] = 500
    verify: Annotated[
        Literal["on", "off"],
        Meta(description="verification of every symbol before its chunk is staged: `on` or `off`"),
    ] = "on"
    api_prefix: Annotated[
        str,
        Meta(
            description="path prefix of the API and the console, such as `/products/api/v1`",
            pattern=_PREFIX,
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        Meta(
            description="origins of browser applications that may use `/qr/` and `/openapi.json`, "
            "such as `https://app.example.com`, separated by spaces; unset: none"
        ),
    ] = ""
    rate_per_minute: Annotated[
        Positive, Meta(description="requests per minute for an API key without a rate of its own")
    ] = 300
    rate_per_day: Annotated[
        Positive, Meta(description="requests per day for an API key without a rate of its own")
    ] = 10_000
    items_per_minute: Annotated[
        int, Meta(description="items per minute for an API key without a limit; 0: no limit", ge=0)
    ] = 0
    items_per_day: Annotated[
        int, Meta(description="items per day for an API key without a limit; 0: no limit", ge=0)
    ] = 0
    long_polls: Annotated[
        int,
        Meta(
            description="maximum number of simultaneous long polls per API process", ge=0, le=10_000
        ),
    ] = 512
    keep_alive: Annotated[
        int,
        Meta(
            description="seconds for which the API keeps an idle connection open; longer than the "
            "idle time of the proxy or load balancer before it",
            ge=1,
            le=86_400,
        ),
    ] = 75
    download_url_ttl: Annotated[
        int,
        Meta(
            description="lifetime of a download URL in seconds, up to 604,800 (7 days)",
            ge=1,
            le=604_800,
        ),
    ] = 3600
    job_ttl: Annotated[
        Positive,
        Meta(description="retention of an ended job in seconds: request, bundle and ledger entry"),
    ] = 7 * 86_400
    job_deadline: Annotated[
        Positive,
        Meta(description="time limit of a job in seconds, from its acceptance"),
    ] = 3600
    max_attempts: Annotated[
        Positive,
        Meta(
            description="maximum number of attempts per chunk, including attempts of workers that "
            "died"
        ),
    ] = 6
    max_backlog: Annotated[
        Positive,
        Meta(
            description="number of waiting messages that tenants share; over half of it, 429 for a "
            "tenant over its share; over all of it, 503 for that tenant"
        ),
    ] = 20_000
    max_retries: Annotated[
        int, Meta(description="maximum number of retries of a failed chunk or bundle", ge=0)
    ] = 3
    retry_backoff: Annotated[
        Positive,
        Meta(
            description="delay before the first retry in milliseconds, doubled for each retry up "
            "to a minute"
        ),
    ] = 5000
    heartbeat_timeout: Annotated[
        int,
        Meta(description="seconds without a heartbeat until a worker counts as dead", ge=5),
    ] = 15
    lease: Annotated[
        int,
        Meta(
            description="seconds until an attempt at a chunk, a bundle or a webhook counts as dead",
            ge=1,
        ),
    ] = 60
    callback_http: Annotated[
        bool, Meta(description="permission for webhooks to `http` URLs, in addition to `https`")
    ] = False
    callback_networks: Annotated[
        str,
        Meta(description="non-public networks open to webhooks, such as `10.0.0.0/8 fd00::/8`"),
    ] = ""
    upload_part_bytes: Annotated[
        int,
        Meta(
            description="size of a part of a multipart upload in bytes, at least 5 MiB",
            ge=5 * 1024 * 1024,
        ),
    ] = 5 * 1024 * 1024
    metrics_port: Annotated[
        Port | None, Meta(description="port of the role's Prometheus endpoint; unset: no metrics")
    ] = None
    metrics_host: Annotated[
        str, Meta(description="bind address of the Prometheus endpoint", min_length=1)
    ] = "127.0.0.1"
    log_format: Annotated[
        Literal["json", "text"], Meta(description="format of log lines: `json` or `text`")
    ] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="minimum log level: `debug`, `info`, `warning` or `error`"),
    ] = "info"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings in ``environ``; fields without a variable keep their defaults.

        Raises:
            SettingsError: a value is invalid, or a file cannot be read.
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
        # The values include passwords and keys, which must not appear in a log or a traceback.
        return f"<{type(self).__name__}>"

    def check(self) -> None:
        """Check the rules that the field types cannot express.

        Raises:
            SettingsError: a URL is malformed, or an access key has no secret.
        """
        for field in ("s3_endpoint_url", "s3_public_endpoint_url"):
            _check_url(field, getattr(self, field), {"http", "https"})
        try:
            check_redis_url(self.redis_url)
        except RedisUrlError as error:
            raise SettingsError(f"{variable('redis_url')} is {error}.") from None
        self._check_broker_url()
        self._check_link_base()
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise SettingsError(
                f"{variable('s3_access_key_id')} and {variable('s3_secret_access_key')} (or their "
                f"files, {variable('s3_access_key_id_file')} and "
                f"{variable('s3_secret_access_key_file')}) must be set together or not at all."
            )
        self._check_encryption()
        self.allowed_networks()
        self.allowed_origins()

    def _check_link_base(self) -> None:
        try:
            check_link_base(self.link_base)
        except InvalidValueError as error:
            raise SettingsError(f"{variable('link_base')}: {error}") from None

    def _check_broker_url(self) -> None:
        _check_url("broker_url", self.broker_url, {"amqp", "amqps"})
        if self.broker_url is not None:
            try:
                _check_amqp_query(self.broker_url)
            except ValueError as error:
                raise SettingsError(f"{variable('broker_url')} is invalid: {error}.") from None

    def _check_encryption(self) -> None:
        """Raise an error for combinations of encryption settings that S3 would reject.

        Source: S3 User Guide, "Using server-side encryption with KMS".
        """
        if self.s3_sse_kms_key_id and self.s3_sse not in {"aws:kms", "aws:kms:dsse"}:
            raise SettingsError(
                f"{variable('s3_sse_kms_key_id')} is {self.s3_sse_kms_key_id!r}: it requires "
                f"{variable('s3_sse')}=aws:kms or aws:kms:dsse."
            )
        if self.s3_sse_bucket_key and self.s3_sse != "aws:kms":
            raise SettingsError(
                f"{variable('s3_sse_bucket_key')} is true: it requires "
                f"{variable('s3_sse')}=aws:kms."
            )

    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return the non-public networks that webhooks may reach.

        Raises:
            SettingsError: a word of ``QRMILL_CALLBACK_NETWORKS`` is not a network.
        """
        words = self.callback_networks.replace(",", " ").split()
        try:
            return tuple(map(ip_network, words))
        except ValueError as error:
            raise SettingsError(
                f"{variable('callback_networks')} is {self.callback_networks!r}: {error}; write "
                "networks as 10.0.0.0/8, separated by spaces or commas."
            ) from None

    def allowed_origins(self) -> frozenset[str]:
        """Return the origins of browser applications that may use the API.

        Raises:
            SettingsError: a word of ``QRMILL_CORS_ORIGINS`` is not an origin.
        """
        try:
            return parse_origins(self.cors_origins)
        except ValueError as error:
            raise SettingsError(f"{variable('cors_origins')}: {error}.") from None

    @property
    def lease_ms(self) -> int:
        """Lease of an attempt, in milliseconds."""
        return self.lease * 1000

    @property
    def deadline_ms(self) -> int:
        """Deadline of a job, in milliseconds from its acceptance."""
        return self.job_deadline * 1000

    @property
    def job_ttl_ms(self) -> int:
        """Retention of an ended job, in milliseconds."""
        return self.job_ttl * 1000

    @property
    def heartbeat_timeout_ms(self) -> int:
        """Time without a heartbeat until a worker counts as dead, in milliseconds."""
        return self.heartbeat_timeout * 1000

    def body_limit(self) -> int:
        """Return the maximum size of a request body, in bytes.

        The default is 1 KiB per item of ``max_items``, and at least 4 MiB. It is sufficient for
        every request of ``max_items`` items: an item takes less than 0.4 KiB, even if all values
        have the maximum length and every character is escaped.
        """
        return self.max_body_bytes or max(_LEAST_BODY_LIMIT, 1024 * self.max_items)


def variable(field: str) -> str:
    """Return the name of the environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a message for each ``QRMILL_`` variable that is not a setting but probably a typo."""
    known = {variable(field) for field in Settings.__struct_fields__} | CLIENT_VARIABLES
    messages = []
    for name in sorted(set(environ) - known):
        if name.startswith(PREFIX):
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            messages.append(f"{name} is set, but no setting has this name.{hint}")
    return messages


def _values_in_files(values: Mapping[str, str]) -> dict[str, str]:
    """Read the files that the ``…_file`` fields in ``values`` name; return the content by field."""
    found = {}
    for field, path in values.items():
        stem = field.removesuffix("_file")
        if stem == field:
            continue
        if stem in values:
            raise SettingsError(
                f"{variable(stem)} and {variable(field)} are both set: remove one of them."
            )
        try:
            found[stem] = Path(path).read_text("utf-8").strip()
        except OSError as error:
            reason = f"{error.strerror}: {error.filename!r}"
            raise SettingsError(f"{variable(field)}: {reason}.") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{variable(field)}: {path!r} is not UTF-8 text.") from None
        if not found[stem]:
            raise SettingsError(f"{variable(field)}: {path!r} is empty.")
    return found


def _name_the_variable(message: str, values: Mapping[str, str]) -> str:
    reason, _, path = message.rpartition(" - at `$.")
    field = path.rstrip("`")
    shown = values.get(field, "").split("@")[-1]  # a URL may have a password before the @
    return f"{variable(field)} is {shown!r}: {reason}."


def _check_url(field: str, url: str | None, schemes: set[str]) -> None:
    if url is None:
        return
    wanted = " or ".join(f"{scheme}://host:port" for scheme in sorted(schemes))
    shown = url.split("@")[-1]  # the text before the @ may contain a password
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes and parts.port != 0
        if known and parts.hostname and not parts.fragment:
            return
    except ValueError:  # the port is not a number, or the address is malformed
        pass
    raise SettingsError(f"{variable(field)} is {shown!r}: it must have the form {wanted}.")


def _check_amqp_query(url: str) -> None:
    """Check the query of a RabbitMQ URL; its parameters are those of pika's ``URLParameters``.

    Raises:
        ValueError: a parameter is invalid; the message names the parameter and omits its value,
            which may be a secret.
    """
    import pika  # noqa: PLC0415 - slow to import, and rarely needed

    address, _, query = url.partition("?")
    if "@" in query:
        raise ValueError("write a ? in the password as %3F and an @ in the query as %40")
    for name, value in parse_qsl(query, keep_blank_values=True):
        try:
            pika.URLParameters(f"{address}?{urlencode({name: value})}")
        except (ValueError, TypeError, SyntaxError, OSError) as error:
            raise ValueError(f"pika's URLParameters rejects the parameter {name!r}") from error
