"""A process whose clock is wrong, and an S3 server that refuses signatures of another hour."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.settings import Settings, variable

CLOCK = Path(__file__).parents[1] / "faults" / "clock"
HOUR = 3600
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from pipeline.storage.clients import open_storage
from pipeline.settings import Settings

storage = open_storage(Settings.from_environment(os.environ), read_timeout=5)
bucket = storage.bucket
offset = Path(os.environ["FAULTS_CLOCK_OFFSET"])
for seconds in json.loads(sys.argv[1]):
    offset.write_text(str(seconds))
    bucket.put("a", str(seconds).encode())
    assert bucket.get("a") == str(seconds).encode()
    print(storage.public_bucket.presign("a", seconds=60, filename="a.txt"))
"""
#: Another client of the process: before and after ours has observed the server's time.
OTHER_CLIENT = """
import copy, json, os, time
import boto3, botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError
from pipeline.storage.clients import open_storage
from pipeline.settings import Settings

settings = Settings.from_environment(os.environ)
maps = copy.copy(botocore.auth.AUTH_TYPE_MAPS)
storage = open_storage(settings, read_timeout=5)
storage.bucket.put("ours", b"ours")
other = boto3.client(
    "s3",
    endpoint_url=settings.s3_endpoint_url,
    aws_access_key_id=settings.s3_access_key_id,
    aws_secret_access_key=settings.s3_secret_access_key,
    region_name=settings.s3_region,
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
)
other.meta.events.register("before-send.s3", lambda request, **_: sent.append(request))
sent, refused = [], None
try:
    other.get_object(Bucket=settings.bucket, Key="ours")
except ClientError as error:
    refused = error.response["ResponseMetadata"]["HTTPStatusCode"]
url = other.generate_presigned_url("get_object", Params={"Bucket": settings.bucket, "Key": "ours"})
print(json.dumps({
    "clock": time.time(),
    "refused": refused,
    "signed_at": [request.headers["X-Amz-Date"].decode() for request in sent],
    "url": url,
    "same_table": maps == botocore.auth.AUTH_TYPE_MAPS,
    "ours": storage.bucket.get("ours").decode(),
}))
"""


@pytest.mark.parametrize("steps", [[HOUR], [-HOUR], [0, HOUR, -HOUR, 0]])
def test_a_wrong_clock_keeps_nobody_from_the_store(
    settings: Settings, tmp_path: Path, steps: list[int]
) -> None:
    urls = run_with_clock(settings, tmp_path, steps[0], PROGRAM, json.dumps(steps)).split()
    assert len(urls) == len(steps)
    with urllib.request.urlopen(urls[-1]) as answer:
        assert answer.read() == str(steps[-1]).encode()


def test_another_client_of_the_process_signs_by_its_own_clock(
    settings: Settings, tmp_path: Path
) -> None:
    found = json.loads(run_with_clock(settings, tmp_path, HOUR, OTHER_CLIENT))
    assert found["ours"] == "ours"
    assert found["clock"] == pytest.approx(time.time() + HOUR, abs=600)
    assert found["refused"] in range(400, 500)
    (presigned_at,) = parse_qs(urlsplit(found["url"]).query)["X-Amz-Date"]
    for signed_at in (*found["signed_at"], presigned_at):
        assert as_timestamp(signed_at) == pytest.approx(found["clock"], abs=60)
    assert found["same_table"]


def as_timestamp(amz_date: str) -> float:
    return datetime.strptime(amz_date, "%Y%m%dT%H%M%S%z").timestamp()


def run_with_clock(
    settings: Settings, tmp_path: Path, seconds: int, program: str, *arguments: str
) -> str:
    """Return what a program prints whose clock is wrong by ``seconds``."""
    offset = tmp_path / "offset"
    offset.write_text(str(seconds))
    names = ("s3_endpoint_url", "s3_access_key_id", "s3_secret_access_key", "bucket")
    environment = {variable(name): getattr(settings, name) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={
            **os.environ,
            **environment,
            "PYTHONPATH": str(CLOCK),
            "FAULTS_CLOCK_OFFSET": str(offset),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
