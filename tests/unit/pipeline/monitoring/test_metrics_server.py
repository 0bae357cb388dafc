"""What Prometheus reads of a service whose processes are killed; each program below is one."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from deploy.embedded.ports import free_port
from pipeline.monitoring.metrics_server import prepare_metrics
from pipeline.settings import Settings, SettingsError

#: Counts, says so, and waits to be killed.
PROCESS = """
import sys, time, dramatiq
from prometheus_client import CollectorRegistry, Counter, Gauge
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.settings import Settings
settings = Settings(metrics_port=int(sys.argv[1]) or None)
prepare_metrics(settings)
registry = CollectorRegistry()
Counter("done", "", registry=registry).inc(int(sys.argv[2]))
Gauge("busy", "", registry=registry, multiprocess_mode="livesum").inc()
expose_metrics(settings)
print("counted", flush=True)
time.sleep(600)
"""


def start(directory: Path, port: int, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(port), str(count)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    with process:
        process.send_signal(signal.SIGKILL)
        process.wait()


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_a_killed_process_has_counted_and_does_nothing_any_more(tmp_path: Path) -> None:
    port = free_port()
    first, second = start(tmp_path, port, 3), start(tmp_path, 0, 4)
    assert scrape(port) == {"done_total": 7, "busy": 2}
    kill(second)
    assert scrape(port) == {"done_total": 7, "busy": 1}
    kill(first)
    third = start(tmp_path, port, 1)  # the service is started anew
    assert scrape(port) == {"done_total": 1, "busy": 1}
    kill(third)


def test_a_port_without_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with pytest.raises(SettingsError, match=r"METRICS_PORT is 9101: set PROMETHEUS_MULTIPROC_DIR"):
        prepare_metrics(Settings(metrics_port=9101))


def test_a_taken_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    process = start(tmp_path, port, 1)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "other"))
    with pytest.raises(SettingsError, match=f"{port}: it cannot be opened at 127.0.0.1"):
        prepare_metrics(Settings(metrics_port=port))
    kill(process)
    prepare_metrics(Settings(metrics_port=port))
