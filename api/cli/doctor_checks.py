"""What ``qrmill doctor`` checks: the API as a client meets it, and the service's parts."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from platform import python_version

import httpx2

from api.cli.output import checking_usage
from api.cli.profile import DEFAULT_URL, current_profile
from api.client.arguments import check_api_key, check_url
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
#: Who may have the list of keys, and who may not, by the response.
_ROLES = {HTTPStatus.OK.value: "an operator's", HTTPStatus.FORBIDDEN.value: "a client's"}


def findings(url: str | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is found: of the versions, of the API, and of the parts if ``environ`` names them.

    Args:
        url: of the API, if an option says it.
        environ: the environment.
    """
    parts = [name for name in Settings.__struct_fields__ if f"QRMILL_{name.upper()}" in environ]
    yield versions()
    given = current_profile({**environ, **({"QRMILL_URL": url} if url else {})})
    if given.url or not parts:
        yield from api_findings(given.url or DEFAULT_URL, given.api_key)
    if parts:
        yield from part_findings(environ)


def versions() -> Finding:
    """Say which versions run here."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return Finding("versions", "ok", f"{libraries}, Python {python_version()}")


def part_findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is found of the service's settings, and of the parts that they name."""
    try:
        settings = Settings.from_environment(environ)
    except SettingsError as error:
        advice = "Correct the variable; deploy/README.md lists them all."
        yield Finding("settings", "fail", str(error), advice)
        return
    unknown = unknown_variables(environ)
    advice = "Correct the name or drop it; deploy/README.md lists them all." if unknown else ""
    yield Finding("settings", "warn" if unknown else "ok", " ".join(unknown) or "valid", advice)
    yield from check_up(settings)


def api_findings(url: str, api_key: str) -> Iterator[Finding]:
    """Yield what a client finds of the API at ``url``.

    Raises:
        UsageError: the URL cannot be right.
    """
    with checking_usage():
        check_url(url)
    with httpx2.Client(base_url=url, timeout=_TIMEOUT) as http:
        try:
            response = http.get("/healthz")
            yield _reachable(url, response)
            if _is_health(response):
                yield _clock(response)
                yield _ready(http)
                yield _key(http, api_key)
        except httpx2.HTTPError as error:
            found = f"{url} does not answer: {type(error).__name__}"
            advice = "See that the API runs, and that QRMILL_URL is its address."
            yield Finding("api", "fail", found, advice)


def _reachable(url: str, response: httpx2.Response) -> Finding:
    if _is_health(response):
        taken = response.elapsed.total_seconds() * 1000
        return Finding("api", "ok", f"{url} answers in {taken:.0f} ms")
    found = f"{url}/healthz answers {response.status_code}, and not like qrmill"
    advice = "See that QRMILL_URL has the right host, port and prefix (QRMILL_API_PREFIX)."
    return Finding("api", "fail", found, advice)


def _is_health(response: httpx2.Response) -> bool:
    try:
        return bool(response.json()["status"] == "ok")
    except (ValueError, KeyError, TypeError):
        return False


def _clock(response: httpx2.Response) -> Finding:
    if "Date" not in response.headers:
        return Finding("api clock", "warn", "the API does not say its time", "Look at the proxy.")
    # The header has whole seconds, cut off: half of one is what is missing on average.
    ahead = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
    return compare_clocks("api clock", ahead.total_seconds() + 0.5)


def _ready(http: httpx2.Client) -> Finding:
    advice = "Run `qrmill doctor` with the environment of the API, on its machine."
    try:
        response = http.get("/readyz")
    except httpx2.ReadTimeout:
        found = f"Redis or a bucket hangs: /readyz has no answer within {_TIMEOUT} s"
        return Finding("api ready", "fail", found, advice)
    if response.is_success:
        return Finding("api ready", "ok", "Redis and both buckets answer it")
    try:
        parts = ", ".join(response.json()["unavailable"])
    except (ValueError, KeyError, TypeError):
        parts = f"/readyz answers {response.status_code}"
    return Finding("api ready", "fail", f"these do not answer it: {parts}", advice)


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
    # A list of keys is what an operator may have, and every key may ask for.
    response = http.get("/keys/", headers={"X-API-Key": api_key})
    rates = f"rates {response.headers.get('RateLimit-Policy', 'unknown')}"
    left = response.headers.get("RateLimit-Remaining", "?")
    if response.status_code in _ROLES:
        whose = f"{_ROLES[response.status_code]}; {rates}; {left} left"
        return Finding("api key", "ok", whose)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        advice = "It was mistyped or revoked: ask an operator for one (`qrmill keys create`)."
        return Finding("api key", "fail", "the API does not know it", advice)
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        advice = f"Wait {response.headers.get('Retry-After', 'some')} s, or ask for more."
        return Finding("api key", "warn", f"over its rate; {rates}", advice)
    request = response.headers.get("X-Request-ID", "unknown")
    advice = f"Look into the log of the API for the request {request}."
    return Finding("api key", "fail", f"answered {response.status_code}", advice)
