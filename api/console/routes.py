"""Routes of the console at ``/ops/``, of Dramatiq's dashboard, and of the portal at ``/jobs/``."""

from typing import NamedTuple

from api.console.areas import CONSOLE, PORTAL
from api.console.dead_letters import DeadLettersAction, DeadLettersPage
from api.console.dramatiq_dashboard import DramatiqDashboard
from api.console.job import DownloadRedirect, JobAction, JobPage, SymbolImage
from api.console.jobs import JobsPage
from api.console.new_job import NewJobPage
from api.console.overview import OverviewPage
from api.console.pages import Pages, StaticFile
from api.console.row_templates import CsvTemplate, WorkbookTemplate
from api.console.sessions import ConsoleResource, NotFoundPage
from api.console.sign_in import SignIn, SignOut
from api.http.large_bodies import LargeBodies
from api.http.request_bodies import BodyReader
from api.http.trusted_proxies import TrustedProxies
from api.intake.validation import RequestLimits
from pipeline.service import Service

Routes = dict[str, ConsoleResource | StaticFile]


class Reception(NamedTuple):
    """What the pages need to receive forms and uploads.

    Attributes:
        bodies: reads bodies.
        proxies: proxies whose ``X-Forwarded-For`` is trusted.
        limits: limits on requests.
        large_bodies: places for large bodies, shared with the API.
        body_limit: maximum size of a request body, in bytes.
    """

    bodies: BodyReader
    proxies: TrustedProxies
    limits: RequestLimits
    large_bodies: LargeBodies
    body_limit: int


def page_routes(service: Service, prefix: str, reception: Reception) -> Routes:
    """Return the resources of all pages, by path."""
    console, portal = Pages(CONSOLE, prefix), Pages(PORTAL, prefix)
    return {
        **_shared_routes(service, console, reception),
        **_shared_routes(service, portal, reception),
        **_console_routes(service, console, reception),
        f"{portal.jobs}/{{task_id}}/{{rest:path}}": NotFoundPage(portal),
    }


def page_paths(prefix: str) -> set[str]:
    """Return the paths that need no API key, because :class:`SessionMiddleware` checks them."""
    names = ("ops", "dramatiq", "jobs")
    return {f"{prefix}/{name}{slash}" for name in names for slash in ("", "/")}


def _shared_routes(service: Service, pages: Pages, reception: Reception) -> Routes:
    """Return the resources that every area has."""
    home, jobs, job = pages.home, pages.jobs, f"{pages.jobs}/{{task_id}}"
    return {
        f"{home}/sign-in": SignIn(
            service.sessions,
            service.api_keys,
            service.sign_in_limits,
            pages=pages,
            bodies=reception.bodies,
            proxies=reception.proxies,
        ),
        f"{home}/sign-out": SignOut(service.sessions, pages),
        f"{home}/new": NewJobPage(
            service.submission,
            reception.limits,
            reception.large_bodies,
            bodies=reception.bodies,
            pages=pages,
            body_limit=reception.body_limit,
        ),
        f"{home}/template.csv": CsvTemplate(pages),
        f"{home}/template.xlsx": WorkbookTemplate(pages),
        f"{home}/static/{{name}}": StaticFile(),
        jobs: JobsPage(service.jobs, service.api_keys, pages),
        job: JobPage(service.jobs, service.preview, service.health, pages),
        f"{job}/symbols/{{number:int}}": SymbolImage(service.jobs, service.preview, pages),
        f"{job}/download": DownloadRedirect(service.jobs, service.downloads, pages),
        f"{job}/retry": JobAction(service.jobs, pages, "retry"),
        f"{job}/cancel": JobAction(service.jobs, pages, "cancel"),
    }


def _console_routes(service: Service, pages: Pages, reception: Reception) -> Routes:
    ops, letters = pages.home, service.dead_letters
    dashboard = DramatiqDashboard(service.broker, pages, reception.bodies)
    return {
        ops: OverviewPage(service.overview, service.health, pages),
        f"{ops}/dead-letters": DeadLettersPage(letters, service.overview, pages),
        f"{ops}/dead-letters/requeue": DeadLettersAction(letters, pages, "requeue"),
        f"{ops}/dead-letters/discard": DeadLettersAction(letters, pages, "discard"),
        f"{ops}/{{rest:path}}": NotFoundPage(pages),
        f"{pages.prefix}/dramatiq": dashboard,
        f"{pages.prefix}/dramatiq/{{rest:path}}": dashboard,
    }
