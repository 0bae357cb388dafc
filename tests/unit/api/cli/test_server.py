"""The roles' commands: what they become, and what they say when that cannot start."""

import sys

import pytest

from api.cli.server import Queue, api_command, sweep_command, worker_command, worker_environment
from pipeline.broker.names import ALL_QUEUES
from tests.command_line import qrmill


def test_the_queues_are_those_of_the_broker() -> None:
    named = [name for queue in Queue for name in queue.names]
    assert sorted(named) == sorted(ALL_QUEUES)
    assert Queue.RENDER.names == ("render", "render-2", "render-3", "render-4")


def test_each_role_is_this_python_that_looks_into_no_folder_it_is_run_in() -> None:
    for command in (api_command("127.0.0.1:0", 2), worker_command(2), sweep_command()):
        assert command[:3] == (sys.executable, "-P", "-m")


def test_a_worker_has_one_process_its_queues_and_no_message_ahead_of_its_threads() -> None:
    command = worker_command(3, ("render", "webhook"))
    assert command[-3:] == ("--queues", "render", "webhook")
    assert "--queues" not in worker_command(3)
    assert command[command.index("--processes") + 1] == "1"
    assert worker_environment(3) == {"dramatiq_queue_prefetch": "3", "MALLOC_ARENA_MAX": "2"}


@pytest.mark.parametrize(
    ("queues", "threads"),
    [
        ((), "4"),
        (("render", "render-2", "render-3", "render-4"), "3"),
        (("render", "bundle"), "4"),
        (("express", "webhook"), "4"),
        (("bundle", "bundle-2", "bundle-3", "bundle-4"), "3"),
        (("bundle", "webhook"), "3"),
        (("webhook",), "2"),
    ],
)
def test_a_worker_of_several_queues_has_threads_that_one_tenant_does_not_occupy(
    queues: tuple[str, ...], threads: str
) -> None:
    command = worker_command(2, queues)
    assert command[command.index("--threads") + 1] == threads


def test_a_role_that_cannot_start_says_why_and_fails() -> None:
    done = qrmill("worker", QRMILL_MAX_ITEMS="many")
    assert done.returncode != 0
    assert "QRMILL_MAX_ITEMS is 'many'" in done.stderr
    assert "Traceback" not in done.stderr
    refused = qrmill("worker", "--queue", "rendr")
    assert refused.returncode == 2
    assert "'render'" in refused.stderr
