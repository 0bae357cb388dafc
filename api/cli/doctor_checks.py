"""Checks of ``qrmill doctor``: the API as a client uses it, and the service's dependencies."""

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from platform import python_version

import httpx2

from api.cli.doctor_connections import open_files, proxy
from api.cli.output import checking_usage
from api.cli.profile import DEFAULT_URL, current_profile
from api.client.arguments import check_api_key, check_url
from api.client.transport import describe_error, open_http
from pipeline.service import (
    Finding,
    Settings,
    SettingsError,
    check_up,
    compare_clocks,
    unknown_variables,
)

_LIBRARIES = ("qrmill", "falcon", "dramatiq", "redis", "boto3", "httpx2")
_TIMEOUT = 10  # seconds
#: Role of an API key, by the status of the response to a request for the list of keys.
_ROLES = {HTTPStatus.OK.value: "operator", HTTPStatus.FORBIDDEN.value: "client"}


def findings(url: str | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings about the versions, the API, and the service's dependencies.

    The dependencies are only checked if ``environ`` has settings of the service. In that case the
    API is only checked if its URL is configured.

    Args:
        url: URL of the API from the command's option, if given.
        environ: environment variables.
    """
    configured = [
        name for name in Settings.__struct_fields__ if f"QRMILL_{name.upper()}" in environ
    ]
    yield versions()
    given = current_profile({**environ, **({"QRMILL_URL": url} if url else {})})
    if given.url or not configured:
        yield from api_findings(given.url or DEFAULT_URL, given.api_key)
    if configured:
        yield from service_findings(environ)


def versions() -> Finding:
    """Report the versions of this installation."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return Finding("versions", "ok", f"{libraries}, Python {python_version()}")


def service_findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings about the service's settings and the dependencies that they name."""
    try:
        settings = Settings.from_environment(environ)
    except SettingsError as error:
        advice = "Correct this variable. deploy/configuration.md lists all settings."
        yield Finding("settings", "fail", str(error), advice)
        return
    unknown = unknown_variables(environ)
    advice = ""
    if unknown:
        advice = "Correct or remove them. deploy/configuration.md lists all settings."
    yield Finding("settings", "warn" if unknown else "ok", " ".join(unknown) or "valid", advice)
    yield open_files(settings)
    yield from check_up(settings)


def api_findings(url: str, api_key: str) -> Iterator[Finding]:
    """Yield the findings about the API at ``url``, as a client uses it.

    Raises:
        UsageError: the URL is malformed, or an environment variable names an unusable proxy or
            unusable certificates.
    """
    with checking_usage():
        check_url(url)
        http = open_http(url)
    http.timeout = _TIMEOUT
    with http:
        try:
            response = http.get("/healthz")
            yield _reachable(url, response)
            if _is_health(response):
                yield _clock(response)
                yield from proxy(response)
                yield _ready(http)
                yield _key(http, api_key)
        except httpx2.HTTPError as error:
            found = f"{url} did not respond: {describe_error(error)}"
            advice = "Check that the API is running and that QRMILL_URL is its URL."
            yield Finding("api", "fail", found, advice)


def _reachable(url: str, response: httpx2.Response) -> Finding:
    if _is_health(response):
        taken = response.elapsed.total_seconds() * 1000
        return Finding("api", "ok", f"{url} responded in {taken:.0f} ms")
    found = f"{url}/healthz returned {response.status_code}, but not the response of qrmill"
    advice = "Check the host, the port and the path prefix (QRMILL_API_PREFIX) of QRMILL_URL."
    return Finding("api", "fail", found, advice)


def _is_health(response: httpx2.Response) -> bool:
    try:
        return bool(response.json()["status"] == "ok")
    except (ValueError, KeyError, TypeError):
        return False


def _clock(response: httpx2.Response) -> Finding:
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        found = "the API's response has no valid Date header"
        advice = "Check the proxy in front of the API: it must not remove or change this header."
        return Finding("api clock", "warn", found, advice)
    # The header is truncated to whole seconds, so half a second is missing on average.
    ahead = date.timestamp() - time.time()
    return compare_clocks("api clock", ahead + 0.5)


def _ready(http: httpx2.Client) -> Finding:
    advice = (
        "To find the cause, run `qrmill doctor` on the API's machine with the API's environment."
    )
    try:
        response = http.get("/readyz")
    except httpx2.ReadTimeout:
        found = f"/readyz did not respond within {_TIMEOUT} s: Redis or S3 hangs"
        return Finding("api ready", "fail", found, advice)
    if response.is_success:
        return Finding("api ready", "ok", "all dependencies of the API are available")
    try:
        found = f"unavailable to the API: {', '.join(response.json()['unavailable'])}"
    except (ValueError, KeyError, TypeError):
        found = f"/readyz returned {response.status_code}"
    return Finding("api ready", "fail", found, advice)


def _key(http: httpx2.Client, api_key: str) -> Finding:
    advice = "Set QRMILL_API_KEY, or run `qrmill profile set`."
    if not api_key:
        found = "no API key is set, so nothing that needs a key was checked"
        return Finding("api key", "fail", found, advice)
    try:
        check_api_key(api_key)
    except ValueError:
        found = "the API key contains characters that no API key has"
        return Finding("api key", "fail", found, f"{advice} Copy the whole key again.")
    # Every valid key may send this request: operators get the list of keys, clients get 403.
    response = http.get("/keys/", headers={"X-API-Key": api_key})
    limits = f"rate limits {response.headers.get('RateLimit-Policy', 'unknown')}"
    left = response.headers.get("RateLimit-Remaining", "?")
    if response.status_code in _ROLES:
        found = f"role {_ROLES[response.status_code]}; {limits}; {left} requests left"
        return Finding("api key", "ok", found)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        found = "the API rejected the key: it is unknown, expired or revoked"
        advice = (
            "Copy the whole key again, or ask an operator for a new one (`qrmill keys create`)."
        )
        return Finding("api key", "fail", found, advice)
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        wait = f"Wait {response.headers.get('Retry-After', 'some')} seconds"
        advice = f"{wait}, or ask an operator for a key with higher rate limits."
        return Finding("api key", "warn", f"the key is over its {limits}", advice)
    request = response.headers.get("X-Request-ID", "unknown")
    advice = f"Search the API's log for the request id {request}."
    found = f"the API returned {response.status_code} to a request with this key"
    return Finding("api key", "fail", found, advice)
