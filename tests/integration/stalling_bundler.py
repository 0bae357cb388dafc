"""A worker process that stops before it sends the request that makes its bundle visible.

The first argument is ``continue``, or ``die`` to end the process when S3 has the bundle. The others
are the queues of the worker, which are those of bundles by default.
"""

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import dramatiq

from pipeline.broker.names import BUNDLE_QUEUE
from pipeline.settings import Settings
from pipeline.storage import clients
from pipeline.worker import build_worker

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


def main(then: str, *queues: str) -> None:
    """Run the worker until the process is terminated."""
    connect = clients.connect_s3

    def connect_stalling(*given: Any, **options: Any) -> "S3Client":  # noqa: ANN401 - passed on
        client = connect(*given, **options)
        stop = _Stop()
        client.meta.events.register("before-send.s3.PutObject", stop)
        if then == "die":
            client.meta.events.register(
                "after-call.s3.PutObject", lambda **_: os._exit(9) if stop.stopped else None
            )
        return client

    clients.connect_s3 = connect_stalling
    broker = build_worker(Settings.from_environment(os.environ))
    dramatiq.Worker(
        broker, queues={*queues} or {BUNDLE_QUEUE}, worker_threads=1, worker_timeout=50
    ).start()
    threading.Event().wait()


class _Stop:
    """Stops the process before the first attempt to write a bundle.

    Attributes:
        stopped: whether the process was stopped, so that the next written object is the bundle.
    """

    def __init__(self) -> None:
        self.stopped = False

    def __call__(self, request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        if not self.stopped and request.url.endswith("/bundle.zip"):
            self.stopped = True
            # A signal to the process alone may stop this thread after it has sent the request.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


if __name__ == "__main__":
    main(*sys.argv[1:])
