"""Middleware that reports forwarding headers of a proxy that is not trusted."""

import time

import falcon
import structlog

from api.http.trusted_proxies import TrustedProxies

log = structlog.get_logger(__name__)

#: Header of a response to a health check whose forwarding headers were ignored. ``qrmill doctor``
#: reads it, because the doctor's request comes through the same proxy as those of clients.
IGNORED = "X-Forwarded-Ignored"
_HEADERS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded")
#: Seconds between two warnings of a process. Any client can cause one.
_PERIOD = 60.0


class ForwardedHeaders:
    """Middleware that warns of a reverse proxy that ``FORWARDED_ALLOW_IPS`` does not name.

    Args:
        proxies: the trusted proxies.
        probes: paths of the health checks.
    """

    def __init__(self, proxies: TrustedProxies, probes: frozenset[str]) -> None:
        self._proxies = proxies
        self._probes = probes
        self._due = 0.0

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log the address of an untrusted peer that sends forwarding headers."""
        sent = [name for name in _HEADERS if req.get_header(name) is not None]
        address = req.remote_addr or ""
        if not sent or self._proxies.trusts(address):
            return
        if req.path in self._probes:
            resp.set_header(IGNORED, "FORWARDED_ALLOW_IPS")
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _PERIOD
            log.warning("forwarded headers ignored", address=address, headers=", ".join(sent))
