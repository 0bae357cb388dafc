"""The commands before a server that misbehaves on purpose, in this process; time passes at once."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from api.cli import main
from api.client import Client
from tests.command_line import QRMILL, environment
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import (
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
    monkeypatch.setattr("api.cli_options.Client", quick)

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["qrmill", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("command", [["list"], ["doctor"], ["profile", "set"]])
@pytest.mark.parametrize("url", ["http://127.0.0.1:80a", "http://127.0.0.1:99999", "ftp://h"])
def test_a_mistyped_url_is_wrong_usage(qrmill: Qrmill, command: list[str], url: str) -> None:
    done = qrmill(*command, "--url", url)
    assert (done.code, "the API's URL" in done.err) == (2, True)


@pytest.mark.parametrize("command", ["revoke", "webhook-secret"])
def test_a_whole_key_is_not_sent_as_a_keys_id(
    server: ScriptedServer, qrmill: Qrmill, command: str
) -> None:
    done = qrmill("keys", command, TOKEN)
    assert (done.code, server.requests) == (2, [])
    assert "qrmill keys list" in done.err
    assert TOKEN[-20:] not in done.err
