"""An upgrade and a rollback under load: what either release has accepted, the other finishes."""

import hashlib
import itertools
import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx2
import pytest
import redis

from deploy.embedded.servers import RedisServer, S3Server
from pipeline.ledger import keys
from pipeline.ledger.ledger import Ledger
from pipeline.service import ApiKey, KeyRevokedError, Service, Settings
from pipeline.storage import keys as storage_keys
from pipeline.storage.bucket import Bucket
from render.chunk import render_chunk
from render.image import RenderOptions
from tests.e2e.releases import Fleet, Release, install_previous
from tests.faults.orders import Order, make_order
from tests.faults.verify import verify_bundle
from tests.waiting import wait_for

_SIZES = (1, 45, 10, 25)  # items of the jobs; chunks have ten
_PAUSE = 0.25  # seconds between two requests
_PHASE = 4  # jobs that a mix of releases has to accept and to complete
#: What an order is of: PNG, SVG, or PNG whose items have fields that 0.2.0 does not know.
Kind = Literal["png", "svg", "fields"]
#: The schema version that each release gives an order of a kind. 0.2.0 has version 1 alone.
_VERSIONS: dict[tuple[Release, Kind], str] = {
    ("old", "png"): "1",
    ("old", "svg"): "1",
    ("new", "png"): "1",
    ("new", "svg"): "2",  # it has outlines, which 0.2.0 cannot draw
    ("new", "fields"): "3",
}
#: The log event of a bundle in each release.
_BUNDLED: dict[Release, str] = {"old": "bundle done", "new": "bundle completed"}


class Sent(NamedTuple):
    """An order, its kind, and the release that accepted it."""

    release: Release
    kind: Kind
    order: Order

    @property
    def newer(self) -> bool:
        """Whether 0.2.0 leaves the job alone, because of its version."""
        return _VERSIONS[self.release, self.kind] != "1"


class Load:
    """A client that sends an order after the other to the API of one release."""

    def __init__(self, urls: dict[Release, str], token: str) -> None:
        self.kinds: Sequence[Kind] = ("png", "svg")
        self.sent: list[Sent] = []
        self.release: Release = "old"
        self.refused: list[str] = []
        self._numbers = itertools.count()
        # A connection that is kept open would hold up the end of the API that it leads to.
        headers = {"X-API-Key": token, "Connection": "close"}
        self._clients = {
            release: httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
            for release, url in urls.items()
        }

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def order(self, kind: Kind, items: int) -> Order | None:
        """Send one order; return None if it was refused."""
        release, number = self.release, next(self._numbers)
        order = make_order(number, items, "upgrade", more_fields=kind == "fields")
        order.body["format"] = "svg" if kind == "svg" else "png"
        response = self._clients[release].post("/qr/bulk/", json=order.body)
        if response.status_code != httpx2.codes.ACCEPTED:
            self.refused.append(response.text)
            return None
        order.task_id = response.json()["task_id"]
        self.sent.append(Sent(release, kind, order))
        return order

    def _send(self, stop: threading.Event) -> None:
        for number in itertools.count():
            # With three kinds and four sizes, every kind comes in every size.
            kinds = self.kinds
            kind = kinds[number % len(kinds)]
            if stop.wait(_PAUSE) or not self.order(kind, _SIZES[number % len(_SIZES)]):
                return

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Send until the end of the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._send, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def see_through(self, jobs: int) -> None:
        """Wait until ``jobs`` more have been accepted, and then until all have completed."""
        wanted = len(self.sent) + jobs
        wait_for(lambda: len(self.sent) >= wanted or self.refused, "accepted jobs")
        assert self.refused == []
        for each in [*self.sent]:
            self._follow(each.order)

    def _follow(self, order: Order) -> None:
        def look() -> dict[str, Any] | None:
            polled: dict[str, Any] = self.poll(self.release, order)
            return polled if polled["status"] in {"completed", "failed"} else None

        if order.status is None:
            order.status = wait_for(look, "the task's end")
            assert order.completed, order.status

    def poll(self, release: Release, order: Order) -> dict[str, Any]:
        response = self.get(release, order, {"Prefer": "wait=5"})
        assert response.status_code == 200, response.text
        polled: dict[str, Any] = response.json()
        return polled

    def get(
        self, release: Release, order: Order, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        return self._clients[release].get(f"/qr/bulk/{order.task_id}/", headers=headers)


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_previous(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def fleet(settings: Settings, s3: S3Server, tmp_path: Path, previous: Path) -> Iterator[Fleet]:
    address = urlsplit(settings.redis_url)
    server = RedisServer(address.port or 0, address.password or "")
    running = Fleet(settings, (server, s3), tmp_path, previous)
    yield running
    running.stop_all()


@pytest.mark.long
@pytest.mark.timeout(400)  # the previous release's dependencies are fetched
def test_two_releases_finish_each_others_jobs_and_may_be_swapped_in_the_middle_of_them(
    fleet: Fleet, service: Service, redis_url: str, tmp_path: Path
) -> None:
    assert fleet.version("old") != fleet.version("new")
    key = service.api_keys.create(name="load", role="client", per_minute=10**6, per_day=10**7)
    fleet.start("old", "api", "worker", "sweep")
    ledger = redis.Redis.from_url(redis_url, decode_responses=True)
    with ledger, closing(Load(fleet.urls, key.token)) as load:
        with load.going_on():
            swap(fleet, ledger, "old", "new")
            load.see_through(_PHASE)  # old API, new worker, new sweep
            # The barriers of the old API's groups have other keys. A worker that finds none takes
            # it for cleared and asks for the bundle too early; such a message claims nothing.
            assert fleet.events("new", "worker")["bundle skipped"]
            fleet.start("new", "api")
            load.release, load.kinds = "new", ("png", "svg", "fields")
            load.see_through(_PHASE)  # all new, and the old API still polls
        load.see_through(0)
        assert versions_of(ledger, load) == {key: {value} for key, value in _VERSIONS.items()}
        compare_views(load)
        assert_left_alone(load)
        # Jobs that the old worker touched are unverified, jobs of the new one alone are verified.
        assert {*compare_verified(load, tmp_path / "verified.zip")} == {True, False}
        # What either release wrote to S3, the sweep of this one brings back to an empty Redis.
        restore(fleet, ledger, load, by="new")
        fleet.stop("old", "api")
        load.kinds = ("png",)
        with load.going_on():
            swap(fleet, ledger, "new", "old")
            load.see_through(_PHASE)  # new API, old worker, old sweep
            assert fleet.events("old", "worker")["bundle skipped"]  # for the same reason
        load.see_through(0)
        restore(fleet, ledger, load, by="old")
        wait_for_a_new_worker(fleet, ledger, load)
        for release in ("old", "new"):
            assert fleet.events(release, "api")["job accepted"] >= _PHASE
            assert fleet.events(release, "worker")["chunk staged"] >= _PHASE
            assert fleet.events(release, "worker")[_BUNDLED[release]] >= _PHASE
        verify(load, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(400)  # the previous release's dependencies are fetched
def test_the_previous_api_shows_of_tenants_what_the_upgrade_page_says(
    fleet: Fleet, service: Service, redis_url: str
) -> None:
    fleet.start("old", "api")
    fleet.start("new", "api")
    keys_ = service.api_keys
    first = keys_.create(name="Print shop", role="client")
    second, _ = keys_.rotate(
        keys_.create(name="y", role="client", tenant="Print shop").key.key_id, 7
    )
    expired = keys_.create(name="expired", role="client")
    keys_.rotate(expired.key.key_id, 0)
    imported = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"
    keys_.import_token(imported, name="imported", role="client")
    operator = keys_.create(name="operator", role="operator").token

    def ask(release: Release, token: str, method: str = "GET", path: str = "") -> httpx2.Response:
        body = {"gtin": "9506000134352", "items": [{}]} if method == "POST" else None
        url = f"{fleet.urls[release]}/qr/bulk/{path}"
        return httpx2.request(
            method, url, json=body, headers={"X-API-Key": token}, trust_env=False, timeout=30
        )

    def post(release: Release, token: str) -> str:
        return str(ask(release, token, "POST").json()["task_id"])

    def statuses(release: Release, token: str, *tasks: str) -> list[int]:
        return [ask(release, token, path=f"{task_id}/").status_code for task_id in tasks]

    by_first, by_second = post("new", first.token), post("new", second.token)
    both = (by_first, by_second)
    assert statuses("old", first.token, *both) == [200, 200]
    assert statuses("old", second.token, *both) == [404, 404]
    assert ask("old", second.token).json()["tasks"] == []
    assert ask("old", expired.token).status_code == 200
    assert ask("new", expired.token).status_code == 401
    assert (ask("old", imported).status_code, ask("new", imported).status_code) == (401, 200)
    # What the previous API accepts from a later key of the tenant is that key's own.
    by_second_at_old = post("old", second.token)
    assert statuses("new", second.token, *both, by_second_at_old) == [200, 200, 200]
    assert statuses("new", first.token, *both, by_second_at_old) == [200, 200, 404]
    assert statuses("new", operator, by_second_at_old) == [200]
    # What it restores has the tenant as its sender; what this release restores, the key.
    ledger = redis.Redis.from_url(redis_url, decode_responses=True)
    releases: tuple[tuple[Release, ApiKey], ...] = (("old", first.key), ("new", second.key))
    for release, sender in releases:
        ledger.flushall()
        assert statuses(release, first.token, by_second) == [200]
        (row,) = ask("new", first.token).json()["tasks"]
        assert (row["key"], row["sent_by"]) == (sender.name, sender.key_id)
        assert row["tenant"] == first.key.key_id
    ledger.close()
    # A revocation by the previous API holds in this one, and it may rotate no key.
    url = f"{fleet.urls['old']}/keys/{second.key.key_id}/"
    answer = httpx2.delete(url, headers={"X-API-Key": operator}, trust_env=False)
    assert answer.status_code == 200
    wait_for(lambda: ask("new", second.token).status_code == 401, "the end of the revoked key")
    assert keys_.find(second.key.key_id).tenant == second.key.key_id
    with pytest.raises(KeyRevokedError):
        keys_.rotate(second.key.key_id, 7)


@pytest.mark.long
@pytest.mark.timeout(400)  # the previous release's dependencies are fetched
def test_the_previous_sweep_and_api_do_not_restore_a_purged_job(
    fleet: Fleet, service: Service, redis_url: str, bucket: Bucket
) -> None:
    """The purge was killed before it deleted the job's objects, and the old sweep compares S3."""
    token = service.api_keys.create(name="client", role="client").token
    fleet.start("new", "api", "worker")
    fleet.start("old", "api")
    ledger = redis.Redis.from_url(redis_url, decode_responses=True)
    with ledger, closing(Load(fleet.urls, token)) as load:
        load.release = "new"
        with load.going_on():
            load.see_through(_PHASE)
        load.see_through(0)
        order = load.sent[-1].order
        task_id = str(order.task_id)
        owner = Ledger(ledger).owner(task_id)
        due = Ledger(ledger).purge_job(task_id, owner, 1000, 3_600_000)
        assert due
        objects = [*bucket.list_keys(storage_keys.objects_of(task_id))]
        assert storage_keys.request_object(task_id) in objects
        assert load.get("old", order).status_code == 503
        fleet.start("old", "worker", "sweep")
        wait_for(lambda: ledger.get(keys.ALIVE), "the old sweep's comparison with S3")
        assert ledger.hget(keys.job(task_id), "state") == "purged"
        assert ledger.zscore(keys.ALL_JOBS, task_id) is None
        assert load.get("new", order).status_code == 404
        assert not fleet.events("old", "sweep")["job restored from S3"]
        fleet.stop("old", "sweep", "worker")
        ledger.delete(keys.SWEEP)
        fleet.start("new", "sweep")
        prefix = storage_keys.objects_of(task_id)
        wait_for(lambda: not [*bucket.list_keys(prefix)], "the end of the purge")


def swap(fleet: Fleet, ledger: redis.Redis, before: Release, after: Release) -> None:
    """Replace worker and sweep while jobs are in flight; for a moment, both releases work."""
    fleet.start(after, "worker")
    wait_for(lambda: ledger.zcard(keys.ACTIVE_JOBS), "jobs in flight", pause=0.001)
    fleet.stop(before, "worker", "sweep")
    ledger.delete(keys.SWEEP)  # the lease of one that has ended runs out in ten seconds
    fleet.start(after, "sweep")


def assert_left_alone(load: Load) -> None:
    """The old API gives a 503 for a job of version 2 or 3, and leaves it out of lists."""
    newer = {each.kind: each.order for each in load.sent if each.newer}
    assert set(newer) == {"svg", "fields"}
    for order in newer.values():
        response = load.get("old", order)
        assert (response.status_code, "Retry-After" in response.headers) == (503, True)


def wait_for_a_new_worker(fleet: Fleet, ledger: redis.Redis, load: Load) -> None:
    """The old worker and sweep leave jobs of versions 2 and 3 alone until a new worker comes."""
    before = fleet.events("old", "worker")["left to a newer release"]
    orders = [load.order("svg", 25), load.order("fields", 25)]
    wait_for(
        lambda: fleet.events("old", "worker")["left to a newer release"] >= before + 8,
        "messages that are requeued twice",
    )
    for order in orders:
        assert order
        assert load.poll("new", order)["status"] == "pending"
        assert not ledger.exists(keys.attempts(str(order.task_id)))
    fleet.start("new", "worker")
    fleet.stop("old", "worker")
    load.see_through(0)


def compare_views(load: Load) -> None:
    """Both APIs tell the same of the jobs of both."""
    last = {each.release: each.order for each in load.sent if each.order.ended and not each.newer}
    assert set(last) == {"old", "new"}
    for order in last.values():
        views = [load.poll(release, order) for release in ("old", "new")]
        for view in views:
            for changing in ("download_url", "expires_at"):  # signed anew at every poll
                del view[changing]
        del views[1]["bundle"]["verified"]  # 0.2.0 does not know it
        assert views[0] == views[1]


def compare_verified(load: Load, file: Path) -> Iterator[bool]:
    """Yield which jobs are verified, each of which is so if every row of its manifest is."""
    for each in load.sent:
        status = load.poll("new", each.order)
        download(status["download_url"], file)
        with zipfile.ZipFile(file) as bundle:
            rows = json.loads(bundle.read("manifest.json"))
        assert status["bundle"]["verified"] == all(row.get("verified", False) for row in rows)
        yield status["bundle"]["verified"]


def versions_of(ledger: redis.Redis, load: Load) -> dict[tuple[Release, Kind], set[object]]:
    """Return the versions of the ledger entries, by accepting release and kind."""
    found: dict[tuple[Release, Kind], set[object]] = {}
    for each in load.sent:
        version = ledger.hget(keys.job(str(each.order.task_id)), "version")
        found.setdefault((each.release, each.kind), set()).add(version)
    return found


def restore(fleet: Fleet, ledger: redis.Redis, load: Load, by: Release) -> None:
    """Have Redis lose everything, and the sweep of a release bring every job back as it was."""
    ledger.flushall()
    known = [each for each in load.sent if by == "new" or not each.newer]
    wanted = len(known)
    restored = "job restored from S3"
    wait_for(lambda: fleet.events(by, "sweep")[restored] >= wanted, "all jobs back", pause=0.1)
    assert (fleet.events(by, "sweep")[restored], ledger.zcard(keys.ENDED_JOBS)) == (wanted, wanted)
    # The old sweep leaves the other jobs in S3, and the new API restores them when they are polled.
    for each in load.sent:
        assert each.order.status is not None
        bundles = [load.poll("new", each.order)["bundle"], dict(each.order.status["bundle"])]
        # The old sweep writes a job to the ledger without this field, which then has its default.
        verified = [bundle.pop("verified", None) for bundle in bundles]
        assert bundles[0] == bundles[1]
        by_old = by == "old" and not each.newer
        assert verified[0] is False if by_old else verified[1] in {verified[0], None}


def verify(load: Load, directory: Path) -> None:
    for number, each in enumerate(load.sent):
        bundle = directory / f"{number}.zip"
        download(load.poll("new", each.order)["download_url"], bundle)
        verify_bundle(bundle, each.order.body, symbols=1)
        compare_images(bundle, options_of(each))


def options_of(sent: Sent) -> RenderOptions:
    """Return what decides the images of an order, whichever release renders them."""
    image_format, size = sent.order.body["format"], sent.order.body["size"]
    if _VERSIONS[sent.release, sent.kind] == "2":
        return RenderOptions(image_format, size, xdim_mm=0.495, outlines=True)
    return RenderOptions(image_format, size)


def compare_images(path: Path, options: RenderOptions) -> None:
    """Compare the digests of the images with those of this release's images."""
    with zipfile.ZipFile(path) as bundle:
        rows = json.loads(bundle.read("manifest.json"))
    images = render_chunk([row["uri"] for row in rows], options)
    digests = [hashlib.sha256(image.data).hexdigest() for image in images]
    assert [row["sha256"] for row in rows] == digests


def download(url: str, path: Path) -> None:
    path.write_bytes(httpx2.get(url, trust_env=False).raise_for_status().content)
