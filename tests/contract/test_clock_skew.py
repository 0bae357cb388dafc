"""A process whose clock is wrong, and an S3 server that refuses signatures of another hour."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

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


@pytest.mark.parametrize("steps", [[HOUR], [-HOUR], [0, HOUR, -HOUR, 0]])
def test_a_wrong_clock_keeps_nobody_from_the_store(
    settings: Settings, tmp_path: Path, steps: list[int]
) -> None:
    offset = tmp_path / "offset"
    offset.write_text(str(steps[0]))
    names = ("s3_endpoint_url", "s3_access_key_id", "s3_secret_access_key", "bucket")
    environment = {variable(name): getattr(settings, name) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(steps)],
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
    urls = done.stdout.split()
    assert len(urls) == len(steps)
    with urllib.request.urlopen(urls[-1]) as answer:
        assert answer.read() == str(steps[-1]).encode()
