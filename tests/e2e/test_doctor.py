"""What the doctor finds of an API, some of which is really broken."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2
import msgspec
import pytest

from api.app import create_app
from api.cli.doctor_checks import findings
from deploy.embedded.ports import free_port
from deploy.embedded.running import RunningStack
from pipeline.service import Finding, Settings, open_service


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    app = create_app(open_service(settings), settings)
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def found(url: str, key: str) -> dict[str, Finding]:
    environ = {"QRMILL_API_KEY": key, "XDG_CONFIG_HOME": "/nonexistent"}
    return {finding.name: finding for finding in findings(url, environ)}


def test_an_api_that_is_well_tells_role_and_rates(
    stack: RunningStack, client: httpx2.Client
) -> None:
    known = found(stack.ready.api_url, client.headers["X-API-Key"])
    assert {each.state for each in known.values()} == {"ok"}
    assert known.keys() == {"versions", "api", "api clock", "api ready", "api key"}
    assert "role client; rate limits 1000000;w=60" in known["api key"].found
    operator = found(stack.ready.api_url, stack.ready.operator_key)["api key"]
    assert (operator.state, "operator" in operator.found) == ("ok", True)


def test_a_key_is_missing_or_unknown(stack: RunningStack) -> None:
    unknown = found(stack.ready.api_url, "qrmill_unknown")["api key"]
    assert (unknown.state, "operator" in unknown.advice) == ("fail", True)
    missing = found(stack.ready.api_url, "")["api key"]
    assert (missing.state, "QRMILL_API_KEY" in missing.advice) == ("fail", True)


def test_a_url_is_of_nobody_or_of_another_service(stack: RunningStack) -> None:
    nobody = found(f"http://127.0.0.1:{free_port()}", "key")
    other = found(stack.ready.s3_endpoint_url, "key")
    for each in (nobody, other):
        assert each.keys() == {"versions", "api"}
        assert (each["api"].state, "QRMILL_URL" in each["api"].advice) == ("fail", True)


def test_an_api_without_its_redis_is_not_ready(settings: Settings) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    with served(msgspec.structs.replace(settings, redis_url=away)) as url:
        ready = found(url, "")["api ready"]
    assert (ready.state, ready.found) == ("fail", "unavailable to the API: redis")
    assert "qrmill doctor" in ready.advice


def test_an_api_whose_store_hangs_is_not_taken_for_one_that_does_not_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.doctor_checks._TIMEOUT", 1)
    silent = socket.create_server(("127.0.0.1", 0))
    store = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with served(msgspec.structs.replace(settings, s3_endpoint_url=store)) as url:
        known = found(url, "")
        silent.close()  # which ends what the API still waits for
    assert (known["api"].state, known["api ready"].state) == ("ok", "fail")
    assert "hangs" in known["api ready"].found
