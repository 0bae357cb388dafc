"""Dramatiq's metrics as the service exposes them; each program below is a worker process."""

import os
import subprocess
import sys
from pathlib import Path

#: A worker's middleware with two actors, one of which has failed once. Prints the metrics.
PROGRAM = """
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries
from pipeline.monitoring.message_metrics import MessageMetrics

metrics = MessageMetrics()
broker = StubBroker(middleware=[metrics, Retries(max_retries=0)])
dramatiq.set_broker(broker)

@dramatiq.actor(queue_name="render")
def works():
    pass

@dramatiq.actor(queue_name="webhook")
def fails():
    raise ValueError("no")

assert metrics.forks == []
broker.emit_after("process_boot")
worker = dramatiq.Worker(broker, worker_timeout=10)
worker.start()
for actor in (works, fails):
    actor.send()
works.send_with_options(delay=1)
for queue in ("render", "webhook"):
    broker.join(queue, fail_fast=False)
worker.join()
worker.stop()

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def metrics(directory: Path) -> dict[str, float]:
    """Run the program with its files in ``directory``; return its metrics."""
    # Dramatiq has its own variable; the service sets it in pipeline.monitoring.metrics_server.
    variables = ("PROMETHEUS_MULTIPROC_DIR", "dramatiq_prom_db")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | dict.fromkeys(variables, str(directory)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_rare_events_are_exposed_at_zero_and_no_delayed_messages(tmp_path: Path) -> None:
    found = metrics(tmp_path)
    works = '{actor_name="works",queue_name="render"}'
    fails = '{actor_name="fails",queue_name="webhook"}'
    errors, rejected, retries = (
        f"dramatiq_message_{name}_total" for name in ("errors", "rejects", "retries")
    )
    assert (found[errors + works], found[errors + fails]) == (0, 1)
    assert (found[rejected + works], found[rejected + fails]) == (0, 1)
    assert (found[retries + works], found[retries + fails]) == (0, 0)
    assert found["dramatiq_messages_total" + works] == 2
    assert not [name for name in found if "delayed" in name and found[name] != 0]
