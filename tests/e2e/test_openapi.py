"""schemathesis walks the document against the running service."""

import subprocess
import sys
from pathlib import Path

import httpx2

from deploy.embedded.running import RunningStack

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def test_the_service_keeps_to_its_document(
    stack: RunningStack, client: httpx2.Client, tmp_path: Path
) -> None:
    with stack.client("operator") as operator:
        body = {"name": "walker", "role": "operator", "per_minute": 10**6, "per_day": 10**6}
        token = operator.post("/keys/", json=body).json()["api_key"]
    done = subprocess.run(
        [
            SCHEMATHESIS,
            "--config-file",
            CONFIGURATION,
            "run",
            f"{stack.ready.api_url}/openapi.json",
            "--header",
            f"X-API-Key: {token}",
            # Without it, a made-up one would contradict the key.
            "--header",
            f"Authorization: Bearer {token}",
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--phases",
            "examples,coverage,fuzzing",
            "--generation-database",
            "none",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert client.get("/readyz").status_code == 200
