"""The examples of the base contract, replayed against two APIs by `deploy.compare_apis`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compare_apis import EXAMPLES
from deploy.embedded.ports import free_port
from deploy.embedded.running import RunningStack
from tests.another_api import another_api

PREFIX = "/products/api/v1"


def run(
    original: str, new: str, key: str, *options: str, second_key: str | None = None
) -> subprocess.CompletedProcess[str]:
    keys = {"ORIGINAL_API_KEY": key, "NEW_API_KEY": key if second_key is None else second_key}
    done = subprocess.run(
        (sys.executable, "-m", "deploy.compare_apis", original, new, *options),
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert key not in done.stdout + done.stderr
    return done


def new_key(stack: RunningStack, per_minute: int = 10_000) -> str:
    with stack.client("operator") as operator:
        made = operator.post("/keys/", json={"name": "comparison", "per_minute": per_minute})
    token: str = made.json()["api_key"]
    return token


@pytest.fixture(scope="module")
def key(stack: RunningStack) -> str:
    return new_key(stack)


def test_an_api_does_not_differ_from_itself(stack: RunningStack, key: str) -> None:
    url = stack.ready.api_url
    done = run(url, url, key, "--additions")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == f"0 of {len(EXAMPLES)} examples differ"
    assert [line[:4] for line in lines[:-1]] == ["same"] * len(EXAMPLES)
    # The examples reach what they are meant to.
    statuses = {int(line.split()[1]) for line in lines[:-1]}
    assert statuses == {200, 202, 304, 400, 401, 404, 405, 406, 415, 422}


@pytest.mark.long
def test_an_api_with_another_character_set_differs_where_that_matters(
    stack: RunningStack, key: str, api_environ: dict[str, str], tmp_path: Path
) -> None:
    own = {"QRMILL_API_PREFIX": PREFIX, "QRMILL_CHARSET": "ascii"}
    with another_api(api_environ, tmp_path, **own) as url:
        done = run(f"{url}{PREFIX}", stack.ready.api_url, key, "--additions")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f"1 of {len(EXAMPLES)} examples differ"
    place = next(index for index, line in enumerate(lines) if line.startswith("DIFFERS"))
    assert lines[place] == "DIFFERS 202  lot with a character outside set 82"
    shown = {line.strip() for line in lines[place + 1 :] if line.startswith("          ")}
    assert shown >= {
        "status: 202, new 422",
        "header content-type: application/json, new application/problem+json",
        "header location: present, new absent",
        "member task_id: string, new absent",
        'member status: "pending", new 422',
    }
    assert '        + member error.code: "VALIDATION_ERROR"' in lines
    assert "        + member error.details[].field: string" in lines


def test_of_different_keys_only_the_rates_differ(stack: RunningStack, key: str) -> None:
    url = stack.ready.api_url
    assert run(url, url, key, second_key=new_key(stack)).returncode == 0
    done = run(url, url, key, second_key=new_key(stack, per_minute=9_999))
    assert done.returncode == 1
    shown = {line.strip() for line in done.stdout.splitlines() if line.startswith("          ")}
    assert shown == {
        "header ratelimit-policy: 10000;w=60, 10000;w=86400, new 9999;w=60, 10000;w=86400"
    }


def test_a_wrong_key_is_seen_in_the_statuses(stack: RunningStack, key: str) -> None:
    url = stack.ready.api_url
    done = run(url, url, key, second_key="wrong")
    assert done.returncode == 1
    assert "status: 202, new 401" in done.stdout
    assert "same    401  unknown key" in done.stdout


def test_what_prevents_the_comparison_is_said(stack: RunningStack, key: str) -> None:
    url = stack.ready.api_url
    closed = run(url, f"http://127.0.0.1:{free_port()}", key)
    assert (closed.returncode, closed.stderr.startswith("An API does not respond: ")) == (2, True)
    missing = run(url, url, key, second_key="")
    assert missing.returncode == 2
    assert "set ORIGINAL_API_KEY and NEW_API_KEY" in missing.stderr
    assert "Traceback" not in closed.stderr + missing.stderr
