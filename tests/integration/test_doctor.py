"""The check-up against real servers, some of them really broken."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import Finding, Service, Settings, check_up
from pipeline.settings import variable
from pipeline.storage.bucket import Bucket
from tests.integration.test_pipeline import ended, hold_back_and_submit, make_request
from tests.lanes import key_in_lane
from tests.waiting import wait_for

CLOCK = Path(__file__).parents[1] / "faults" / "clock"


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_up(settings)}


def failing(settings: Settings) -> dict[str, str]:
    """Return what fails, with its advice: nothing fails without one."""
    findings = found(settings)
    assert all(finding.advice for finding in findings.values() if finding.state != "ok")
    return {name: each.advice for name, each in findings.items() if each.state == "fail"}


def _dead_letters(settings: Settings) -> Finding:
    return found(settings)["dead letters"]


@pytest.fixture
def nothing_left(settings: Settings, s3: servers.S3Server) -> Iterator[None]:
    yield
    client = s3.client()
    for bucket in (settings.bucket, settings.staging_bucket):
        assert "Contents" not in client.list_objects_v2(Bucket=bucket)


@pytest.mark.usefixtures("nothing_left", "worker")
def test_all_is_well(settings: Settings) -> None:
    assert open_sweep(settings).once()
    findings = found(settings)
    assert {name for name, each in findings.items() if each.state != "ok"} == {
        *("link base", "s3 conditional writes", "s3 download URL"),
    }
    assert "no other machine" in findings["s3 download URL"].found
    assert findings["redis"].found.startswith("valkey 9.")
    assert findings["redis eviction"].found.startswith("maxmemory-policy noeviction")


@pytest.mark.usefixtures("nothing_left")
def test_nobody_works(settings: Settings, service: Service) -> None:
    key = service.api_keys.create(name="client", role="client").key
    service.submission.submit(make_request(), key)
    service.api_keys._bucket.delete_all("")
    wrong = failing(msgspec.structs.replace(settings, max_backlog=3))
    assert {*wrong} == {"workers", "sweep", "queues"}
    assert "`qrmill worker`" in wrong["workers"]
    assert "qrmill sweep" in wrong["sweep"]


@pytest.mark.usefixtures("worker")
def test_dead_letters_are_told(settings: Settings, service: Service, bucket: Bucket) -> None:
    key = key_in_lane(service.api_keys, 0, name="client", role="client").key
    task_id = hold_back_and_submit(service, key, make_request(), bucket)
    assert ended(service, task_id, key).error_code == "object_missing"
    dead = wait_for(
        lambda: each if "3 in" in (each := _dead_letters(settings)).found else None,
        "three dead letters",
    )
    assert (dead.state, dead.found) == ("warn", "3 in render")
    assert "qrmill retry" in dead.advice


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("field", "value", "check", "word"),
    [
        ("bucket", "nonesuch", "s3 bucket nonesuch", "QRMILL_BUCKET"),
        ("staging_bucket", "nonesuch", "s3 bucket nonesuch", "QRMILL_STAGING_BUCKET"),
        ("s3_secret_access_key", "wrong", "s3 bucket", "QRMILL_S3_ACCESS_KEY_ID"),
    ],
)
def test_a_setting_is_wrong(
    settings: Settings, field: str, value: str, check: str, word: str
) -> None:
    wrong = failing(msgspec.structs.replace(settings, **{field: value}))
    (name,) = wrong.keys() - {"workers", "sweep"}
    assert name.startswith(check)
    assert word in wrong[name]


@pytest.mark.usefixtures("nothing_left")
def test_clients_cannot_download(settings: Settings, s3: servers.S3Server) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    # Another name for the same server is another Host, and the signature covers that; a proxy that
    # puts its own there breaks it in the same way.
    refused = msgspec.structs.replace(settings, s3_public_endpoint_url=nobody)
    assert "QRMILL_S3_PUBLIC_ENDPOINT_URL" in failing(refused)["s3 download URL"]
    assert "(ConnectionRefusedError)" in found(refused)["s3 download URL"].found
    other_path = f"{s3.endpoint_url}/elsewhere"
    replaced = msgspec.structs.replace(settings, s3_public_endpoint_url=other_path)
    assert "returned 40" in found(replaced)["s3 download URL"].found


def test_s3_has_stopped(settings: Settings, tmp_path: Path) -> None:
    server = servers.S3Server(free_port(), "key", secrets.token_hex(20))
    process = start_and_wait(
        servers.s3(server, tmp_path / "s3", ("a-bucket",), os.environ), tmp_path
    )
    own = msgspec.structs.replace(
        settings,
        s3_endpoint_url=server.endpoint_url,
        s3_access_key_id="key",
        s3_secret_access_key=server.secret_access_key,
        bucket="a-bucket",
        staging_bucket="a-bucket",
    )
    before = found(own)["s3 bucket a-bucket"]
    process.stop()
    assert before.state == "ok"
    assert "Check that this machine can reach S3" in failing(own)["s3 bucket a-bucket"]


def test_redis_is_not_set_up_right_and_then_stops(settings: Settings, tmp_path: Path) -> None:
    server = servers.RedisServer(free_port(), secrets.token_hex(16))
    process = start_and_wait(servers.valkey(server, tmp_path / "valkey", os.environ), tmp_path)
    own = msgspec.structs.replace(settings, redis_url=server.url)
    with redis.Redis.from_url(server.url) as client:
        for name, value in {
            "appendonly": "no",
            "maxmemory-policy": "allkeys-lru",
            "maxmemory": "100mb",
        }.items():
            client.config_set(name, value)
    findings = found(own)
    assert (findings["redis persistence"].state, findings["redis eviction"].state) == (
        "warn",
        "fail",
    )
    assert "noeviction" in findings["redis eviction"].advice
    wrong_password = server.url.replace(server.password, "wrong")
    refused = found(msgspec.structs.replace(settings, redis_url=wrong_password))["redis"]
    assert (refused.state, "wrong" in refused.found) == ("fail", False)
    process.stop()
    findings = found(own)
    assert findings["redis"].state == "fail"
    assert server.password not in f"{findings['redis'].found} {findings['redis'].advice}"
    assert {"redis clock", "workers"}.isdisjoint(findings)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_a_server_that_honours_conditions_is_not_warned_of(settings: Settings) -> None:
    finding = found(settings)["s3 conditional writes"]
    assert (finding.state, finding.found) == ("ok", "an object was not overwritten")


def test_this_machine_has_another_time(settings: Settings, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("3600")
    names = (
        "redis_url",
        "s3_endpoint_url",
        "s3_access_key_id",
        "s3_secret_access_key",
        "bucket",
        "staging_bucket",
    )
    environ = {variable(name): getattr(settings, name) for name in names}
    clock = {"PYTHONPATH": str(CLOCK), "FAULTS_CLOCK_OFFSET": str(offset)}
    done = subprocess.run(
        [Path(sys.executable).with_name("qrmill"), "doctor", "--json"],
        env={**os.environ, **environ, **clock},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    for name in ("redis clock", "s3 clock"):
        assert rows[name]["state"] == "fail"
        assert "behind" in rows[name]["found"]
        assert "NTP" in rows[name]["advice"]
    assert rows["s3 multipart"]["state"] == "ok"  # it signs by the server's time
