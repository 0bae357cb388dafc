"""Tenants of API keys, expiry, rotation and last use, on real stores."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.auth.api_keys import ApiKeys
from pipeline.auth.errors import KeyRevokedError, UnknownApiKeyError, UnknownTenantError
from pipeline.errors import StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.waiting import wait_for

DAY = 86_400


class WatchedBucket(Bucket):
    """A real bucket that calls a function before each of its requests."""

    def __init__(self, real: Bucket, before: Callable[[str, str], object]) -> None:
        super().__init__(real._client, real.name)
        self._before = before

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._before("put", key)
        super().put(key, data, content_type)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._before("get", key)
        return super().get(key, offset, length)


@pytest.fixture
def api_keys(bucket: Bucket) -> ApiKeys:
    return ApiKeys(bucket)


def moved_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_a_key_is_the_first_of_a_tenant_of_its_own(api_keys: ApiKeys) -> None:
    key = api_keys.create(name="print shop", role="client").key
    assert (key.tenant, key.tenant_name) == (key.key_id, "print shop")
    assert (key.expires_at, key.imported) == (None, False)


def test_a_key_as_release_0_2_0_wrote_it_is_its_own_tenant(
    api_keys: ApiKeys, bucket: Bucket
) -> None:
    made = api_keys.create(name="shop", role="client")
    stored = json.loads(bucket.get(keys.api_key_object(made.key.key_id)))
    of_0_2_0 = ("key_id", "name", "role", "sha256", "per_minute", "per_day")
    old = {name: stored[name] for name in (*of_0_2_0, "created_at", "revoked_at")}
    bucket.put(keys.api_key_object(made.key.key_id), json.dumps(old).encode())
    assert ApiKeys(bucket).authenticate(made.token) == made.key


@pytest.mark.parametrize("by", ["id of the tenant", "id of another key", "name"])
def test_a_key_joins_a_tenant_by_its_id_or_its_name(api_keys: ApiKeys, by: str) -> None:
    first = api_keys.create(name="Print shop", role="client").key
    second = api_keys.create(name="press 2", role="client", tenant=first.key_id).key
    named = {
        "id of the tenant": first.key_id,
        "id of another key": second.key_id,
        "name": "Print shop",
    }[by]
    made = api_keys.create(name="press 3", role="client", tenant=named)
    assert (made.key.tenant, made.key.tenant_name) == (first.key_id, "Print shop")
    assert made.key.key_id != first.key_id
    assert api_keys.authenticate(made.token) == made.key
    # It stays so when the first key is revoked.
    api_keys.revoke(first.key_id)
    again = api_keys.create(name="press 4", role="client", tenant=named).key
    assert (again.tenant, again.tenant_name) == (first.key_id, "Print shop")


@pytest.mark.parametrize("text", ["press 2", "0" * 12, "print shop", "", "../keys/x"])
def test_a_tenant_is_not_made_by_a_mistyped_name(
    api_keys: ApiKeys, bucket: Bucket, text: str
) -> None:
    first = api_keys.create(name="Print shop", role="client").key
    api_keys.create(name="press 2", role="client", tenant=first.key_id)
    before = [*bucket.list_keys("")]
    with pytest.raises(UnknownTenantError) as error:
        api_keys.create(name="x", role="client", tenant=text)
    assert error.value.candidates == []
    assert [*bucket.list_keys("")] == before


def test_a_name_that_two_tenants_have_is_of_neither(api_keys: ApiKeys) -> None:
    tenants = [api_keys.create(name="shop", role="client").key.key_id for _ in range(2)]
    api_keys.create(name="another", role="client", tenant=tenants[0])
    with pytest.raises(UnknownTenantError) as error:
        api_keys.create(name="x", role="client", tenant="shop")
    assert error.value.candidates == sorted(tenants)


def test_a_key_stops_when_it_expires_and_not_before(
    api_keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api_keys.create(name="x", role="operator", expires_in_days=2)
    assert made.key.expires_at == made.key.created_at + 2 * DAY
    with monkeypatch.context() as earlier:
        moved_clock(earlier, 2 * DAY - 60)
        assert api_keys.authenticate(made.token) == api_keys.working(made.key.key_id) == made.key
    moved_clock(monkeypatch, 2 * DAY + 1)
    assert api_keys.authenticate(made.token) is None
    assert api_keys.working(made.key.key_id) is None
    assert api_keys.list() == [made.key]


def test_a_rotated_key_has_a_successor_and_an_end(
    api_keys: ApiKeys, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = api_keys.create(name="shop", role="operator", per_minute=7, per_day=8)
    new, former = api_keys.rotate(old.key.key_id, 3)
    kept = ("name", "role", "per_minute", "per_day", "tenant", "tenant_name")
    assert [getattr(new.key, name) for name in kept] == [getattr(old.key, name) for name in kept]
    assert (new.key.expires_at, new.key.revoked_at) == (None, None)
    assert former.expires_at is not None
    assert 0 <= former.expires_at - (old.key.created_at + 3 * DAY) < 60
    for each in (api_keys, ApiKeys(bucket)):
        assert each.authenticate(old.token) == former
        assert each.authenticate(new.token) == new.key
    moved_clock(monkeypatch, 3 * DAY + 60)
    assert api_keys.authenticate(old.token) is None
    assert api_keys.authenticate(new.token) == new.key
    third, _ = api_keys.rotate(new.key.key_id, 0)
    assert (third.key.tenant, third.key.tenant_name) == (old.key.key_id, "shop")
    assert api_keys.authenticate(new.token) is None


def test_a_rotation_never_extends_the_former_key(api_keys: ApiKeys) -> None:
    made = api_keys.create(name="x", role="client", expires_in_days=2)
    _, former = api_keys.rotate(made.key.key_id, 365)
    assert former.expires_at == made.key.expires_at
    _, former = api_keys.rotate(made.key.key_id, 1)
    assert former.expires_at is not None
    assert former.expires_at < made.key.created_at + 2 * DAY


def test_neither_a_revoked_nor_an_unknown_key_is_rotated(api_keys: ApiKeys) -> None:
    key_id = api_keys.create(name="x", role="client").key.key_id
    api_keys.revoke(key_id)
    with pytest.raises(KeyRevokedError):
        api_keys.rotate(key_id, 7)
    with pytest.raises(UnknownApiKeyError):
        api_keys.rotate("0" * 12, 7)
    assert len(api_keys.list()) == 1


@pytest.mark.parametrize("request_number", range(6))
def test_a_revocation_wins_wherever_in_a_rotation_it_falls(
    bucket: Bucket, request_number: int
) -> None:
    made = ApiKeys(bucket).create(name="x", role="client")
    asked: list[str] = []

    def revoke(method: str, key: str) -> None:
        asked.append(f"{method} {key}")
        if len(asked) == request_number + 1:
            ApiKeys(bucket).revoke(made.key.key_id)

    rotating = ApiKeys(WatchedBucket(bucket, revoke))
    with suppress(KeyRevokedError):
        rotating.rotate(made.key.key_id, 7)
    assert (len(asked) > request_number) == (request_number < 5), asked
    if request_number < 5:
        assert ApiKeys(bucket).find(made.key.key_id).revoked_at is not None
        assert ApiKeys(bucket).authenticate(made.token) is None


@pytest.mark.parametrize("request_number", range(3))
def test_a_rotation_in_the_middle_of_a_revocation_does_not_undo_it(
    bucket: Bucket, request_number: int
) -> None:
    made = ApiKeys(bucket).create(name="x", role="client")
    asked: list[str] = []
    refused: list[Exception] = []

    def rotate(method: str, key: str) -> None:
        asked.append(f"{method} {key}")
        if len(asked) == request_number + 1:
            try:
                ApiKeys(bucket).rotate(made.key.key_id, 7)
            except KeyRevokedError as error:
                refused.append(error)

    ApiKeys(WatchedBucket(bucket, rotate)).revoke(made.key.key_id)
    assert len(asked) == 3, asked
    assert len(refused) == (request_number == 2)  # by then the mark is written
    assert ApiKeys(bucket).find(made.key.key_id).revoked_at is not None


def test_a_key_is_revoked_even_if_its_mark_may_not_be_written(bucket: Bucket) -> None:
    """With the S3 policy of a former release, which allows no marks."""

    def deny(_: str, key: str) -> None:
        if key.startswith("key-marks/"):
            raise StoreUnavailableError("PutObject: AccessDenied", "AccessDenied", "PutObject")

    made = ApiKeys(bucket).create(name="x", role="client")
    ApiKeys(WatchedBucket(bucket, deny)).revoke(made.key.key_id)
    assert ApiKeys(bucket).authenticate(made.token) is None


def test_a_rotation_that_cannot_look_for_a_revocation_changes_nothing(bucket: Bucket) -> None:
    def deny(_: str, key: str) -> None:
        if key.startswith("key-marks/"):
            raise StoreUnavailableError("GetObject: AccessDenied", "AccessDenied", "GetObject")

    made = ApiKeys(bucket).create(name="x", role="client")
    with pytest.raises(StoreUnavailableError):
        ApiKeys(WatchedBucket(bucket, deny)).rotate(made.key.key_id, 7)
    assert ApiKeys(bucket).list() == [made.key]


def test_an_older_reader_finds_in_a_key_what_it_knows(api_keys: ApiKeys, bucket: Bucket) -> None:
    first = api_keys.create(name="x", role="client").key
    second = api_keys.create(name="y", role="client", tenant="x", expires_in_days=1).key
    stored = json.loads(bucket.get(keys.api_key_object(second.key_id)))
    known = {"key_id": second.key_id, "name": "y", "role": "client", "sha256": second.sha256}
    assert known.items() <= stored.items()
    assert (stored["tenant"], stored["tenant_name"]) == (first.key_id, "x")


class Uses:
    """The requests that record a use of a key; each can be held or refused."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.refuse = False
        self.held = threading.Event()
        self.held.set()

    def __call__(self, method: str, key: str) -> None:
        if method == "put" and key.startswith("key-marks/"):
            self.held.wait(60)
            self.written.append(key)
            if self.refuse:
                raise StoreUnavailableError("PutObject: AccessDenied", "AccessDenied", "PutObject")


def test_the_day_of_the_last_use_is_written_once_a_day_and_process(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ApiKeys(bucket).create(name="x", role="client")
    another = ApiKeys(bucket).create(name="y", role="client")
    assert ApiKeys(bucket).last_used() == {}
    uses = [Uses(), Uses()]
    processes = [ApiKeys(WatchedBucket(bucket, each)) for each in uses]
    before = datetime.now(UTC).date().isoformat()
    for process, _ in itertools.product(processes, range(20)):
        assert process.authenticate(made.token)
        assert process.working(made.key.key_id)
    wait_for(lambda: all(each.written for each in uses), "the recorded uses")
    for each in uses:
        assert each.written == [keys.key_use_object(made.key.key_id)]
    found = wait_for(processes[0].last_used, "the day of the use")
    assert set(found) == {made.key.key_id}
    assert found[made.key.key_id] in {before, datetime.now(UTC).date().isoformat()}
    assert processes[1].last_used(made.key.key_id) == found
    assert processes[1].last_used(another.key.key_id) == {}
    moved_clock(monkeypatch, DAY)
    for _ in range(5):
        assert processes[0].authenticate(made.token)
    wait_for(lambda: len(uses[0].written) == 2, "the use of the next day")
    listed = {key.key_id: key for key in ApiKeys(bucket).list()}
    for new in (made, another):  # the keys themselves are untouched
        assert listed[new.key.key_id] == new.key


def test_a_store_that_hangs_or_refuses_delays_and_fails_no_request(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [ApiKeys(bucket).create(name=name, role="client") for name in ("x", "y")]
    uses = Uses()
    uses.held.clear()
    uses.refuse = True
    process = ApiKeys(WatchedBucket(bucket, uses))
    for each in made * 10:
        assert process.authenticate(each.token) == each.key
    assert uses.written == []
    uses.held.set()
    wait_for(lambda: len(uses.written) == 2, "both attempts")
    wait_for(lambda: not process._uses._writing, "the end of the thread")
    for each in made * 10:  # the next attempt is an hour later
        assert process.authenticate(each.token) == each.key
    assert len(uses.written) == 2
    uses.refuse = False
    moved_clock(monkeypatch, 3601)
    for each in made * 10:
        assert process.authenticate(each.token) == each.key
    wait_for(lambda: len(process.last_used()) == 2, "both uses")


def test_no_more_threads_fail_no_request(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [ApiKeys(bucket).create(name=name, role="client") for name in ("x", "y")]
    process = ApiKeys(bucket)
    with monkeypatch.context() as exhausted:

        def refuse(*_: Any) -> None:  # noqa: ANN401 - as of Thread.start
            raise RuntimeError("can't start new thread")

        exhausted.setattr("pipeline.auth.key_uses.Thread.start", refuse)
        assert process.authenticate(made[0].token) == made[0].key
    assert process.authenticate(made[1].token) == made[1].key
    wait_for(lambda: len(process.last_used()) == 2, "both uses")


def test_neither_revoked_nor_expired_keys_are_used(bucket: Bucket) -> None:
    api_keys = ApiKeys(bucket)
    revoked, expired = (api_keys.create(name=name, role="client") for name in ("x", "y"))
    api_keys.revoke(revoked.key.key_id)
    api_keys.rotate(expired.key.key_id, 0)
    for each in (revoked, expired):
        assert api_keys.authenticate(each.token) is None
        assert api_keys.working(each.key.key_id) is None
    assert api_keys._uses._due == {}
    assert api_keys.last_used() == {}  # a revocation's mark is no use
