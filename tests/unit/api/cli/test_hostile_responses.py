"""Responses whose every text would command the terminal, printed by every command."""

import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.cli.main import main
from api.cli.options import _offer_tasks
from api.client import Client, wire_types
from tests.command_line import at_a_terminal, environment
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import TASK, Answer, Clock, Request, ScriptedServer, as_json

#: Sets the title and the colour (in 7 and in 8 bits), reverses the text, deletes, and adds a line.
POISON = "\x1b]0;title\x07\x1b[31m\x9b31m\u202e\u2066\u200b\u2028\x7f\x00\r\nqrmill: a lie\tx"
#: What only a response can have brought; a table has colours of its own.
COMMANDS = re.compile("\x1b\\]|\x1b\\[31m|[\x07\x9b\u202e\u2066\u200b\u2028\x7f\x00]")
KEY_ID = "0123456789ab"


def poisoned(kind: Any, **fixed: object) -> Any:  # noqa: ANN401 - any type, any JSON
    """Return JSON of a type whose every text is the poison."""
    return _poisoned(msgspec.inspect.type_info(kind), fixed)


def _poisoned(  # noqa: PLR0911 - a case per kind
    kind: msgspec.inspect.Type, fixed: dict[str, object]
) -> Any:  # noqa: ANN401 - any JSON
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            return {
                field.name: fixed[field.name]
                if field.name in fixed
                else _poisoned(field.type, fixed)
                for field in fields
            }
        case msgspec.inspect.ListType(item_type=inner):
            return [_poisoned(inner, fixed)] * 2
        case msgspec.inspect.UnionType(types=types):
            first = next(t for t in types if not isinstance(t, msgspec.inspect.NoneType))
            return _poisoned(first, fixed)
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.StrType():
            return POISON
        case msgspec.inspect.BoolType():
            return True
        case _:
            return 1


STATUS = poisoned(wire_types.TaskStatus)
ENDED = poisoned(wire_types.TaskStatus, status="failed")
TASKS = {"tasks": [poisoned(wire_types.TaskSummary)], "next_cursor": None}
CHUNKS = {"chunks": [poisoned(wire_types.ChunkResponse)], "next_cursor": None}
ACCEPTED = poisoned(wire_types.Accepted)
NEW_KEY = poisoned(wire_types.NewKeyResponse)
RESPONSES: list[tuple[list[str], object]] = [
    (["status", TASK], STATUS),
    (["status", TASK], ENDED),
    (["wait", TASK], ENDED),
    (["retry", TASK], ACCEPTED),
    (["retry", TASK], STATUS),
    (["cancel", TASK], STATUS),
    (["download", TASK], ENDED),
    (["download", TASK], poisoned(wire_types.TaskStatus, status="completed")),
    (["list"], TASKS),
    (["chunks", TASK], CHUNKS),
    (["submit", "-", "--gtin", "96385074"], ACCEPTED),
    (["submit", "-", "--gtin", "96385074", "--wait"], ACCEPTED),
    (["submit", "-", "--gtin", "96385074", "--dry-run"], poisoned(wire_types.DryRun)),
    (["keys", "create", "--name", "a"], NEW_KEY),
    (["keys", "list"], {"keys": [poisoned(wire_types.KeyResponse)]}),
    (["keys", "rotate", KEY_ID], poisoned(wire_types.RotatedKeyResponse)),
    (["keys", "revoke", KEY_ID], poisoned(wire_types.KeyResponse)),
    (["keys", "webhook-secret"], poisoned(wire_types.WebhookSecretResponse)),
    (["doctor"], {"status": "ok", "unavailable": [POISON]}),
]
HEADERS = {
    "RateLimit-Policy": "\x9b31m",
    "X-Request-ID": "\x9b31m",
    "Date": "\x9b31m",
    "Content-Type": "text/\x9b31m",
    "Retry-After": "\x9b",
}
#: Responses to a request of any command: each status with a problem, and with a text.
ERRORS = [
    *(as_json(poisoned(wire_types.Problem), status) for status in (400, 401, 404, 422, 500, 503)),
    *(Answer(status, POISON.encode(), HEADERS) for status in (200, 302, 404, 502)),
    Answer(302, b"", {"Location": "http://\x9b31m/"}),
]
Run = Callable[[list[str]], str]


@pytest.fixture
def run(
    server: ScriptedServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Run a command, and return what it has printed on both streams."""
    for name in [name for name in os.environ if name.startswith("QRMILL_")]:
        monkeypatch.delenv(name)
    for name, value in environment(QRMILL_URL=server.url, QRMILL_API_KEY=KEY).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("api.cli.options.Client", partial(Client, sleep=clock.sleep, clock=clock))
    monkeypatch.setattr("api.cli.request_file.read_input", lambda: b"lot\nA\n")
    monkeypatch.chdir(tmp_path)

    def run_command(arguments: list[str]) -> str:
        monkeypatch.setattr("sys.argv", ["qrmill", *arguments])
        with pytest.raises(SystemExit):
            main()
        return "".join(capsys.readouterr())

    return run_command


def check(printed: str) -> None:
    assert printed
    for line in printed.split("\n"):
        assert line.replace("\t", "").isprintable(), line
        assert not line.startswith("qrmill: a lie")
        assert "\tx" not in line


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(("command", "document"), RESPONSES)
def test_a_response_is_printed_as_text(
    server: ScriptedServer, run: Run, command: list[str], document: object, options: list[str]
) -> None:
    server.script = lambda _: Answer(200, json.dumps(document).encode(), HEADERS)
    check(run([*command, *options]))


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("command", {tuple(command): 0 for command, _ in RESPONSES})
def test_an_error_is_printed_as_text(
    server: ScriptedServer, run: Run, command: tuple[str, ...], error: Answer, options: list[str]
) -> None:
    server.script = lambda _: error
    check(run([*command, *options]))


def test_json_keeps_every_character(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: as_json(STATUS)
    assert json.loads(run(["status", TASK, "--json"])) == STATUS


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(
    ("command", "document"),
    [
        (["list"], TASKS),
        (["status", TASK], STATUS),
        (["wait", TASK], ENDED),
        (["chunks", TASK], CHUNKS),
    ],
)
def test_a_terminal_gets_no_commands(
    server: ScriptedServer, command: list[str], document: object, options: list[str]
) -> None:
    def answer(_: Request) -> Answer:
        return as_json(document)

    server.script = answer
    own = {"QRMILL_URL": server.url, "QRMILL_API_KEY": KEY}
    with at_a_terminal(*command, *options, **own) as shell:
        shell.end()
        assert "a lie" in shell.shown
        assert not COMMANDS.search(shell.shown)
        assert not re.search("^qrmill: a lie", shell.shown, re.MULTILINE)


@pytest.mark.usefixtures("run")  # for its environment
def test_the_shell_completes_task_ids_only(server: ScriptedServer) -> None:
    known = poisoned(wire_types.TaskSummary)
    rows = [{**known, "task_id": text} for text in (POISON, "$(reboot)", TASK)]
    server.script = lambda _: as_json({"tasks": rows, "next_cursor": None})
    assert [task_id for task_id, _ in _offer_tasks("")] == [TASK]
