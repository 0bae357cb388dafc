"""Checks of ``qrmill doctor`` about connections: the reverse proxy, and the limit on open files."""

import resource
from collections.abc import Iterator

import httpx2

from api.connections.open_files import RESERVED, connections_within
from api.connections.sizes import wanted_connections
from api.http.forwarded_headers import IGNORED
from pipeline.service import Finding, Settings


def proxy(response: httpx2.Response) -> Iterator[Finding]:
    """Yield a finding if the API does not trust the proxy that this response came through.

    Args:
        response: response to a health check.
    """
    if IGNORED in response.headers:
        found = "the API ignores the X-Forwarded headers of the proxy in front of it"
        advice = (
            "Set FORWARDED_ALLOW_IPS of the API to the proxy's address, which the log event "
            "`forwarded headers ignored` names. Until then, all clients count as one."
        )
        yield Finding("proxy", "warn", found, advice)


def open_files(settings: Settings) -> Finding:
    """Check that this environment's hard limit permits the connections of an API process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted_connections(settings.long_polls)
    possible = connections_within(hard, wanted)
    limit = "no limit" if hard == resource.RLIM_INFINITY else f"a hard limit of {hard}"
    found = f"{limit} here, enough for {possible} connections per API process"
    if possible >= wanted:
        return Finding("open files", "ok", found)
    advice = (
        f"Raise it to {wanted + RESERVED} or more for the API: `LimitNOFILE=` in its unit, "
        "`ulimits` in Compose, or `ulimit -Hn`. Until then, fewer clients can connect at once."
    )
    return Finding("open files", "warn", f"{found} in place of {wanted}", advice)
