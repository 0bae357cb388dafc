"""The doctor's checks of the API and of the environment, in front of a scripted API."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from api.cli.doctor_checks import api_findings, findings, versions
from api.cli.doctor_connections import open_files
from api.cli.output import UsageError
from api.http.forwarded_headers import IGNORED
from deploy.embedded.ports import free_port
from pipeline.service import Finding, Settings
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import Answer, Request, ScriptedServer, as_json

HEALTHY = ["api", "api clock", "api ready", "api key"]
NOWHERE = {"XDG_CONFIG_HOME": "/nonexistent"}


def health(ahead: float = 0) -> Answer:
    """Return the response to a health check of an API whose clock is ``ahead``, in seconds."""
    now = datetime.now(UTC) + timedelta(seconds=ahead)
    return as_json({"status": "ok"}, Date=format_datetime(now, usegmt=True))


def healthy(**others: Answer) -> Callable[[Request], Answer]:
    """Return the script of an API, with other responses for ``health``, ``ready`` or ``keys``."""
    responses = {
        "/healthz": others.get("health") or health(),
        "/readyz": others.get("ready") or as_json({"status": "ok"}),
        "/keys/": others.get("keys") or Answer(200),
    }
    return lambda request: responses[request.path]


def found(url: str, key: str = KEY) -> dict[str, Finding]:
    """Return the findings by their names. Each that is not ok must have advice."""
    each = {finding.name: finding for finding in api_findings(url, key)}
    assert all(finding.advice for finding in each.values() if finding.state != "ok")
    return each


def test_a_healthy_api_passes_every_check(server: ScriptedServer) -> None:
    rates = {"RateLimit-Policy": '"minute";q=300', "RateLimit-Remaining": "299"}
    server.script = healthy(keys=Answer(403, headers=rates))
    checked = found(server.url)
    assert [*checked] == HEALTHY
    assert {finding.state for finding in checked.values()} == {"ok"}
    assert "client" in checked["api key"].found
    assert '"minute";q=300' in checked["api key"].found
    assert "299" in checked["api key"].found
    assert [request.headers["X-API-Key"] for request in server.requests] == [None, None, KEY]


def test_a_key_that_may_list_keys_is_an_operators(server: ScriptedServer) -> None:
    server.script = healthy(keys=Answer(200))
    assert "operator" in found(server.url)["api key"].found


@pytest.mark.parametrize(
    ("response", "state", "words"),
    [
        (Answer(401), "fail", ""),
        (Answer(429, headers={"Retry-After": "17"}), "warn", "17"),
        (Answer(500, headers={"X-Request-ID": "request-7"}), "fail", "request-7"),
    ],
)
def test_a_key_that_does_not_work_has_advice(
    server: ScriptedServer, response: Answer, state: str, words: str
) -> None:
    server.script = healthy(keys=response)
    checked = found(server.url)["api key"]
    assert checked.state == state
    assert words in checked.advice


@pytest.mark.parametrize("key", ["", "with a space", "qrmill_ü"])
def test_without_a_usable_key_nothing_is_sent_with_it(server: ScriptedServer, key: str) -> None:
    server.script = healthy()
    assert found(server.url, key)["api key"].state != "ok"
    assert [request.path for request in server.requests] == ["/healthz", "/readyz"]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (as_json({"status": "unavailable", "unavailable": ["redis", "bucket"]}, 503), "redis, buc"),
        (Answer(502, b"<html>"), "502"),
        (as_json(["no object"], 503), "503"),
    ],
)
def test_an_api_that_is_not_ready_fails_with_what_it_lacks(
    server: ScriptedServer, response: Answer, words: str
) -> None:
    server.script = healthy(ready=response)
    checked = found(server.url)
    assert checked["api ready"].state == "fail"
    assert words in checked["api ready"].found
    assert checked["api key"].state == "ok"


def test_a_readiness_check_that_hangs_fails_and_the_key_is_checked(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = httpx2.Client.get

    def hang_at_ready(client: httpx2.Client, path: str, **options: dict[str, str]) -> object:
        if path == "/readyz":
            raise httpx2.ReadTimeout("timed out")
        return get(client, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx2.Client, "get", hang_at_ready)
    server.script = healthy()
    checked = found(server.url)
    assert checked["api ready"].state == "fail"
    assert checked["api key"].state == "ok"


@pytest.mark.parametrize(
    ("ahead", "state"), [(-3600, "fail"), (-0.2, "ok"), (0.2, "ok"), (3600, "fail")]
)
def test_a_clock_far_from_this_machines_fails(
    server: ScriptedServer, ahead: float, state: str
) -> None:
    server.script = healthy(health=health(ahead))
    assert found(server.url)["api clock"].state == state


def test_a_response_without_a_date_is_a_warning(server: ScriptedServer) -> None:
    server.script = healthy(health=as_json({"status": "ok"}))
    assert found(server.url)["api clock"].state == "warn"


@pytest.mark.parametrize(
    "response", [Answer(404), Answer(200, b"<html>"), as_json({"ok": 1}), as_json(["ok"])]
)
def test_another_server_than_the_api_fails_and_gets_no_key(
    server: ScriptedServer, response: Answer
) -> None:
    server.script = lambda _: response
    checked = found(server.url)
    assert {name: finding.state for name, finding in checked.items()} == {"api": "fail"}
    assert len(server.requests) == 1


def test_an_api_that_cannot_be_reached_fails() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    checked = found(url)
    assert {name: finding.state for name, finding in checked.items()} == {"api": "fail"}
    assert url in checked["api"].found


def test_an_api_that_breaks_off_after_its_health_fails(server: ScriptedServer) -> None:
    server.script = healthy(ready=Answer(silent=True))
    states = [(finding.name, finding.state) for finding in api_findings(server.url, KEY)]
    assert states == [("api", "ok"), ("api clock", "ok"), ("api", "fail")]


def test_a_url_that_is_none_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        list(api_findings("ftp://example.com", KEY))


def test_the_versions_name_the_service_and_python() -> None:
    named = versions()
    assert named.state == "ok"
    assert {"qrmill", "dramatiq", "Python"} <= set(named.found.replace(",", "").split())


def names(url: str | None, environ: dict[str, str]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings(url, NOWHERE | environ)}


def test_without_settings_of_the_service_only_the_api_is_checked(server: ScriptedServer) -> None:
    server.script = healthy()
    environ = {"QRMILL_URL": server.url, "QRMILL_API_KEY": KEY}
    assert [*names(None, environ)] == ["versions", *HEALTHY]
    nowhere = {"QRMILL_URL": "http://127.0.0.1:1", "QRMILL_API_KEY": KEY}
    assert names(server.url, nowhere)["api"] == "ok", "the option prevails"


def test_a_proxy_that_the_api_does_not_trust_is_a_warning(server: ScriptedServer) -> None:
    answer = health()
    server.script = healthy(
        health=answer._replace(headers={**answer.headers, IGNORED: "FORWARDED_ALLOW_IPS"})
    )
    checked = found(server.url)
    assert [*checked] == [*HEALTHY[:2], "proxy", *HEALTHY[2:]]
    assert checked["proxy"].state == "warn"
    assert "FORWARDED_ALLOW_IPS" in checked["proxy"].advice


@pytest.mark.parametrize(
    ("hard", "state", "words"),
    [(65_536, "ok", "1528 connections"), (-1, "ok", "no limit"), (1024, "warn", "768")],
)
def test_too_few_open_files_are_a_warning(
    hard: int, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (hard, hard))
    finding = open_files(Settings())
    assert finding.state == state
    assert words in finding.found
    assert ("1784" in finding.advice) == (state == "warn")


def test_with_settings_of_the_service_only_its_dependencies_are_checked(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = [Finding("redis", "ok", "fine")]
    monkeypatch.setattr("api.cli.doctor_checks.check_up", lambda _: iter(checked))
    own = ["settings", "open files", "redis"]
    assert [*names(None, {"QRMILL_CHUNK_SIZE": "7"})] == ["versions", *own]
    server.script = healthy()
    both = names(server.url, {"QRMILL_CHUNK_SIZE": "7", "QRMILL_API_KEY": KEY})
    assert [*both] == ["versions", *HEALTHY, *own]


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"QRMILL_CHUNK_SIZE": "7"}, "ok"),
        ({"QRMILL_CHUNK_SIZE": "7", "QRMILL_CHUNKSIZE": "7"}, "warn"),
    ],
)
def test_a_variable_that_is_no_setting_is_a_warning(
    environ: dict[str, str], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.doctor_checks.check_up", lambda _: iter(()))
    settings = {finding.name: finding for finding in findings(None, NOWHERE | environ)}["settings"]
    assert settings.state == state
    assert ("QRMILL_CHUNKSIZE" in settings.found, bool(settings.advice)) == (state == "warn",) * 2


def test_a_wrong_setting_fails_and_nothing_is_checked_with_it() -> None:
    each = {finding.name: finding for finding in findings(None, {"QRMILL_CHUNK_SIZE": "many"})}
    assert [*each] == ["versions", "settings"]
    assert each["settings"].state == "fail"
    assert "QRMILL_CHUNK_SIZE" in each["settings"].found
