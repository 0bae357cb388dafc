"""Routes of the operator console at ``/ops/`` and of Dramatiq's dashboard at ``/dramatiq/``."""

from api.console.dead_letters import DeadLettersAction, DeadLettersPage
from api.console.dramatiq_dashboard import DramatiqDashboard
from api.console.job import DownloadRedirect, JobAction, JobPage, SymbolImage
from api.console.jobs import JobsPage
from api.console.overview import OverviewPage
from api.console.pages import Pages, StaticFile
from api.console.sessions import ConsoleResource, NotFoundPage
from api.console.sign_in import SignIn, SignOut
from api.http.request_bodies import BodyReader
from api.http.trusted_proxies import TrustedProxies
from pipeline.service import Service


def console_routes(
    service: Service, pages: Pages, bodies: BodyReader, proxies: TrustedProxies
) -> dict[str, ConsoleResource | StaticFile]:
    """Return the resources of the console and the dashboard, by path."""
    ops, job = f"{pages.prefix}/ops", f"{pages.prefix}/ops/jobs/{{task_id}}"
    jobs, dead_letters = service.jobs, service.dead_letters
    dashboard = DramatiqDashboard(service.broker, pages, bodies)
    return {
        ops: OverviewPage(service.overview, service.health, pages),
        f"{ops}/sign-in": SignIn(
            service.sessions,
            service.api_keys,
            service.sign_in_limits,
            pages=pages,
            bodies=bodies,
            proxies=proxies,
        ),
        f"{ops}/sign-out": SignOut(service.sessions, pages),
        f"{ops}/jobs": JobsPage(jobs, service.api_keys, pages),
        job: JobPage(jobs, service.preview, service.health, pages),
        f"{job}/symbols/{{number:int}}": SymbolImage(jobs, service.preview),
        f"{job}/download": DownloadRedirect(jobs, service.downloads),
        f"{job}/retry": JobAction(jobs, pages, "retry"),
        f"{job}/cancel": JobAction(jobs, pages, "cancel"),
        f"{ops}/dead-letters": DeadLettersPage(dead_letters, service.overview, pages),
        f"{ops}/dead-letters/requeue": DeadLettersAction(dead_letters, pages, "requeue"),
        f"{ops}/dead-letters/discard": DeadLettersAction(dead_letters, pages, "discard"),
        f"{ops}/static/{{name}}": StaticFile(),
        f"{ops}/{{rest:path}}": NotFoundPage(),
        f"{pages.prefix}/dramatiq": dashboard,
        f"{pages.prefix}/dramatiq/{{rest:path}}": dashboard,
    }


def console_paths(prefix: str) -> set[str]:
    """Return the paths that need no API key, because :class:`SessionMiddleware` checks them."""
    return {f"{prefix}/{name}{slash}" for name in ("ops", "dramatiq") for slash in ("", "/")}
