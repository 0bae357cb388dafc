"""The Falcon application: ``create_app`` from a service, ``get_app`` from the environment."""

import os
import sys
from typing import Any, ClassVar

import falcon
import structlog

from api.console.routes import Reception, page_paths, page_routes
from api.console.sessions import SessionMiddleware
from api.http.authentication import Authentication
from api.http.cors import CrossOrigin
from api.http.deadlines import BodyDeadline, Deadlines
from api.http.error_handlers import install_error_handlers
from api.http.forwarded_headers import ForwardedHeaders
from api.http.large_bodies import LargeBodies
from api.http.metrics import RequestMetrics
from api.http.request_bodies import BodyReader
from api.http.request_log import RequestLog
from api.http.trusted_proxies import THIS_MACHINE, TrustedProxies
from api.intake.validation import RequestLimits
from api.openapi.document import build_document
from api.resources.api_keys import KeyCollection, KeyResource, KeyWebhookSecret
from api.resources.bulk import BulkCollection
from api.resources.docs import DocsFile, DocsPage, OpenApiDocument
from api.resources.health import Healthz, Readyz
from api.resources.key_lifecycle import KeyImport, KeyRotation
from api.resources.lists import TaskChunks
from api.resources.symbol import Symbol
from api.resources.task import BulkRetry, BulkTask
from pipeline.service import (
    Service,
    Settings,
    SettingsError,
    callback_rules,
    configure_logging,
    open_service,
    unknown_variables,
)

log = structlog.get_logger(__name__)


class App(falcon.App[falcon.Request, falcon.Response]):
    """The Falcon application of a service.

    Attributes:
        service: the service, which the hooks of ``api.gunicorn_conf`` use.
        probes: paths of the health checks, which have threads of their own (``api.connections``).
    """

    #: Falcon rejects its own method ``WEBSOCKET`` before any middleware runs, unless this set is
    #: empty. With an empty set, such a request is authenticated first. The response is 401 without
    #: a valid key, and 405 otherwise.
    _META_METHODS: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        service: Service,
        probes: frozenset[bytes] = frozenset(),
        **options: Any,  # noqa: ANN401 - passed on
    ) -> None:
        super().__init__(**options)
        self.service = service
        self.probes = probes


def create_app(
    service: Service,
    settings: Settings,
    proxies: TrustedProxies | None = None,
    deadlines: Deadlines | None = None,
) -> App:
    """Create the application of ``service``; performs no I/O.

    Args:
        service: jobs, keys and everything else that the resources use.
        settings: the API's path prefix and its limits.
        proxies: proxies that are trusted to report a client's address. Default: proxies on this
            machine.
        deadlines: time that a client has to send a body. Default: that of :class:`Deadlines`.
    """
    prefix = settings.api_prefix
    proxies = proxies or TrustedProxies()
    jobs, api_keys, secrets = service.jobs, service.api_keys, service.webhook_secrets
    limits = request_limits(settings)
    bodies = BodyReader(BodyDeadline((deadlines or Deadlines()).body))
    large_bodies = LargeBodies()
    routes = {
        f"{prefix}/qr": Symbol(limits, service.item_limits, bodies),
        f"{prefix}/qr/bulk": BulkCollection(
            jobs,
            service.submission,
            secrets,
            api_keys=api_keys,
            limits=limits,
            item_limits=service.item_limits,
            bodies=bodies,
            large_bodies=large_bodies,
            body_limit=settings.body_limit(),
            prefix=prefix,
        ),
        f"{prefix}/qr/bulk/{{task_id}}": BulkTask(jobs, service.downloads),
        f"{prefix}/qr/bulk/{{task_id}}/chunks": TaskChunks(jobs),
        f"{prefix}/qr/bulk/{{task_id}}/retry": BulkRetry(jobs, service.item_limits, prefix),
        f"{prefix}/keys": KeyCollection(api_keys, bodies),
        f"{prefix}/keys/import": KeyImport(api_keys, bodies),
        f"{prefix}/keys/{{key_id}}": KeyResource(api_keys),
        f"{prefix}/keys/{{key_id}}/rotate": KeyRotation(api_keys, bodies),
        f"{prefix}/keys/{{key_id}}/webhook-secret": KeyWebhookSecret(api_keys, secrets),
    }
    probes = {
        "/healthz": Healthz(),
        "/readyz": Readyz(service.health),
        f"{prefix}/healthz": Healthz(),
        f"{prefix}/readyz": Readyz(service.health),
    }
    public = {
        **probes,
        f"{prefix}/openapi.json": OpenApiDocument(build_document(prefix, settings.max_items)),
        f"{prefix}/docs": DocsPage(prefix),
    }
    open_paths = frozenset({*public, f"{prefix}/docs/", *page_paths(prefix)})
    origins = settings.allowed_origins()
    app = App(
        service,
        frozenset(path.encode() for path in probes),
        middleware=[
            RequestMetrics(),
            RequestLog(),
            ForwardedHeaders(proxies, frozenset(probes)),
            *([CrossOrigin(origins, prefix)] if origins else []),
            Authentication(api_keys, service.rate_limits, open_paths),
            SessionMiddleware(service.sessions, api_keys, service.rate_limits, bodies),
        ],
    )
    app.req_options.strip_url_path_trailing_slash = True
    install_error_handlers(app)
    reception = Reception(bodies, proxies, limits, large_bodies, settings.body_limit())
    pages = page_routes(service, prefix, reception)
    for path, resource in (routes | public | pages).items():
        app.add_route(path, resource)
    app.add_route(f"{prefix}/docs/{{name}}", DocsFile(prefix))
    return app


def request_limits(settings: Settings) -> RequestLimits:
    """Return the limits on requests from the settings."""
    return RequestLimits(
        settings.max_items,
        settings.charset,
        settings.link_base,
        settings.chunk_size,
        callback_rules(settings),
    )


def get_app() -> App:
    """Create the application from environment variables; exit with a message if one is invalid."""
    settings = read_settings()
    configure_logging(settings)
    for sentence in unknown_variables(os.environ):
        log.warning("unknown setting", hint=sentence)
    try:
        service = open_service(settings)
    except SettingsError as error:
        sys.exit(f"qrmill: {error}")
    proxies = TrustedProxies(os.environ.get("FORWARDED_ALLOW_IPS", THIS_MACHINE))
    return create_app(service, settings, proxies)


def read_settings() -> Settings:
    """Read the settings from environment variables; exit with a message if one is invalid."""
    try:
        return Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.exit(f"qrmill: {error}")
