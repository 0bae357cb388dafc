"""``qrmill`` in the environments of other machines: proxies, certificates, streams, encodings."""

import json
import os
import pwd
import shlex
import subprocess
from pathlib import Path

import pytest

from deploy.embedded.ports import free_port
from deploy.embedded.running import RunningStack
from tests.command_line import QRMILL, at_a_terminal, environment, qrmill
from tests.devices import device

GTIN = "9506000134352"
KEY_NAME = "Žofie Σ 店 café"
#: A user id that the machine does not know, as containers have it.
NOBODY_KNOWS = 64_321
#: Runs a command as that user, who can read what the user of the tests can.
AS_NOBODY = (
    [
        *("setpriv", f"--reuid={NOBODY_KNOWS}"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    ]
    if os.getuid() == 0
    else ["unshare", "--user", f"--map-user={NOBODY_KNOWS}"]
)


@pytest.fixture(autouse=True)
def no_proxies_and_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what a test sets itself, because an empty variable is not one that is missing."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def api(stack: RunningStack) -> dict[str, str]:
    """Return the environment of a key with a name that few encodings have, and one task."""
    with stack.client("operator") as operator:
        token = operator.post("/keys/", json={"name": KEY_NAME}).json()["api_key"]
    found = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": token}
    done = qrmill("submit", "-", "--gtin", GTIN, "--wait", given="lot\nA\n", **found)
    assert done.returncode == 0, done.stderr
    return found


def shell(line: str, **own: str) -> "subprocess.CompletedProcess[str]":
    """Run ``qrmill`` with arguments and redirections."""
    return subprocess.run(
        ["bash", "-c", f"{shlex.quote(str(QRMILL))} {line}"],
        env=environment(**own),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


COMMANDS = ["list", "doctor", "submit -", "keys list", f"download {'0' * 8}"]


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"ALL_PROXY": "ftp://127.0.0.1:9", "HTTPS_PROXY": "http://[::1"},
        {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        {"NO_PROXY": "[::1]", "HTTP_PROXY": "http://127.0.0.1:9"},
        {"NO_PROXY": "[::1, ://, http://[", "no_proxy": "300.1.1.1/99"},
    ],
)
def test_proxies_do_not_matter_on_loopback(api: dict[str, str], variables: dict[str, str]) -> None:
    done = qrmill("list", **{**api, **variables})
    assert (done.returncode, done.stderr) == (0, "")
    url = api["QRMILL_URL"].replace("127.0.0.1", "localhost")
    assert qrmill("doctor", **{**api, **variables, "QRMILL_URL": url}).stdout.count("\nok ") >= 4


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://user:hush@127.0.0.1:9"},
        {"HTTP_PROXY": "http://user:hush/@127.0.0.1:9"},
        {"http_proxy": "ftp://127.0.0.1:9"},
        {"SSL_CERT_FILE": "/nope"},
        {"SSL_CERT_DIR": "/nope"},
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    api: dict[str, str], command: str, variables: dict[str, str]
) -> None:
    option = f" --gtin {GTIN}" if "submit" in command else ""
    done = shell(f"{command}{option}", **{**api, "QRMILL_URL": "http://api.invalid", **variables})
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert next(iter(variables)) in line
    assert "hush" not in line


def test_a_failed_connection_names_its_proxy(api: dict[str, str]) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    away = {**api, "HTTP_PROXY": f"user:hush@{proxy}", "QRMILL_URL": "http://api.invalid"}
    for command, code in (("list", 3), ("doctor", 1)):
        done = qrmill(command, **away)
        assert done.returncode == code
        assert f"through the proxy http://{proxy} of HTTP_PROXY" in done.stdout + done.stderr
        assert "hush" not in done.stdout + done.stderr


def test_closed_streams_are_named(api: dict[str, str]) -> None:
    listed = shell("list", **api)
    for line, code, words in (
        ("list >&-", 2, "Standard output is closed."),
        ("doctor >&-", 2, "Standard output is closed."),
        ("profile show >&-", 2, "Standard output is closed."),
        (f"submit - --gtin {GTIN} <&-", 2, "Standard input is closed"),
        ("profile set <&-", 2, "Standard input is closed"),
        (f"submit - --gtin {GTIN} <&- >&-", 2, "Standard output is closed."),
        ("list 1</dev/null", 1, "standard output: Bad file descriptor"),
    ):
        done = shell(line, **api)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
        assert words in done.stderr
    for line in ("list <&-", "list 2>&-", "list <&- 2>&-"):
        done = shell(line, **api)
        assert (done.returncode, done.stdout, done.stderr) == (0, listed.stdout, "")
    assert shell("status nothing 2>&-", **api).returncode == 1


def test_a_full_device_is_named(api: dict[str, str], tmp_path: Path) -> None:
    full = device("full", tmp_path)
    for line in ("list", "list --json", "doctor", f"submit - --gtin {GTIN} --dry-run <<<lot"):
        done = shell(f"{line} >{full}", **api)
        assert done.returncode == 1, line
        assert done.stderr.splitlines()[-1] == "qrmill: standard output: No space left on device"
    assert shell(f"status nothing 2>{full}", **api).returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
def test_text_that_the_encoding_does_not_have_is_escaped(
    api: dict[str, str], encoding: str
) -> None:
    for line in ("list", "list --json", "--help"):
        done = subprocess.run(
            [QRMILL, *line.split()],
            env=environment(**api, PYTHONIOENCODING=encoding),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode(encoding)
        if line == "list":
            assert KEY_NAME.encode(encoding, "backslashreplace").decode(encoding) in text
        elif line != "--help":
            assert json.loads(text)["key"] == KEY_NAME


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\u017dofie"), ("utf-8", "Žofie")])
def test_a_table_on_a_terminal_is_escaped_too(
    api: dict[str, str], encoding: str, shown: str
) -> None:
    with at_a_terminal("list", **api, PYTHONIOENCODING=encoding) as terminal:
        assert terminal.end() == 0
    assert shown in terminal.shown


@pytest.mark.parametrize("line", ["list --gtin $'\\xff'", "status $'\\xff'", "retry $'a\\xff'"])
def test_an_argument_that_is_no_text_is_wrong_usage(api: dict[str, str], line: str) -> None:
    done = shell(line, **api)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not valid UTF-8: " in done.stderr


def test_a_path_that_is_no_text_is_a_path(api: dict[str, str], tmp_path: Path) -> None:
    task = json.loads(qrmill("list", "--limit", "1", "--json", **api).stdout)["task_id"]
    folder = tmp_path / "a\udcff"
    folder.mkdir()
    done = shell(f"download {task} --out {tmp_path}/a$'\\xff'/b.zip", **api)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/a\\udcff/b.zip\n")
    assert (folder / "b.zip").stat().st_size
    done = shell("profile show --json", **api, QRMILL_PROFILE=str(folder / "none.toml"))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_user_without_a_home_needs_none(api: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NOBODY_KNOWS)

    def run(*arguments: str, **own: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*AS_NOBODY, QRMILL, *arguments],
            env={name: value for name, value in environment(**own).items() if name in own}
            | {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
            input="key\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    listed = run("list", **api)
    assert (listed.returncode, listed.stderr) == (0, "")
    only_key = {"QRMILL_API_KEY": api["QRMILL_API_KEY"]}
    assert run("list", "--url", api["QRMILL_URL"], **only_key).returncode == 0
    without = run("list")
    assert (without.returncode, "QRMILL_API_KEY" in without.stderr) == (2, True)
    for arguments in (["profile", "set"], ["profile", "show"], ["--install-completion", "bash"]):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Set HOME" in done.stderr
