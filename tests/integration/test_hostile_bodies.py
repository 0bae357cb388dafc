"""10,000 bodies that no client should send: each is refused, and none costs anything that stays."""

import random
import sys

import falcon
import psutil
from falcon.testing import StartResponseMock, create_environ

from api.app import App, request_limits
from api.http.deadlines import BodyDeadline
from api.http.error_handlers import install_error_handlers
from api.http.large_bodies import LargeBodies
from api.http.request_bodies import BodyReader
from api.http.request_log import RequestLog
from api.resources.bulk import BulkCollection
from api.resources.symbol import Symbol
from pipeline.service import ApiKey, Service, Settings
from pipeline.storage.bucket import Bucket
from tests.integration.hostile_bodies import BAD_GTIN, CSV, GTIN, hostile
from tests.integration.test_api import contents

COUNT = 10_000
#: Bytes by which the process may grow in the second half of the requests.
MOST_GROWTH = 16 * 1024 * 1024
REFUSALS = {400, 413, 415, 422}


class KnownKey:
    """Lets every request in: a key and its rates would be most of the time, and are no body."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.key = self._key


def make_app(service: Service, settings: Settings) -> App:
    key = service.api_keys.create(name="fuzz", role="client").key
    app = App(service, middleware=[RequestLog(), KnownKey(key)])
    install_error_handlers(app)
    limits, bodies = request_limits(settings), BodyReader(BodyDeadline(60))
    app.add_route("/qr/", Symbol(limits, service.item_limits, bodies))
    bulk = BulkCollection(
        service.jobs,
        service.submission,
        service.webhook_secrets,
        api_keys=service.api_keys,
        limits=limits,
        item_limits=service.item_limits,
        bodies=bodies,
        large_bodies=LargeBodies(),
        body_limit=settings.body_limit(),
        prefix="",
    )
    app.add_route("/qr/bulk/", bulk)
    return app


def send(app: App, seed: int) -> tuple[str, int]:
    """Where the body of a seed was sent, and the status of its answer."""
    sent = hostile(seed)
    path = ("/qr/bulk/", "/qr/bulk/", "/qr/")[seed % 3]
    # Of a dry run no job may come even if all is well.
    query = ("dry_run=true", "")[seed % 2] if path == "/qr/bulk/" else ""
    target = path + query
    if sent.media_type == CSV:
        query += f"&gtin={GTIN if query else BAD_GTIN}"
    headers = {"Content-Type": sent.media_type, "Content-Encoding": sent.coding}
    start = StartResponseMock()
    environ = create_environ(path, query, method="POST", headers=headers, body=sent.body)
    b"".join(app(environ, start))
    assert start.status is not None
    status = int(start.status[:3])
    assert status in REFUSALS | {200}, f"seed {seed}: {start.status}"
    return target, status


def test_hostile_bodies_are_refused_and_leave_nothing(
    service: Service, settings: Settings, redis_url: str, bucket: Bucket
) -> None:
    app = make_app(service, settings)
    first = random.SystemRandom().randrange(10**9)
    sys.stdout.write(f"the seeds are {first} to {first + COUNT - 1}\n")
    before = contents(redis_url, bucket)
    answered = {send(app, first + number) for number in range(COUNT // 2)}
    resident = psutil.Process().memory_info().rss
    answered |= {send(app, first + number) for number in range(COUNT // 2, COUNT)}
    assert psutil.Process().memory_info().rss - resident < MOST_GROWTH
    assert contents(redis_url, bucket) == before
    assert {status for _, status in answered} == REFUSALS | {200}
    assert {target for target, status in answered if status == 200} == {"/qr/bulk/dry_run=true"}
