"""Requests drawn at random over all routes, tenants and roles: no 5xx, no secret, no mixing."""

import json
import random
import re
import socket
import sys
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from falcon import inspect

from api.app import create_app
from api.console.forms import issue_token
from pipeline.service import Service, Settings
from tests.integration.conftest import StartWorker
from tests.integration.drawn_callers import Caller, Callers, Tenant
from tests.integration.drawn_requests import Draw, Drawn, Route
from tests.integration.raw_api import RawApi, production_api
from tests.waiting import wait_for

FEW, MANY = 400, 40_000
_SENDERS = 8
#: Loopback addresses that requests come from, a fifth of them from a trusted proxy's. A closed
#: connection holds a port of its address for a minute, and one address has 28,000.
_SOURCES = (*["127.0.0.1"] * 50, *(f"127.0.1.{number}" for number in range(1, 201)))
LARGEST_ERROR = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
#: For a transfer coding that it does not have, a server should respond with 501 (RFC 9112, 6.1).
_UNKNOWN_CODING = b'"error_code":"unsupported_transfer_coding"'
_TRACES = (b"Traceback", b'File "/', b'.py", line')


class Outcome(NamedTuple):
    role: str
    status: int
    flaw: str


class Trial:
    """Sends drawn requests, and judges the responses."""

    def __init__(
        self, api: RawApi, service: Service, callers: Callers, routes: list[Route]
    ) -> None:
        self._api, self._service, self._callers, self._routes = api, service, callers, routes
        self._owners: dict[str, int | None] = {}

    def send(self, seed: int) -> Outcome:
        """Send the request of a seed."""
        caller = random.Random(f"caller {seed}").choice(self._callers.all)
        session = ""
        if caller.signed_in:
            session = self._service.sessions.begin("session", self._callers.operator_id)
        lot = "" if caller.tenant is None else self._callers.tenants[caller.tenant].lot
        draw = Draw(
            seed,
            self._callers.tasks_of(caller),
            self._callers.keys_of(caller),
            own_lot=lot or "L",
            form_token=issue_token(session),
        )
        drawn = draw.request(self._routes_of(caller, seed), _credentials(caller, session, seed))
        received = _receive(self._api, drawn)
        status = int(found[1]) if (found := _STATUS.match(_final(received))) else 0
        flaw = self._flaw(caller, drawn, received, status)
        return Outcome(caller.role, status, flaw and f"seed {seed}, {caller.role}: {flaw}")

    def _routes_of(self, caller: Caller, seed: int) -> list[Route]:
        """Return the console's routes for a session and the others for a key; at times all."""
        if seed % 5 == 0:
            return self._routes
        console = [each for each in self._routes if each.path.startswith(("/ops", "/dramatiq"))]
        return (
            console if caller.signed_in else [each for each in self._routes if each not in console]
        )

    def _flaw(self, caller: Caller, drawn: Drawn, received: bytes, status: int) -> str:
        """Return what is wrong with a response, or an empty text."""
        if not status and (drawn.intact or _final(received)):
            return f"no response but {received[:200]!r} to {drawn.data[:300]!r}"
        errors = [each for each in _STATUS.findall(received) if each >= b"500"]
        if errors and not (errors == [b"501"] and _UNKNOWN_CODING in received):
            return f"{received[:500]!r} to {drawn.data[:500]!r}"
        if any(trace in received for trace in _TRACES):
            return f"a traceback in {received[:2000]!r}"
        if status >= 400 and len(received) > LARGEST_ERROR:
            return f"{len(received)} bytes with status {status}"
        hidden = self._callers.hidden_from(caller)
        seen = [text for text in hidden if text.encode() in received]
        if any(text.lower().encode() not in drawn.data.lower() for text in seen):  # ids are echoed
            return f"saw {seen} in {received[:1000]!r}"
        return self._mixed(caller, drawn, received, status)

    def _mixed(self, caller: Caller, drawn: Drawn, received: bytes, status: int) -> str:
        line = drawn.data.partition(b"\r\n")[0].lower()
        foreign = any(text.lower().encode() in line for text in self._callers.hidden_from(caller))
        if foreign and 200 <= status < 300 and drawn.method != "OPTIONS":
            return f"{status} to {line!r}"
        if status == 202 and caller.role == "client":
            task_id = json.loads(_final(received).partition(b"\r\n\r\n")[2])["task_id"]
            if self._owners.setdefault(task_id, caller.tenant) != caller.tenant:
                return f"was given the job {task_id} of another tenant"
        return ""


def _credentials(caller: Caller, session: str, seed: int) -> list[str]:
    if caller.signed_in:
        return [f"Cookie: qrmill_session={session}"]
    if not caller.token:
        return []
    return [f"Authorization: Bearer {caller.token}" if seed % 3 else f"X-API-Key: {caller.token}"]


def _final(received: bytes) -> bytes:
    """Return a response without the interim response that may come before it."""
    interim, _, final = received.partition(b"\r\n\r\n")
    return final if interim.startswith(b"HTTP/1.1 100 ") else received


def _receive(api: RawApi, drawn: Drawn) -> bytes:
    received = b""
    source = _SOURCES[zlib.crc32(drawn.data) % len(_SOURCES)]
    with api.connect(source=source) as connection:
        try:
            connection.sendall(drawn.data)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received += data
        except (BrokenPipeError, ConnectionResetError):
            pass  # the service has closed the connection before it had received everything
    return received


@pytest.mark.parametrize(
    "count",
    [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_no_drawn_request_gets_a_5xx_or_anything_of_another_tenant(
    service: Service, settings: Settings, start_worker: StartWorker, tmp_path: Path, count: int
) -> None:
    app = create_app(service, settings)
    callers = Callers(service, app)
    routes = [
        Route(route.path, [each.method for each in route.methods if not each.internal])
        for route in inspect.inspect_routes(app)
    ]
    assert len(routes) > 30
    worker = start_worker()
    for tenant in callers.tenants:
        wait_for(partial(_all_completed, tenant), "the first jobs' end")
    worker.stop()
    before = [tenant.jobs() for tenant in callers.tenants]
    with (
        production_api(settings, tmp_path, "20000:20000") as api,
        ThreadPoolExecutor(_SENDERS) as pool,
    ):
        trial = Trial(api, service, callers, routes)
        outcomes = [*pool.map(trial.send, range(count))]
        log = api.log.read_text("utf-8", "replace")
    assert [outcome.flaw for outcome in outcomes if outcome.flaw] == []
    assert [tenant.jobs() for tenant in callers.tenants] == before
    assert [text for text in ("Traceback", "unexpected error") if text in log] == []
    assert [caller.role for caller in callers.all if caller.token and caller.token in log] == []
    _require_depth(outcomes)


def _all_completed(tenant: Tenant) -> bool:
    return all(job["status"] == "completed" for job in tenant.jobs())


def _require_depth(outcomes: list[Outcome]) -> None:
    """Check that the requests of those who may do something got beyond the first check."""
    met = {role: Counter[int]() for role in {outcome.role for outcome in outcomes}}
    for outcome in outcomes:
        met[outcome.role][outcome.status] += 1
    sys.stdout.write(f"{ {role: dict(sorted(each.items())) for role, each in met.items()} }\n")
    for role in ("client", "operator", "session"):
        assert met[role][200], met
    for role in ("none", "unknown", "expired", "revoked"):
        assert met[role][401], met
