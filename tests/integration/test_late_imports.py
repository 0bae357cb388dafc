"""What is imported only when a setting requires it: pika, for RabbitMQ as the broker."""

import os
import subprocess
import sys

import msgspec
import pytest

from pipeline.settings import Settings, variable

#: Opens everything that opens a broker, and prints which modules for RabbitMQ were imported.
SCRIPT = """
import os, sys
from pipeline.doctor.run import check_up
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import Settings, open_service
from pipeline.worker import build_worker

settings = Settings.from_environment(os.environ)
open_service(settings)
build_worker(settings)
open_sweep(settings)
names = {finding.name for finding in check_up(settings)}
assert {"redis", "workers", f"s3 objects {settings.bucket}"} <= names, names
print(*(name for name in sys.modules if name.startswith(("pika", "pipeline.broker.rabbitmq"))))
"""


@pytest.mark.parametrize(
    ("broker", "imported"), [({}, False), ({"QRMILL_BROKER_URL": "amqp://127.0.0.1:1"}, True)]
)
def test_pika_is_imported_where_rabbitmq_is_the_broker_and_nowhere_else(
    settings: Settings, broker: dict[str, str], *, imported: bool
) -> None:
    values = msgspec.structs.asdict(settings).items()
    own = {variable(name): str(value) for name, value in values if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | own | broker,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = {"pika", "pipeline.broker.rabbitmq"} & {*done.stdout.split()}
    assert len(found) == (2 if imported else 0), done.stdout
