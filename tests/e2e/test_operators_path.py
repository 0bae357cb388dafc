"""From the alert to the completed re-run, with the command line alone."""

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import psutil
import pytest
import redis
from botocore.config import Config

from deploy.embedded.running import RunningStack
from pipeline.broker.names import RENDER_QUEUES
from pipeline.ledger import keys
from tests.command_line import qrmill
from tests.waiting import wait_for

GTIN = "40170725"


@pytest.fixture
def operator(stack: RunningStack) -> dict[str, str]:
    """What an operator has in the environment on the service's machine."""
    ready = stack.ready
    return {
        "QRMILL_URL": ready.api_url,
        "QRMILL_API_KEY": ready.operator_key,
        "QRMILL_REDIS_URL": ready.redis_url,
        "QRMILL_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "QRMILL_S3_ACCESS_KEY_ID": ready.s3_access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": ready.s3_secret_file,
    }


@contextmanager
def workers_held(stack: RunningStack) -> Iterator[None]:
    """Let the workers stand still for a moment, so that a fault is in place before they begin."""
    mains = [pid for part, pid in stack.ready.parts.items() if part.startswith("worker")]
    pids = [child.pid for pid in mains for child in psutil.Process(pid).children(recursive=True)]
    try:
        for pid in (*mains, *pids):
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in (*pids, *mains):
            os.kill(pid, signal.SIGCONT)


def findings(environ: dict[str, str]) -> dict[str, tuple[str, str]]:
    lines = qrmill("doctor", "--json", **environ).stdout.splitlines()
    return {row["name"]: (row["state"], row["advice"]) for row in map(json.loads, lines)}


def chunks_of(task_id: str, operator: dict[str, str]) -> list[list[str]]:
    lines = qrmill("chunks", task_id, **operator).stdout.splitlines()[1:]
    return [line.split("\t")[1:3] for line in lines]


def test_an_operator_gets_from_the_alert_to_the_completed_re_run(
    stack: RunningStack, operator: dict[str, str], tmp_path: Path
) -> None:
    ready = stack.ready
    s3 = boto3.client(
        "s3",
        endpoint_url=ready.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=ready.s3_access_key_id,
        aws_secret_access_key=Path(ready.s3_secret_file).read_text().strip(),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    rows = "serial\n" + "".join(f"{number:04}\n" for number in range(1, 1201))
    with workers_held(stack):
        sent = qrmill("submit", "-", "--gtin", GTIN, "--format", "svg", given=rows, **operator)
        task_id = sent.stdout.strip()
        lost = {"Bucket": ready.buckets[0], "Key": f"jobs/{task_id}/request.json"}
        request = s3.get_object(**lost)["Body"].read()
        s3.delete_object(**lost)
    # The alert: somebody's job has failed.
    assert qrmill("wait", task_id, **operator).returncode == 1
    state, advice = findings(operator)["dead letters"]
    assert (state, "qrmill list --status failed" in advice) == ("warn", True)
    # Which one, and why?
    failed = qrmill("list", "--status", "failed", "--gtin", GTIN, **operator).stdout.splitlines()
    (found,) = [line.split("\t") for line in failed[1:]]
    assert (found[0], found[6]) == (task_id, "object_missing")
    assert "missing from the object store" in qrmill("status", task_id, **operator).stdout
    # Each chunk looks for the request a few times more, and for as long as chance will have it.
    failed_ones = [["1-500", "failed"], ["501-1000", "failed"], ["1001-1200", "failed"]]
    wait_for(lambda: chunks_of(task_id, operator) == failed_ones, "all chunks to fail", pause=0.5)
    # What was wrong is put right, and the job is run again.
    s3.put_object(**lost, Body=request)
    assert qrmill("retry", task_id, **operator).returncode == 0
    assert qrmill("wait", task_id, **operator).returncode == 0
    out = tmp_path / "bundle.zip"
    downloaded = qrmill("download", task_id, "--out", out, **operator)
    assert (downloaded.returncode, downloaded.stdout) == (0, f"{out}\n")
    with zipfile.ZipFile(out) as bundle:
        assert bundle.testzip() is None
        assert len(json.loads(bundle.read("manifest.json"))) == 1200
    with redis.Redis.from_url(ready.redis_url) as client:  # the stack is others' too
        client.delete(
            *(
                name
                for queue in RENDER_QUEUES
                for name in (keys.dead_letters(queue), keys.dead_messages(queue))
            )
        )
