"""A worker process that builds bundles, and stops before it completes the upload of one.

The argument is ``continue``, or ``die`` to end the process when S3 has completed the upload.
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


def main(then: str) -> None:
    """Run the worker until the process is terminated."""
    connect = clients.connect_s3

    def connect_stalling(*given: Any, **options: Any) -> "S3Client":  # noqa: ANN401 - passed on
        client = connect(*given, **options)
        events = client.meta.events
        events.register("before-send.s3.CompleteMultipartUpload", _Stop())
        if then == "die":
            events.register("after-call.s3.CompleteMultipartUpload", lambda **_: os._exit(9))
        return client

    clients.connect_s3 = connect_stalling
    broker = build_worker(Settings.from_environment(os.environ))
    dramatiq.Worker(broker, queues={BUNDLE_QUEUE}, worker_threads=1, worker_timeout=50).start()
    threading.Event().wait()


class _Stop:
    """Stops the process before the first attempt to send a request."""

    def __init__(self) -> None:
        self._stopped = False

    def __call__(self, **_: object) -> None:
        if not self._stopped:
            self._stopped = True
            # A signal to the process alone may stop this thread after it has sent the request.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


if __name__ == "__main__":
    main(sys.argv[1])
