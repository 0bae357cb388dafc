"""``/ops/jobs`` and ``/jobs/``: lists of jobs, filtered by state, task id, key name or GTIN."""

from typing import get_args

import falcon

from api.console.pages import Pages
from api.console.sessions import RequiresSession
from api.http.parameters import decode_cursor, encode_cursor
from api.http.problems import Violations, invalid
from api.schemas.problems import Violation
from api.schemas.states import State
from pipeline.service import ApiKey, ApiKeys, JobFilter, Jobs, UnknownApiKeyError, parse_task_id
from render.errors import InvalidValueError, shown
from render.gs1.gtin import normalize_gtin

_ROWS = 50
_STATES = get_args(State)


class JobsPage(RequiresSession):
    """``GET /ops/jobs`` and ``GET /jobs/``.

    Operators see the jobs of all tenants, and can search for a tenant. Clients see the jobs of
    their own tenant.

    Args:
        jobs: lists jobs.
        api_keys: finds tenants for operators.
        pages: the pages of the area.
    """

    def __init__(self, jobs: Jobs, api_keys: ApiKeys, pages: Pages) -> None:
        super().__init__(pages)
        self._jobs = jobs
        self._api_keys = api_keys

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show a page of jobs; a search for a task id redirects to that job."""
        sought = (req.get_param("q") or "").strip()
        state = req.get_param("state") or ""
        cursor = req.get_param("cursor")
        violations = Violations()
        if state and state not in _STATES:
            detail = f"{shown(state)} is not a state; the states are {', '.join(_STATES)}."
            violations.append(Violation("/state", "state", detail))
        after = decode_cursor(cursor, violations) if cursor else None
        if violations:
            raise invalid(violations)
        self._redirect_to_job(sought)
        wanted = self._filter(req.context.key, sought, state)
        page = self._jobs.list(wanted, req.context.key, _ROWS, after)
        self.pages.respond(
            req,
            resp,
            "jobs.html",
            jobs=page.jobs,
            sought=sought,
            state=state,
            states=_STATES,
            older=encode_cursor(page.next) if page.next else None,
            first=not cursor,
        )

    on_head = on_get

    def _redirect_to_job(self, sought: str) -> None:
        try:
            task_id = parse_task_id(sought)
        except ValueError:  # a tenant, a key's name or a GTIN
            return
        raise falcon.HTTPSeeOther(f"{self.pages.jobs}/{task_id}")

    def _filter(self, key: ApiKey, sought: str, state: str) -> JobFilter:
        tenant, fields = None, {"state": state} if state else {}
        if sought:
            try:
                fields["gtin"] = normalize_gtin(sought)
            except InvalidValueError:
                # A client must not learn which keys of other tenants exist.
                tenant = self._tenant_of(sought) if key.role == "operator" else None
                if tenant is None:
                    fields["key_name"] = sought
        return JobFilter(tenant=tenant, fields=fields)

    def _tenant_of(self, sought: str) -> str | None:
        """Return the id of the tenant whose key has the id ``sought``; None if there is none.

        Names of tenants are not searched: jobs are found by the names of their keys.
        """
        try:
            return self._api_keys.find(sought).tenant
        except UnknownApiKeyError:
            return None
