"""The commands before a server that misbehaves on purpose, in this process; time passes at once."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

import openpyxl
import pytest

from api.cli.main import main
from api.client import Client
from deploy.embedded.ports import free_port
from tests.command_line import QRMILL, environment
from tests.unit.api.client.test_target import CANNOT_BE_WRITTEN
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import (
    LISTED_TASK,
    LOST,
    TASK,
    Answer,
    Clock,
    Request,
    ScriptedServer,
    accepted,
    as_json,
    problem,
    task,
)

GTIN = "9506000134352"
TOKEN = "qrmill_0123456789ab_ZcMBo6SPNQ8nYzSS1XVV6nSW0MLGPcYk1zMbWl"


class Done(NamedTuple):
    code: object
    out: str
    err: str


Qrmill = Callable[..., Done]


@pytest.fixture
def qrmill(
    server: ScriptedServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Qrmill:
    for name in [name for name in os.environ if name.startswith("QRMILL_")]:
        monkeypatch.delenv(name)
    for name, value in environment(QRMILL_URL=server.url, QRMILL_API_KEY=KEY).items():
        monkeypatch.setenv(name, value)
    quick = partial(Client, sleep=clock.sleep, clock=clock)
    monkeypatch.setattr("api.cli.options.Client", quick)

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["qrmill", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text("lot\nA\n")
    return path


def test_serials_need_no_file(server: ScriptedServer, qrmill: Qrmill) -> None:
    server.script = lambda _: accepted()
    fields = ("--field", "lot=L=1", "--field", "x_pallet=17")
    done = qrmill("submit", "--serials", "A0001:500:2", *fields, "--gtin", GTIN, "--size", "200")
    assert done.code == 0
    (sent,) = server.requests
    assert (sent.headers["Content-Type"], sent.body) == ("text/csv", b"")
    assert parse_qs(urlsplit(sent.path).query) == {
        "serials": ["A0001:500:2"],
        "lot": ["L=1"],
        "x_pallet": ["17"],
        "gtin": [GTIN],
        "size": ["200"],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--serials", "A1:2"],
        ["--serials", "A1:2", "--gtin", GTIN, "--input", "csv"],
        ["--serials", "A1:2", "--gtin", GTIN, "--field", "lot"],
        ["--serials", "A1:2", "--gtin", GTIN, "--field", "lot="],
        ["--serials", "A1:2", "--gtin", GTIN, "--field", "gtin=1"],
        ["--serials", "A1:2", "--gtin", GTIN, "--field", "lot=1", "--field", "lot=2"],
    ],
)
def test_serials_are_refused_with_a_file_or_with_malformed_fields(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, arguments: list[str]
) -> None:
    assert qrmill("submit", *arguments).code == 2
    assert qrmill("submit", csv, "--gtin", GTIN, "--serials", "A1:2").code == 2
    assert qrmill("submit", csv, "--gtin", GTIN, "--field", "lot=L").code == 2
    assert server.requests == []


def saying(words: str, answer: Answer) -> Answer:
    return answer._replace(body=answer.body.replace(b"Words of the API.", words.encode()))


def test_an_empty_idempotency_key_is_wrong_usage(
    server: ScriptedServer, qrmill: Qrmill, csv: Path
) -> None:
    server.script = lambda _: accepted()
    done = qrmill("submit", csv, "--gtin", GTIN, "--idempotency-key", "")
    assert (done.code, "Idempotency-Key" in done.err, server.requests) == (2, True, [])


NOTHING = "Too much waits; nothing was accepted."


@pytest.mark.parametrize(
    ("failure", "perhaps", "again"),
    [
        (LOST, True, True),
        (Answer(502), True, True),
        (Answer(503, b"<html>"), True, True),
        (Answer(504), True, True),
        (saying("It may have been accepted.", problem(503, "unavailable")), True, True),
        (problem(500, "internal"), True, True),
        (saying(NOTHING, problem(503, "backlog_full")), False, True),
        (problem(429, "over_rate"), False, True),
        (problem(409, "key_in_use"), False, True),
        (problem(422, "key_reused"), False, False),
        (Answer(404), False, False),
    ],
)
def test_the_fate_of_a_request_is_said_as_far_as_it_is_known(
    server: ScriptedServer,
    qrmill: Qrmill,
    csv: Path,
    failure: Answer,
    *,
    perhaps: bool,
    again: bool,
) -> None:
    server.script = lambda _: failure
    done = qrmill("submit", csv, "--gtin", GTIN, "--idempotency-key", "order 7")
    lines = done.err.splitlines()
    first = next(line for line in lines if not line.startswith("Retrying: "))
    assert (done.out, "The request may have been accepted. " in first) == ("", perhaps)
    assert first.endswith("Send it again with: --idempotency-key 'order 7'") == again


def completed(server: ScriptedServer, sha256: str) -> Answer:
    bundle = {"bytes": 3, "sha256": sha256, "expires_at": "2026-11-24T10:00:00+00:00"}
    url = f"{server.url}/bundle.zip?X-Amz-Signature=1"
    return as_json(task("completed", bundle=bundle, download_url=url))


@pytest.mark.parametrize(
    ("ends", "word"),
    [("refused", "401"), ("wrong", "SHA-256"), ("unwritable", "bundle.zip.part")],
)
def test_whatever_ends_the_wait_the_task_can_be_picked_up(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, tmp_path: Path, *, ends: str, word: str
) -> None:
    out = tmp_path / "bundle.zip"

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            if ends == "unwritable":  # from now on; before, it would be wrong usage
                out.with_name("bundle.zip.part").mkdir()
            return accepted()
        if request.path.startswith("/bundle"):
            return Answer(200, b"abc")
        return problem(401, "unauthorized") if ends == "refused" else completed(server, "0" * 64)

    server.script = answer
    done = qrmill("submit", csv, "--gtin", GTIN, "--json", "--out", out)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == f"Accepted: 2 items, task {TASK}."
    assert f"To continue waiting, run: qrmill wait {TASK} --out {out}\n" in done.err
    assert word in done.err


def test_a_task_that_there_is_not_cannot_be_picked_up(
    server: ScriptedServer, qrmill: Qrmill
) -> None:
    server.script = lambda _: problem(404, "not_found")
    done = qrmill("wait", TASK)
    assert (done.code, "continue waiting" in done.err) == (1, False)


def test_a_service_that_is_away_for_minutes_is_waited_for(
    server: ScriptedServer, qrmill: Qrmill, clock: Clock, csv: Path
) -> None:
    back = clock.now + 250

    def answer(request: Request) -> Answer:
        nonlocal back
        if clock.now < back:
            return LOST
        if request.method == "GET":
            return as_json(task("completed"))
        back = clock.now + 250  # from now on it is away again
        return accepted()

    server.script = answer
    done = qrmill("submit", csv, "--gtin", GTIN, "--wait")
    assert (done.code, done.out) == (0, f"{TASK}\n")


def test_a_service_that_stays_away_is_given_up_where_patience_ends(
    server: ScriptedServer, qrmill: Qrmill, clock: Clock
) -> None:
    server.script = lambda _: LOST
    begun = clock.now
    done = qrmill("wait", TASK)
    assert done.code == 3
    assert done.err.count("Retrying: GET ") == len(server.requests) - 1
    assert 300 - 30 <= clock.now - begun <= 300


@pytest.mark.parametrize("command", [["list"], ["doctor"], ["profile", "set"]])
@pytest.mark.parametrize("url", ["http://127.0.0.1:80a", "http://127.0.0.1:99999", "ftp://h"])
def test_a_mistyped_url_is_wrong_usage(qrmill: Qrmill, command: list[str], url: str) -> None:
    done = qrmill(*command, "--url", url)
    assert (done.code, "API URL" in done.err) == (2, True)


def test_a_refused_connection_names_the_url_and_where_it_is_set(qrmill: Qrmill) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    done = qrmill("list", "--url", url)
    first, hint = done.err.splitlines()
    assert (done.code, done.out) == (3, "")
    assert first.startswith(f"qrmill: GET {url}/qr/bulk/ failed: ConnectError: ")
    assert "QRMILL_URL" in hint


def test_an_input_file_that_cannot_be_read_is_wrong_usage(qrmill: Qrmill, tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        done = qrmill("submit", file, "--gtin", GTIN)
        assert (done.code, str(file) in done.err) == (2, True)


def test_a_script_is_told_that_there_are_more(server: ScriptedServer, qrmill: Qrmill) -> None:
    server.script = lambda _: as_json({"tasks": [LISTED_TASK, LISTED_TASK], "next_cursor": None})
    for arguments in ([], ["--json"]):
        cut = qrmill("list", "--limit", "1", *arguments)
        assert cut.err == "There are more than 1 tasks; use --limit to list more.\n"
        whole = qrmill("list", "--limit", "2", *arguments)
        assert (whole.code, whole.err, whole.out.count(TASK)) == (0, "", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "-", "--format", "gif"], "'--format': 'gif' is not one of 'svg', 'png',"),
        (["submit", "-", "--pages", "all"], "'--pages': 'all' is not one of 'each', 'single'."),
        (["submit", "-", "--xdim", "wide"], "'--xdim': Input should be a valid number"),
        (["list", "--created-since", "soon"], "'--created-since': 'soon' does not match"),
        (["keys", "create", "--name", "a", "--role", "b"], "'--role': 'b' is not one of 'client'"),
        (["worker", "--queue", "rendr"], "'--queue': 'rendr' is not one of 'render',"),
    ],
)
def test_an_invalid_choice_is_reported_without_a_fragment(
    qrmill: Qrmill, arguments: list[str], message: str
) -> None:
    done = qrmill(*arguments)
    assert (done.code, f"Invalid value for {message}" in done.err) == (2, True), done.err


@pytest.mark.parametrize("command", ["revoke", "webhook-secret"])
def test_a_whole_key_is_not_sent_as_a_keys_id(
    server: ScriptedServer, qrmill: Qrmill, command: str
) -> None:
    done = qrmill("keys", command, TOKEN)
    assert (done.code, server.requests) == (2, [])
    assert "qrmill keys list" in done.err
    assert TOKEN[-20:] not in done.err


@pytest.mark.parametrize(
    ("key", "words"), [("", "no API key is set"), ("not a key", "characters that no API key has")]
)
def test_the_doctor_fails_without_a_usable_api_key(
    server: ScriptedServer, qrmill: Qrmill, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    server.script = lambda _: as_json({"status": "ok"})
    monkeypatch.setenv("QRMILL_API_KEY", key)
    done = qrmill("doctor")
    finding, advice = done.out.splitlines()[-2:]
    assert (done.code, finding.split()[:3]) == (1, ["fail", "api", "key"])
    assert words in finding
    assert "Set QRMILL_API_KEY" in advice
    assert [request.path for request in server.requests] == ["/healthz", "/readyz"]


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_output_that_nobody_reads_ends_a_command_quietly(
    server: ScriptedServer, command: str
) -> None:
    server.script = lambda _: as_json({"tasks": [], "next_cursor": None})
    ours, its = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [QRMILL, command],
        env=environment(QRMILL_URL=server.url, QRMILL_API_KEY=KEY),
        stdout=its,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(its)
    assert (done.returncode, done.stderr) == (141, "")


WARNINGS = {
    "warnings": [
        {"pointer": "/items/1/serial", "code": "a", "detail": "Twice.", "line": 3, "column": 2},
        {"pointer": "/gtin", "code": "b", "detail": "Red \x1b[31m."},
    ],
    "warnings_total": 7,
}
PRINTED = [
    "Warning: line 3, column 2, /items/1/serial: Twice.",
    "Warning: /gtin: Red \N{REPLACEMENT CHARACTER}[31m.",
    "and 5 more warnings",
]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_warnings_are_printed_on_standard_error(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, options: list[str]
) -> None:
    document = json.loads(accepted().body) | WARNINGS
    server.script = lambda _: as_json(document, 202)
    done = qrmill("submit", csv, "--gtin", GTIN, *options)
    assert (done.code, done.err.splitlines()[1:]) == (0, PRINTED)
    if options:
        assert json.loads(done.out)["warnings"] == document["warnings"]
    assert done.out.count("Twice") == len(options)


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("accepts", [True, False])
def test_warnings_of_a_dry_run_are_printed_on_standard_error(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, options: list[str], *, accepts: bool
) -> None:
    document = {"would_accept": accepts, "items": 2, "symbols": [], "errors": [], "errors_total": 0}
    server.script = lambda _: as_json(document | WARNINGS)
    done = qrmill("submit", csv, "--gtin", GTIN, "--dry-run", *options)
    assert (done.code, done.err.splitlines()) == (not accepts, PRINTED)
    assert done.out.count("Twice") == len(options)


def test_invalid_values_that_a_dry_run_finds_are_printed_on_standard_error(
    server: ScriptedServer, qrmill: Qrmill, csv: Path
) -> None:
    place = {"pointer": "/items/0/lot", "line": 2, "column": 1}
    errors = [{**place, "code": "invalid_characters", "detail": "use other characters"}]
    document = {"would_accept": False, "items": 2, "symbols": []}
    server.script = lambda _: as_json(document | {"errors": errors, "errors_total": 3})
    done = qrmill("submit", csv, "--gtin", GTIN, "--dry-run")
    assert (done.code, done.out) == (1, "2 items; 3 invalid values\n")
    assert "line 2, column 1, /items/0/lot: use other characters" in done.err
    assert "2 more" in done.err


def test_a_service_without_warnings_has_none(
    server: ScriptedServer, qrmill: Qrmill, csv: Path
) -> None:
    server.script = lambda _: accepted()
    done = qrmill("submit", csv, "--gtin", GTIN, "--json")
    assert (done.err.count("\n"), json.loads(done.out)["warnings_total"]) == (1, 0)


def test_strict_is_a_field_of_the_request(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.json"
    whole.write_text('{"gtin": "9506000134352", "items": [{}]}')
    server.script = lambda _: accepted()
    for file, options in ((csv, ["--gtin", GTIN]), (whole, [])):
        assert qrmill("submit", file, "--strict", *options).code == 0
        assert qrmill("submit", file, *options).code == 0
    sent = [(request.path.partition("?")[2], request.body) for request in server.requests]
    assert [query for query, _ in sent] == [f"gtin={GTIN}&strict=true", f"gtin={GTIN}", "", ""]
    assert json.loads(sent[2][1]) == {"gtin": GTIN, "items": [{}], "strict": True}
    assert b"strict" not in sent[3][1]
    with Client(server.url, KEY) as client:
        client.submit_csv(b"lot", gtin=GTIN, strict=False)
    assert server.requests[-1].path.endswith("strict=false")


PRINT_OPTIONS = {
    "format": ("--format", "pdf"),
    "xdim_mm": ("--xdim", 0.5),
    "dpi": ("--dpi", 600),
    "version": ("--min-version", 7),
    "pages": ("--pages", "single"),
    "datamerge": ("--datamerge", True),
}


@pytest.mark.parametrize("names", [[name] for name in PRINT_OPTIONS] + [[*PRINT_OPTIONS]])
def test_the_options_for_printing_are_fields_of_the_request(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, tmp_path: Path, names: list[str]
) -> None:
    items, whole = tmp_path / "items.json", tmp_path / "whole.json"
    items.write_text("[{}]")
    whole.write_text(json.dumps({"gtin": GTIN, "items": [{}], "format": "svg", "pages": "each"}))
    given = {name: PRINT_OPTIONS[name] for name in names}
    options = [
        word
        for option, value in given.values()
        for word in ([option] if value is True else [option, str(value)])
    ]
    server.script = lambda _: accepted()
    for file in (csv, items, whole):
        shared = [] if file == whole else ["--gtin", GTIN]
        assert qrmill("submit", file, *shared, *options).code == 0
    of_csv, of_items, of_whole = server.requests
    fields = {name: value for name, (_, value) in given.items()}
    query = dict(parse_qsl(of_csv.path.partition("?")[2]))
    assert query == {"gtin": GTIN} | {
        name: "true" if value is True else str(value) for name, value in fields.items()
    }
    assert json.loads(of_items.body) == {"gtin": GTIN, "items": [{}], **fields}
    assert json.loads(of_whole.body) == json.loads(whole.read_text()) | fields


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity"])
def test_an_x_dimension_that_is_no_number_is_not_sent_as_none(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, value: str
) -> None:
    done = qrmill("submit", csv, "--gtin", GTIN, "--xdim", value)
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert "invalid xdim_mm: must be a finite number" in done.err


def test_a_dry_run_prints_the_size_of_each_version(
    server: ScriptedServer, qrmill: Qrmill, csv: Path
) -> None:
    sizes: list[dict[str, float | None]] = [
        {"width_px": 400, "width_mm": None, "xdim_mm": None},
        {"width_px": 246, "width_mm": 20.828, "xdim_mm": 0.508},
        {"width_px": None, "width_mm": 20.295, "xdim_mm": 0.495},
        {"width_px": None, "width_mm": 141.111111, "xdim_mm": 3.0},
        {},  # of a service that does not report sizes
    ]
    version = {"version": 4, "error_correction": "M", "count": 2}
    symbols = [{**version, **size} for size in sizes]
    document = {"would_accept": True, "items": 10, "symbols": symbols}
    server.script = lambda _: as_json(document | {"errors": [], "errors_total": 0})
    done = qrmill("submit", csv, "--gtin", GTIN, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "10 items; 0 invalid values",
        "version 4-M: 2 symbols, 400 pixels wide",
        "version 4-M: 2 symbols, 246 pixels wide, 20.828 mm wide, X-dimension 0.508 mm",
        "version 4-M: 2 symbols, 20.295 mm wide, X-dimension 0.495 mm",
        "version 4-M: 2 symbols, 141.111 mm wide, X-dimension 3 mm",
        "version 4-M: 2 symbols",
    ]


@pytest.mark.parametrize("make", CANNOT_BE_WRITTEN)
@pytest.mark.parametrize(
    "command", [["submit", "-", "--gtin", GTIN], ["wait", TASK], ["download", TASK]]
)
def test_a_bundle_that_cannot_be_written_is_wrong_usage(
    server: ScriptedServer,
    qrmill: Qrmill,
    tmp_path: Path,
    command: list[str],
    make: Callable[[Path], object],
) -> None:
    out = tmp_path / "bundle.zip"
    make(out)
    done = qrmill(*command, "--out", out)
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert "Invalid value for '--out': " in done.err
    # The message stands in a box, whose width may break a long path anywhere.
    assert re.search("bundle.zip|missing", re.sub(r"[│\s]+", "", done.err))


def test_the_default_name_of_a_bundle_is_checked_too(
    server: ScriptedServer, qrmill: Qrmill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{TASK}.zip").mkdir()
    for task_id, reason in ((TASK, "Is a directory."), ("missing/task", "missing: the folder")):
        done = qrmill("download", task_id)
        assert (done.code, done.out, server.requests) == (2, "", [])
        assert reason in done.err
    tmp_path.joinpath("gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    tmp_path.joinpath("gone").rmdir()
    done = qrmill("download", TASK)
    assert (done.code, f"{TASK}.zip: No such file or directory." in done.err) == (2, True)


@pytest.mark.parametrize(
    "command", [["submit", "-", "--gtin", GTIN], ["wait", TASK], ["download", TASK]]
)
def test_json_and_a_bundle_do_not_share_an_output(
    server: ScriptedServer, qrmill: Qrmill, csv: Path, command: list[str]
) -> None:
    done = qrmill(*(str(csv) if word == "-" else word for word in command), "--out", "-", "--json")
    assert (done.code, done.out, server.requests) == (2, "", [])
    assert "--json" in done.err


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00"]
)
@pytest.mark.parametrize("options", [["--gtin", GTIN], ["--gtin", GTIN, "--input", "csv"]])
def test_what_is_no_workbook_that_can_be_read_is_not_sent(
    server: ScriptedServer, qrmill: Qrmill, tmp_path: Path, content: bytes, options: list[str]
) -> None:
    (tmp_path / "items.xlsx").write_bytes(content)
    done = qrmill("submit", tmp_path / "items.xlsx", *options)
    assert (done.code, server.requests) == (2, [])
    assert "Excel workbook" in done.err
    assert "CSV UTF-8" in done.err


def test_the_first_sheet_of_a_workbook_is_sent_as_csv_and_a_number_is_refused(
    server: ScriptedServer, qrmill: Qrmill, tmp_path: Path
) -> None:
    book, path = openpyxl.Workbook(), tmp_path / "items.xlsx"
    book.active.append(["serial"])
    book.active.append(["0012"])
    book.save(path)
    server.script = lambda _: accepted()
    assert qrmill("submit", path, "--gtin", GTIN).code == 0
    (request,) = server.requests
    assert (request.headers["content-type"], request.body) == ("text/csv", b"serial\r\n0012\r\n")
    refused = qrmill("submit", path)
    assert (refused.code, "--gtin" in refused.err) == (2, True)
    for _ in range(12):
        book.active.append([12])
    book.save(path)
    refused = qrmill("submit", path, "--gtin", GTIN)
    assert refused.code == 2
    lines = refused.err.splitlines()
    assert lines[0].startswith("qrmill: Row 3, column A ('serial'): The cell is the number 12")
    assert lines[9].startswith("Row 12, column A ('serial'): The cell is the number 12")
    assert lines[10:] == ["12 cells are refused; the first 10 are listed."]
    assert len(server.requests) == 1


def test_the_version_is_printed_by_itself(qrmill: Qrmill) -> None:
    done = qrmill("--version")
    assert (done.code, done.out, done.err) == (0, f"qrmill {version('qrmill')}\n", "")
    assert qrmill("status", "--version").code == 2  # an option of the program alone
