"""A process that submits one request, and is killed or stopped at a moment that is given.

The arguments are the moment (``before-put``, ``in-put`` or ``after-put``), what happens then
(``SIGKILL`` or ``SIGSTOP``), the id of an API key, an Idempotency-Key, and the body. The outcome is
printed as a line.
"""

import os
import signal
import sys
import threading
from typing import Any

from pipeline import submission
from pipeline.model import request_object
from pipeline.service import Settings, make_idempotency, open_service
from pipeline.storage.records import JobRecords
from tests.unit.api.bulk_requests import parse_bulk


def main(moment: str, then: str, key_id: str, header: str, body: str) -> None:
    """Submit the request."""
    settings = Settings.from_environment(os.environ)
    service = open_service(settings)
    strike = _Strike(signal.Signals[then])
    write = JobRecords.write_request

    def write_and_strike(*given: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        write(*given, **options)
        if moment == "after-put":
            strike()

    JobRecords.write_request = write_and_strike  # type: ignore[method-assign]
    if moment == "in-put":
        # The request to S3 is ready, and its condition and its content are final.
        client = service.submission._records._bucket._client
        client.meta.events.register("before-send.s3.PutObject", strike)
    encode = request_object.encode_tail
    if moment == "before-put":

        def encode_and_strike(*given: Any) -> bytes:  # noqa: ANN401 - passed on
            strike()
            return encode(*given)

        vars(submission)["encode_tail"] = encode_and_strike
    key = service.api_keys.find(key_id)
    content = body.encode()
    request = parse_bulk(content)
    idempotency = make_idempotency(header, content)
    try:
        accepted = service.submission.submit(request, key, idempotency)
    except Exception as error:  # noqa: BLE001 - the outcome is what the test is about
        sys.stdout.write(f"{type(error).__name__}\n")
    else:
        sys.stdout.write(f"{accepted.task_id}\n")


class _Strike:
    """Sends a signal to this process, once."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number
        self._done = False

    def __call__(self, **_: object) -> None:
        if not self._done:
            self._done = True
            # A signal to the process alone may stop this thread after it has gone on.
            signal.pthread_kill(threading.get_ident(), self._number)


if __name__ == "__main__":
    main(*sys.argv[1:])
