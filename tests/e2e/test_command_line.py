"""``qrmill`` against the whole service, with pipes and at a terminal."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import httpx2
import pytest

from deploy.embedded.running import RunningStack
from tests.command_line import at_a_terminal, qrmill

GTIN = "9506000134352"
NOBODY = "http://127.0.0.1:1"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def api(stack: RunningStack, client: httpx2.Client) -> dict[str, str]:
    return {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": client.headers["X-API-Key"]}


@pytest.fixture(scope="session")
def csv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("items") / "items.csv"
    path.write_text("".join(["lot,serial\n", *(f"L-{n % 7},{n:05}\n" for n in range(5000))]))
    return path


def members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        return bundle.namelist()


def test_a_csv_file_is_submitted_waited_for_and_downloaded(
    api: dict[str, str], csv_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle.zip"
    options = ["--gtin", GTIN, "--format", "svg", "--wait", "--out", str(out)]
    done = qrmill("submit", csv_file, *options, **api)
    assert done.returncode == 0, done.stderr
    task_id = done.stdout.removesuffix("\n")
    assert UUID.fullmatch(task_id)
    lines = done.stderr.splitlines()
    assert (lines[0], lines[-2:]) == (
        f"Accepted: 5000 items, task {task_id}.",
        ["completed: 100 %", f"The bundle was written to {out}."],
    )
    assert "\x1b" not in done.stderr
    assert members(out)[-1] == "05000_L-1_04999.svg"


def test_the_answers_of_one_task_as_json(api: dict[str, str], tmp_path: Path) -> None:
    request = {"gtin": GTIN, "items": [{"serial": "1"}, {"serial": "2"}], "format": "png"}
    sent = [
        qrmill(
            "submit",
            "-",
            "--json",
            "--idempotency-key",
            f"order {tmp_path}",
            given=json.dumps(request),
            **api,
        )
        for _ in range(2)
    ]
    first, again = (json.loads(done.stdout) for done in sent)
    assert (first["items"], first["replayed"], again["replayed"]) == (2, False, True)
    task_id = first["task_id"]
    assert again["task_id"] == task_id
    waited = json.loads(qrmill("wait", task_id, "--json", **api).stdout)
    assert (waited["status"], waited["items"]) == ("completed", 2)
    (chunk,) = qrmill("chunks", task_id, "--json", **api).stdout.splitlines()
    assert json.loads(chunk)["state"] == "staged"
    refused = qrmill("cancel", task_id, "--json", **api)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not_possible" in refused.stderr
    for _ in range(2):
        purged = qrmill("purge", task_id, **api)
        assert (purged.returncode, purged.stdout) == (0, "")
        assert purged.stderr == f"Purged {task_id}.\n"
    unknown = qrmill("status", task_id, **api)
    assert (unknown.returncode, "not_found" in unknown.stderr) == (1, True)


def test_every_bad_value_is_told_with_its_place(api: dict[str, str]) -> None:
    rows = "lot,serial\n" + "".join(f"L-1,a {n}\n" for n in range(7))
    done = qrmill("submit", "-", "--gtin", "9506000134353", given=rows, **api)
    assert (done.returncode, done.stdout) == (1, "")
    assert "/gtin: " in done.stderr
    for number in range(7):
        assert f"line {number + 2}, column 2, /items/{number}/serial: " in done.stderr
    tried = qrmill("submit", "-", "--gtin", GTIN, "--dry-run", "--json", given=rows, **api)
    answer = json.loads(tried.stdout)
    assert (tried.returncode, answer["would_accept"], answer["errors_total"]) == (1, False, 7)


def test_warnings_are_printed_and_strict_makes_them_errors(api: dict[str, str]) -> None:
    rows = "lot,serial\nL-1,9.5E+12\nL-1,9.5E+12\n"
    arguments = ["submit", "-", "--gtin", GTIN]
    sent = qrmill(*arguments, given=rows, **api)
    tried = qrmill(*arguments, "--dry-run", given=rows, **api)
    for done in (sent, tried):
        assert done.returncode == 0
        assert "Warning" not in done.stdout
        warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
        assert len(warnings) == 3
        assert warnings[0].startswith("Warning: line 2, column 2, /items/0/serial: '9.5E+12'")
    for options in ([], ["--dry-run"]):
        done = qrmill(*arguments, "--strict", *options, given=rows, **api)
        assert (done.returncode, UUID.search(done.stdout)) == (1, None)
        assert "line 3, column 2, /items/1/serial: " in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("text", ["lot;note\nA;{}\n", '[{{"lot": "{}"}}]', "lot,serial\n{},1\n"])
def test_a_file_of_another_encoding_is_read_or_explained(
    api: dict[str, str], tmp_path: Path, encoding: str, text: str
) -> None:
    file = tmp_path / "items"
    file.write_bytes(text.format("Ä").encode(encoding))
    done = qrmill("submit", file, "--gtin", GTIN, "--dry-run", **api)
    if encoding == "cp1252":
        assert "Windows-1252" in done.stderr
        assert "UTF-8" in done.stderr
        assert done.returncode == (2 if text.startswith("[") else 1)
    else:  # it is read: what is wrong is the value or the column
        assert "lot" in done.stderr or "note" in done.stderr
        assert "UTF" not in done.stderr


def test_what_goes_wrong_is_told_and_its_kind_by_the_exit_code(
    api: dict[str, str], tmp_path: Path
) -> None:
    unknown = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
    readable = tmp_path / "profile.toml"
    readable.write_text('api_key = "secret"\n')
    readable.chmod(0o640)
    for arguments, environ, code, word in (
        (["submit", "-"], api, 2, "--gtin"),
        (["list"], {"QRMILL_PROFILE": str(readable)}, 2, f"chmod 600 {readable}"),
        (["status", unknown], api, 1, "404 not_found"),
        (["submit", str(tmp_path / "none.csv"), "--gtin", GTIN], api, 2, "none.csv"),
    ):
        done = qrmill(*arguments, **environ)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert word in done.stderr
        assert "Traceback" not in done.stderr
        assert api["QRMILL_API_KEY"] not in done.stderr


def test_a_profile_file_is_used_and_the_environment_beats_it(
    api: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "qrmill" / "profile.toml"
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    made = qrmill(
        "profile", "set", "--url", api["QRMILL_URL"], given=f"{api['QRMILL_API_KEY']}\n", **home
    )
    assert made.returncode == 0, made.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert qrmill("list", **home).returncode == 0
    assert qrmill("list", **home, QRMILL_API_KEY="unknown").returncode == 1


def test_ctrl_c_while_waiting_says_how_to_pick_the_job_up_again(
    api: dict[str, str], csv_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a bundle.zip"
    with at_a_terminal("submit", csv_file, "--gtin", GTIN, "--wait", "--out", out, **api) as shell:
        shell.wait_to_show("/5000")  # the progress bar
        shell.type("\x03")
        assert shell.end() == 130
    assert "\x1b[" in shell.shown
    assert not out.exists()
    words = re.sub(r"\s+", " ", shell.shown)
    (command,) = re.findall(r"To continue waiting, run: qrmill (.*\.zip')", words)
    done = qrmill(*shlex.split(command), **api)
    assert done.returncode == 0, done.stderr
    assert len(members(out)) == 5002


def test_a_terminal_gets_a_table_without_colours_if_it_wants_none(api: dict[str, str]) -> None:
    with at_a_terminal("list", "--limit", "1", NO_COLOR="1", **api) as shell:
        assert shell.end() == 0
    assert UUID.search(shell.shown)
    assert "There are more than 1" in shell.shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shell.shown)


def test_the_sweep_says_what_it_takes_instead_of_sweeping() -> None:
    told = qrmill("sweep", "--help")
    assert (told.returncode, "--once" in told.stdout) == (0, True)
    mistyped = qrmill("sweep", "--onec")
    assert (mistyped.returncode, "--onec" in mistyped.stderr) == (2, True)


def test_the_shell_is_offered_task_ids(api: dict[str, str]) -> None:
    (task,) = [json.loads(qrmill("list", "--limit", "1", "--json", **api).stdout)["task_id"]]
    asked = {"COMP_WORDS": f"qrmill status {task[:8]}", "COMP_CWORD": "2"}
    done = qrmill(_QRMILL_COMPLETE="complete_bash", **asked, **api)
    assert task in done.stdout.split()
    away = qrmill(_QRMILL_COMPLETE="complete_bash", **asked, **{**api, "QRMILL_URL": NOBODY})
    assert (away.stdout.strip(), "Traceback" in away.stderr) == ("", False)
