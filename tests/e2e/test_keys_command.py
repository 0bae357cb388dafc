"""``qrmill keys`` against the running API."""

import json

import httpx2

from deploy.embedded.running import RunningStack
from tests.command_line import qrmill


def test_a_key_is_made_used_listed_and_revoked(stack: RunningStack) -> None:
    operator = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.operator_key}
    name = "a shop whose name would not fit into 80 columns with all that stands beside it"
    made = qrmill("keys", "create", "--name", name, "--per-minute", "9", **operator)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    answer = httpx2.get(
        f"{stack.ready.api_url}/nothing", headers={"X-API-Key": token}, trust_env=False
    )
    assert (answer.status_code, answer.headers["RateLimit-Limit"]) == (404, "9")
    key_id = token.split("_")[1]
    listed = qrmill("keys", "list", **operator).stdout
    (row,) = [line.split("\t") for line in listed.splitlines() if line.startswith(key_id)]
    assert row[:5] == [key_id, name, "client", "9", "default"]
    assert token not in listed
    revoked = qrmill("keys", "revoke", key_id, "--json", **operator)
    assert json.loads(revoked.stdout)["revoked_at"]


def test_what_goes_wrong_is_one_sentence(stack: RunningStack) -> None:
    client = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.client_key}
    refused = qrmill("keys", "list", **client)
    nobody = qrmill("keys", "list", QRMILL_URL="http://127.0.0.1:1", QRMILL_API_KEY="x")
    without = qrmill("keys", "list", QRMILL_API_KEY="")
    for done, code, word in (
        (refused, 1, "operator"),
        (nobody, 3, "127.0.0.1:1"),
        (without, 2, "QRMILL_API_KEY"),
    ):
        assert done.returncode == code
        assert word in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_sweep_by_hand_leaves_the_one_that_runs_alone(stack: RunningStack) -> None:
    ready = stack.ready
    service = {
        "QRMILL_REDIS_URL": ready.redis_url,
        "QRMILL_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "QRMILL_S3_ACCESS_KEY_ID": ready.s3_access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": ready.s3_secret_file,
    }
    done = qrmill("sweep", "--once", **service)
    assert done.returncode == 1
    assert "another sweep holds the lease" in done.stderr
    away = qrmill("sweep", "--once", **(service | {"QRMILL_REDIS_URL": "redis://127.0.0.1:1"}))
    assert away.returncode == 1
    assert "Traceback" not in away.stderr


def test_the_first_operator_key_is_made_without_an_api(stack: RunningStack) -> None:
    ready = stack.ready
    service = {
        "QRMILL_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "QRMILL_S3_ACCESS_KEY_ID": ready.s3_access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": ready.s3_secret_file,
    }
    arguments = ["keys", "create", "--name", "first", "--role", "operator", "--bootstrap"]
    made = qrmill(*arguments, **service)
    assert made.returncode == 0, made.stderr
    headers = {"X-API-Key": made.stdout.strip()}
    answer = httpx2.get(f"{ready.api_url}/keys/", headers=headers, trust_env=False)
    assert answer.status_code == 200
