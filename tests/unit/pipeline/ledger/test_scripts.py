"""When the ledger's scripts are read: in processes of their own, which have read nothing yet."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.ledger import scripts

SCRIPTS = {path.name for path in (Path(scripts.__file__).parent / "lua").glob("*.lua")}
#: Opens a part's clients and says which scripts that read; then runs one at a Redis that is away.
_OPEN_AND_RUN = """
import sys
from pathlib import Path

read = []
sys.addaudithook(lambda event, details: event == "open" and read.append(str(details[0])))

def scripts():
    return sorted(Path(path).name for path in read if "/pipeline/ledger/lua/" in path)

from pipeline.errors import LedgerUnavailableError
from pipeline.ledger.connection import open_redis
from pipeline.ledger.scripts import Scripts
from pipeline.settings import Settings
from {module} import {opens}

nowhere = "redis://127.0.0.1:1/0"
keys = {{"s3_access_key_id": "id", "s3_secret_access_key": "secret"}}
{opens}(Settings(redis_url=nowhere, s3_endpoint_url="http://127.0.0.1:1", **keys))
print(*scripts())
read.clear()
try:
    Scripts(open_redis(nowhere, timeout=1)).run("hold_lease", ["sweep"], "one", 1)
except LedgerUnavailableError:
    print("away", *scripts())
"""


@pytest.mark.parametrize(
    ("module", "opens"),
    [
        ("pipeline.service", "open_service"),
        ("pipeline.worker", "build_worker"),
        ("pipeline.maintenance.sweep", "open_sweep"),
    ],
)
def test_every_role_reads_all_scripts_when_its_clients_are_opened(module: str, opens: str) -> None:
    code = _OPEN_AND_RUN.format(module=module, opens=opens)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [" ".join(sorted(SCRIPTS)), "away"]
