"""``qrmill keys`` against the running API."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from deploy.embedded.running import RunningStack

QRMILL = Path(sys.executable).with_name("qrmill")


def qrmill(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QRMILL, *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_key_is_made_used_listed_and_revoked(stack: RunningStack) -> None:
    operator = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.operator_key}
    made = qrmill("keys", "create", "--name", "shop", "--per-minute", "9", **operator)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    answer = httpx.get(
        f"{stack.ready.api_url}/nothing", headers={"X-API-Key": token}, trust_env=False
    )
    assert (answer.status_code, answer.headers["RateLimit-Limit"]) == (404, "9")
    key_id = token.split("_")[1]
    listed = qrmill("keys", "list", **operator).stdout
    assert key_id in listed
    assert token not in listed
    revoked = qrmill("keys", "revoke", key_id, **operator)
    assert revoked.returncode == 0
    assert key_id in revoked.stdout


def test_what_goes_wrong_is_one_sentence(stack: RunningStack) -> None:
    client = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.client_key}
    refused = qrmill("keys", "list", **client)
    nobody = qrmill("keys", "list", QRMILL_URL="http://127.0.0.1:1", QRMILL_API_KEY="x")
    without = qrmill("keys", "list", QRMILL_API_KEY="")
    for done, word in ((refused, "operator"), (nobody, "127.0.0.1:1"), (without, "QRMILL_API_KEY")):
        assert done.returncode == 1
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
    answer = httpx.get(f"{ready.api_url}/keys/", headers=headers, trust_env=False)
    assert answer.status_code == 200
