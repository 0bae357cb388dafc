"""The commands about API keys and single tasks, in front of a scripted API."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from api.cli.main import main
from api.cli.profile import Profile, write_profile
from api.client import Client, ImportKeyRequest
from deploy.embedded.ports import free_port
from pipeline.auth.api_key import ApiKey, NewApiKey
from pipeline.service import Settings
from tests.command_line import environment
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import TASK, Answer, ScriptedServer, as_json, problem, task

KEY_ID = "0123456789ab"
TOKEN = f"qrmill_{KEY_ID}_secret"
ROW: dict[str, object] = {
    "key_id": KEY_ID,
    "name": "shop",
    "role": "client",
    "per_minute": 0,
    "per_day": 500,
    "created_at": "2026-11-23T10:00:00+00:00",
    "revoked_at": None,
    "expires_at": None,
    "last_used_at": "2026-11-24",
    "tenant": "ba9876543210",
    "tenant_name": "shops",
    "imported": False,
    "items_per_minute": 0,
    "items_per_day": 0,
    "link_bases": [],
}


class Done(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    for name in [name for name in os.environ if name.startswith("QRMILL_")]:
        monkeypatch.delenv(name)
    for name, value in environment(QRMILL_URL=server.url, QRMILL_API_KEY=KEY).items():
        monkeypatch.setenv(name, value)

    def run_command(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["qrmill", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code, *capsys.readouterr())

    return run_command


def sent(server: ScriptedServer) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in server.requests]


def test_a_new_key_alone_is_on_standard_output(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json({**ROW, "api_key": TOKEN}, 201)
    options = ("--name", "shop", "--role", "operator", "--per-minute", "7", "--per-day", "8")
    done = run("keys", "create", *options)
    assert (done.code, done.out) == (0, f"{TOKEN}\n")
    assert done.err
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/keys/")
    assert json.loads(request.body) == {
        "name": "shop",
        "role": "operator",
        "per_minute": 7,
        "per_day": 8,
    }


def test_a_new_key_as_json_is_the_document_of_the_api(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json({**ROW, "api_key": TOKEN}, 201)
    done = run("keys", "create", "--name", "shop", "--json")
    assert (done.code, json.loads(done.out)) == (0, {**ROW, "api_key": TOKEN})


def test_listed_keys_are_a_row_each_without_control_characters(
    server: ScriptedServer, run: Run
) -> None:
    revoked = {**ROW, "name": "a\x1b[31mb", "revoked_at": "2026-11-24T10:00:00+00:00"}
    server.script = lambda _: as_json({"keys": [ROW, revoked]})
    done = run("keys", "list")
    _, first, second = done.out.splitlines()
    assert {KEY_ID, "shop", "client", "default", "500"} <= set(first.split())
    assert "2026-11-24" in second
    assert "\x1b" not in done.out


def test_keys_alone_shows_its_commands(run: Run) -> None:
    done = run("keys")
    assert done.code == 2
    assert all(word in f"{done.out}{done.err}" for word in ("create", "revoke", "webhook-secret"))
    assert "Missing command" not in f"{done.out}{done.err}"


def test_each_filter_of_the_list_is_sent_and_no_other(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json({"tasks": [], "next_cursor": None})
    filters = {"status": "failed", "gtin": "9506000134352", "key": "shop"}
    times = {"created-since": "2026-11-23T10:00:00", "created-before": "2026-11-24T10:00:00"}
    given = {**filters, **times}
    for names in ([], *([name] for name in given), [*given]):
        assert run("list", *(f"--{name}={given[name]}" for name in names)).code == 0
        query = dict(parse_qsl(urlsplit(server.requests[-1].path).query))
        query.pop("limit", None)
        assert {*query} == {name.replace("-", "_") for name in names}
        assert {name: query[name] for name in names if name in filters} == {
            name: filters[name] for name in names if name in filters
        }


def test_listed_keys_as_json_are_a_document_per_line(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json({"keys": [ROW, {**ROW, "name": "other"}]})
    done = run("keys", "list", "--json")
    assert [json.loads(line) for line in done.out.splitlines()] == [ROW, {**ROW, "name": "other"}]


def test_a_revoked_key_is_named_with_the_time(server: ScriptedServer, run: Run) -> None:
    revoked = {**ROW, "revoked_at": "2026-11-24T10:00:00+00:00"}
    server.script = lambda _: as_json(revoked)
    done = run("keys", "revoke", KEY_ID)
    assert all(word in done.out for word in (KEY_ID, "shop", "2026-11-24T10:00:00+00:00"))
    assert json.loads(run("keys", "revoke", KEY_ID, "--json").out) == revoked
    assert sent(server) == [("DELETE", f"/keys/{KEY_ID}/")] * 2


@pytest.mark.parametrize("command", ["revoke", "rotate", "webhook-secret"])
def test_a_whole_key_in_place_of_its_id_is_not_sent(
    server: ScriptedServer, run: Run, command: str
) -> None:
    done = run("keys", command, TOKEN)
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert "secret" not in done.err.replace("webhook-secret", "")


@pytest.mark.parametrize("until", [None, "2026-11-30T10:00:00+00:00"])
def test_a_webhook_secret_is_printed_alone_and_its_predecessor_mentioned(
    server: ScriptedServer, run: Run, until: str | None
) -> None:
    made = {"key_id": KEY_ID, "webhook_secret": "whsec_AAAA", "former_signs_until": until}
    made["tenant"] = "ba9876543210"
    server.script = lambda _: as_json(made, 201)
    done = run("keys", "webhook-secret")
    assert (done.code, done.out) == (0, "whsec_AAAA\n")
    assert (str(until) in done.err) == (until is not None)
    assert json.loads(run("keys", "webhook-secret", KEY_ID, "--json").out) == made
    assert sent(server) == [
        ("POST", "/keys/self/webhook-secret/"),
        ("POST", f"/keys/{KEY_ID}/webhook-secret/"),
    ]


def test_a_key_of_a_tenant_and_with_an_end_is_created(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json({**ROW, "api_key": TOKEN}, 201)
    options = ("--tenant", "shops", "--expires-in-days", "90")
    assert run("keys", "create", "--name", "shop", *options).code == 0
    assert json.loads(server.requests[0].body) == {
        "name": "shop",
        "tenant": "shops",
        "expires_in_days": 90,
    }


@pytest.mark.parametrize(("options", "days"), [((), 7), (("--days", "0"), 0)])
def test_a_rotated_key_prints_the_new_one_alone_and_when_the_former_ends(
    server: ScriptedServer, run: Run, options: tuple[str, ...], days: int
) -> None:
    former = {**ROW, "expires_at": "2026-12-01T10:00:00+00:00"}
    made = {**ROW, "key_id": "ba9876543210", "api_key": TOKEN, "former": former}
    server.script = lambda _: as_json(made, 201)
    done = run("keys", "rotate", KEY_ID, *options)
    assert (done.code, done.out) == (0, f"{TOKEN}\n")
    assert "2026-12-01T10:00:00+00:00" in done.err
    assert sent(server) == [("POST", f"/keys/{KEY_ID}/rotate/")]
    assert json.loads(server.requests[0].body) == {"days": days}
    assert json.loads(run("keys", "rotate", KEY_ID, "--json").out) == made


def test_a_rotation_is_not_repeated(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: problem(503, "unavailable")
    assert run("keys", "rotate", KEY_ID).code == 3
    assert sent(server) == [("POST", f"/keys/{KEY_ID}/rotate/")]


IMPORTED = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"


def test_an_imported_token_is_read_from_standard_input_and_never_printed(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = lambda _: as_json({**ROW, "imported": True}, 201)
    lines = io.BytesIO(f"{IMPORTED}\r\n".encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(lines))
    done = run("keys", "import", "--token-stdin", "--name", "shop", "--per-day", "9")
    assert (done.code, done.out) == (0, f"{KEY_ID}\n")
    assert IMPORTED not in done.out + done.err
    assert sent(server) == [("POST", "/keys/import/")]
    body = {"name": "shop", "per_day": 9, "token": IMPORTED}
    assert json.loads(server.requests[0].body) == body


def test_an_import_without_the_option_sends_nothing(server: ScriptedServer, run: Run) -> None:
    done = run("keys", "import", "--name", "shop")
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert "--token-stdin" in done.err


@pytest.mark.parametrize(
    ("api_key", "shown"),
    [(TOKEN, KEY_ID), (IMPORTED, ""), (f"live_{IMPORTED[8:]}_x", ""), (f"x_{TOKEN}", "")],
)
def test_a_profile_shows_the_public_part_of_a_key_and_nothing_of_an_imported_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_key: str, shown: str
) -> None:
    path = tmp_path / "profile.toml"
    write_profile(path, Profile("http://127.0.0.1", api_key))
    monkeypatch.setenv("QRMILL_PROFILE", str(path))
    as_json = run("profile", "show", "--json")
    assert json.loads(as_json.out)["key_id"] == shown
    for done in (as_json, run("profile", "show")):
        assert done.code == 0
        assert not [part for part in api_key.split("_") if part not in KEY_ID and part in done.out]


def test_no_representation_of_an_import_has_the_token() -> None:
    assert IMPORTED not in repr(ImportKeyRequest("shop", token=IMPORTED))


def test_a_client_may_not_create_keys(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: problem(403, "forbidden")
    done = run("keys", "create", "--name", "shop")
    assert (done.code, done.out) == (1, "")
    assert "Words of the API." in done.err


@pytest.mark.parametrize(
    "option", ["--per-minute", "--per-day", "--items-per-minute", "--items-per-day"]
)
def test_a_rate_below_0_is_not_sent(run: Run, server: ScriptedServer, option: str) -> None:
    done = run("keys", "create", "--name", "shop", option, "-1")
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert option in done.err


def test_the_first_key_is_created_with_the_environment_of_the_service(
    run: Run, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[dict[str, Any]] = []

    class Service:
        def __init__(self, settings: Settings) -> None:
            self.bucket, self.api_keys = settings.bucket, self

        def create(self, **fields: Any) -> NewApiKey:  # noqa: ANN401 - as ApiKeys takes them
            created.append({"bucket": self.bucket, **fields})
            digest = hashlib.sha256(TOKEN.encode()).hexdigest()
            assert (fields.pop("tenant"), fields.pop("expires_in_days")) == (None, None)
            key = ApiKey(key_id=KEY_ID, sha256=digest, created_at=0, **fields)
            return NewApiKey(TOKEN, key)

    monkeypatch.setattr("api.cli.bootstrap.open_service", Service)
    monkeypatch.setenv("QRMILL_BUCKET", "ours")
    options = ("--name", "ops", "--role", "operator", "--per-day", "9", "--items-per-day", "7")
    done = run("keys", "create", "--bootstrap", *options)
    assert (done.code, done.out) == (0, f"{TOKEN}\n")
    fields = {"name": "ops", "role": "operator", "per_minute": 0, "per_day": 9}
    fields |= {"items_per_minute": 0, "items_per_day": 7}
    others = {"tenant": None, "expires_in_days": None, "link_bases": ()}
    assert created == [{"bucket": "ours", **fields, **others}]
    as_document = json.loads(run("keys", "create", "--bootstrap", *options, "--json").out)
    assert as_document == {
        **fields,
        "link_bases": [],
        "key_id": KEY_ID,
        "api_key": TOKEN,
        "created_at": "1970-01-01T00:00:00+00:00",
        "revoked_at": None,
        "expires_at": None,
        "last_used_at": None,
        "tenant": KEY_ID,
        "tenant_name": "ops",
        "imported": False,
    }
    assert server.requests == []


@pytest.mark.parametrize(
    ("variable", "value", "name", "code"),
    [
        ("QRMILL_CHUNK_SIZE", "many", "ops", 2),
        ("QRMILL_LOG_LEVEL", "info", "", 2),
        ("QRMILL_LOG_LEVEL", "info", "n" * 81, 2),
        ("QRMILL_S3_ENDPOINT_URL", "http://127.0.0.1:{port}", "ops", 3),
    ],
    ids=["a wrong setting", "no name", "a long name", "no S3"],
)
def test_why_the_first_key_was_not_created(  # noqa: PLR0917 - two fixtures and four parameters
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, code: int
) -> None:
    for setting in ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"QRMILL_{setting}", "x")
    monkeypatch.setenv(variable, value.format(port=free_port()))
    done = run("keys", "create", "--bootstrap", "--name", name)
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize(
    ("command", "requests"),
    [
        ("status", [("GET", f"/qr/bulk/{TASK}/")]),
        ("cancel", [("DELETE", f"/qr/bulk/{TASK}/")]),
        ("retry", [("POST", f"/qr/bulk/{TASK}/retry/"), ("GET", f"/qr/bulk/{TASK}/")]),
    ],
)
def test_a_command_about_a_task_prints_the_task(
    server: ScriptedServer, run: Run, command: str, requests: list[tuple[str, str]]
) -> None:
    answer = task("failed", error="It was cancelled.", error_code="cancelled")
    server.script = lambda _: as_json(answer)
    done = run(command, TASK)
    assert TASK in done.out
    assert "It was cancelled." in done.out
    assert sent(server) == requests
    assert json.loads(run(command, TASK, "--json").out) == answer


@pytest.mark.parametrize(
    ("field", "shown"),
    [({"verified": True}, "yes"), ({"verified": False}, "no"), ({}, "no")],
    ids=["verified", "not verified", "of an older service"],
)
def test_the_status_says_whether_a_bundle_is_verified(
    server: ScriptedServer, run: Run, field: dict[str, bool], shown: str
) -> None:
    bundle = {"bytes": 3, "sha256": "0" * 64, "expires_at": "2026-11-24T10:00:00+00:00", **field}
    server.script = lambda _: as_json(task("completed", bundle=bundle))
    done = run("status", TASK)
    assert [line.split() for line in done.out.splitlines() if "verified" in line] == [
        ["verified", shown]
    ]


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_task_in_the_wrong_state_is_left_alone(
    server: ScriptedServer, run: Run, command: str
) -> None:
    server.script = lambda _: problem(409, "not_possible")
    done = run(command, TASK)
    assert (done.code, done.out, len(server.requests)) == (1, "", 1)


def test_an_interrupted_download_exits_like_any_interrupted_program(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "download", interrupt)
    server.script = lambda _: Answer(500)
    done = run("download", TASK)
    assert (done.code, done.out) == (130, "")
    assert done.err
