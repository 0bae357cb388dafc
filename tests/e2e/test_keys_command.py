"""``qrmill keys`` against the running API."""

import json
import secrets

import httpx2

from deploy.embedded.running import RunningStack
from tests.command_line import qrmill


def test_a_key_is_made_used_listed_and_revoked(stack: RunningStack) -> None:
    operator = {"QRMILL_URL": stack.ready.api_url, "QRMILL_API_KEY": stack.ready.operator_key}
    name = "a shop whose name would not fit into 80 columns with all that stands beside it"
    bases = ("https://id.brand-a.example", "https://go.brand-b.example")
    options = [part for base in bases for part in ("--link-base", base)]
    made = qrmill("keys", "create", "--name", name, "--per-minute", "9", *options, **operator)
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
    assert row[-1] == " ".join(bases)
    own = {**operator, "QRMILL_API_KEY": token}
    submit = ("submit", "-", "--gtin", "9506000134352", "--dry-run")
    for base in bases:
        checked = qrmill(*submit, "--link-base", base, given="serial\nA1\n", **own)
        assert checked.returncode == 0, checked.stderr
    other = ("--link-base", "https://id.gs1.org")
    refused = qrmill(*submit, *other, given="serial\nA1\n", **own)
    assert (refused.returncode, ", ".join(bases) in refused.stderr) == (1, True)
    assert token not in listed
    revoked = qrmill("keys", "revoke", key_id, "--json", **operator)
    assert json.loads(revoked.stdout)["revoked_at"]


def test_a_tenants_keys_are_created_rotated_imported_and_filtered(stack: RunningStack) -> None:
    url = stack.ready.api_url
    operator = {"QRMILL_URL": url, "QRMILL_API_KEY": stack.ready.operator_key}
    name = f"Tenant {secrets.token_hex(4)}"
    first = qrmill("keys", "create", "--name", name, **operator).stdout.strip()
    tenant = first.split("_")[1]
    second = qrmill("keys", "create", "--name", "press 2", "--tenant", name, **operator)
    rotated = qrmill("keys", "rotate", tenant, "--days", "3", **operator)
    assert (second.returncode, rotated.returncode) == (0, 0), rotated.stderr
    assert f"The former key {tenant} works until " in rotated.stderr
    token = secrets.token_urlsafe(32)
    options = ("--token-stdin", "--name", "press 3", "--tenant", tenant, "--expires-in-days", "9")
    imported = qrmill("keys", "import", *options, given=token, **operator)
    assert imported.returncode == 0, imported.stderr
    again = qrmill("keys", "import", *options, given=token, **operator)
    assert again.returncode == 1
    assert imported.stdout.strip() in again.stderr
    assert token not in imported.stdout + imported.stderr + again.stdout + again.stderr
    tokens = (first, second.stdout.strip(), rotated.stdout.strip(), token)
    body = {"gtin": "9506000134352", "items": [{}]}
    sent = [
        httpx2.post(f"{url}/qr/bulk/", json=body, headers={"X-API-Key": each}, trust_env=False)
        for each in tokens
    ]
    tasks = {answer.json()["task_id"] for answer in sent}
    for named in (name, tenant, imported.stdout.strip()):
        listed = qrmill("list", "--tenant", named, "--json", **operator)
        rows = [json.loads(line) for line in listed.stdout.splitlines()]
        assert {row["task_id"] for row in rows} == tasks
        assert {row["tenant"] for row in rows} == {tenant}
        assert len({row["sent_by"] for row in rows}) == len(tokens)
    own = qrmill("list", "--json", QRMILL_URL=url, QRMILL_API_KEY=token)
    assert len(own.stdout.splitlines()) == len(tokens)
    listed = qrmill("keys", "list", "--json", **operator)
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    kept = {key["key_id"]: key for key in found if key["tenant"] == tenant}
    assert {key["tenant_name"] for key in kept.values()} == {name}
    assert {key_id for key_id, key in kept.items() if key["imported"]} == {imported.stdout.strip()}
    ending = {key_id for key_id, key in kept.items() if key["expires_at"]}
    assert ending == {tenant, imported.stdout.strip()}


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
