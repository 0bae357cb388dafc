import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.auth import stored_keys
from pipeline.auth.api_keys import ApiKeys
from pipeline.auth.errors import UnknownApiKeyError
from pipeline.auth.tokens import checksum
from pipeline.errors import StoreUnavailableError
from pipeline.storage.bucket import Bucket
from pipeline.storage.keys import api_key_object


class Unreachable(Bucket):
    """A bucket whose server went away; the calls are counted."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.asked += 1
        raise StoreUnavailableError(f"{key} {offset} {length}")

    def list_ages(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        self.asked += 1
        raise StoreUnavailableError(prefix)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        raise StoreUnavailableError(f"{key} {content_type} {data!r}")


def test_a_new_key_lets_in_and_only_its_hash_is_kept(bucket: Bucket) -> None:
    made = ApiKeys(bucket).create(name="print shop", role="client", per_minute=5)
    assert ApiKeys(bucket).authenticate(made.token) == made.key
    (name,) = bucket.list_keys("keys/")
    stored = bucket.get(name)
    secret = made.token.rpartition("_")[2]
    assert secret.encode() not in stored
    assert name == f"keys/{made.key.key_id}.json"
    assert (made.key.role, made.key.per_minute, made.key.per_day) == ("client", 5, 0)


def test_a_token_says_what_it_is(bucket: Bucket) -> None:
    token = ApiKeys(bucket).create(name="x", role="operator").token
    assert token.startswith("qrmill_")
    body, given_checksum = token[:-6], token[-6:]
    value = zlib.crc32(body.encode())
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert (
        sum(62**place * digits.index(char) for place, char in enumerate(given_checksum[::-1]))
        == value
    )


def test_a_mistyped_token_is_refused_without_asking_the_store(bucket: Bucket) -> None:
    token = ApiKeys(bucket).create(name="x", role="client").token
    away = Unreachable()
    keys = ApiKeys(away)
    for place in range(len("qrmill_"), len(token)):
        for wrong in ("0", "z"):
            if token[place] != wrong:
                assert keys.authenticate(token[:place] + wrong + token[place + 1 :]) is None
    assert away.asked == 0


@given(st.text(max_size=31) | st.text(min_size=256) | st.text(st.characters(min_codepoint=0x7F)))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_that_is_no_token_lets_in_or_asks_the_store(text: str) -> None:
    away = Unreachable()
    assert ApiKeys(away).authenticate(text) is None
    assert away.asked == 0


def test_another_secret_under_a_known_id_is_refused(bucket: Bucket) -> None:
    keys = ApiKeys(bucket)
    made = keys.create(name="x", role="client")
    forged = f"qrmill_{made.key.key_id}_{'A' * 32}"
    assert keys.authenticate(forged + checksum(forged)) is None


def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = ApiKeys(bucket), ApiKeys(bucket)
    made = here.create(name="x", role="client")
    assert elsewhere.authenticate(made.token)
    revoked = here.revoke(made.key.key_id)
    assert revoked.revoked_at is not None
    assert here.revoke(made.key.key_id) == revoked
    assert here.authenticate(made.token) is None
    monkeypatch.setattr(stored_keys, "_FRESH", 0)
    assert elsewhere.authenticate(made.token) is None


def test_a_key_goes_on_working_while_the_store_is_away(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(bucket)
    made = keys.create(name="x", role="client")
    assert keys.authenticate(made.token)
    monkeypatch.setattr(stored_keys, "_FRESH", 0)
    keys._stored._bucket = away = Unreachable()
    assert keys.authenticate(made.token) == made.key
    monkeypatch.setattr(stored_keys, "_FRESH", 60)
    assert keys.authenticate(made.token) == made.key
    keys._stored._remembered[made.key.key_id] = (float("-inf"), made.key)
    keys._stored._retry_at.clear()
    assert away.asked == 1
    with pytest.raises(StoreUnavailableError):
        keys.authenticate(made.token)


def test_while_one_waits_for_a_store_that_hangs_the_others_go_on(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(bucket)
    made = keys.create(name="x", role="operator")
    assert keys.authenticate(made.token)
    monkeypatch.setattr(stored_keys, "_FRESH", 0)
    asked, over = threading.Event(), threading.Event()

    def hang(*_: object) -> bytes:
        asked.set()
        over.wait(60)
        raise StoreUnavailableError("no answer")

    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as store:
            store.setattr(bucket, "get", hang)
            first = pool.submit(keys.authenticate, made.token)
            assert asked.wait(60)
        # Had they to ask, they would learn from the store that there is no such key any more.
        bucket.delete(api_key_object(made.key.key_id))
        assert keys.authenticate(made.token) == keys.working(made.key.key_id) == made.key
        over.set()
        assert first.result() == made.key
    assert keys.authenticate(made.token) is None


def test_unknown_ids_are_remembered_apart_and_push_no_key_out(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_keys, "_MOST_UNKNOWN", 3)
    keys = ApiKeys(bucket)
    made = keys.create(name="x", role="client")
    assert keys.authenticate(made.token) == made.key
    unknown = [f"qrmill_{number:012}_{'A' * 32}" for number in range(8)]
    assert not any(keys.authenticate(each + checksum(each)) for each in unknown)
    assert len(keys._stored._unknown) == 2
    keys._stored._bucket = away = Unreachable()
    assert keys.authenticate(made.token) == made.key
    assert keys.authenticate(unknown[-1] + checksum(unknown[-1])) is None
    assert away.asked == 0


def test_a_flood_of_unknown_keys_costs_few_requests_and_hides_no_new_key(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    here, elsewhere = ApiKeys(bucket), ApiKeys(bucket)
    made = here.create(name="x", role="client")
    requests: list[str] = []
    _count(bucket, monkeypatch, requests)
    refused = [flood(elsewhere, number) for number in range(200)]
    assert refused.count(None) == 50
    assert refused.count("too many lookups of unknown API keys") == 150
    assert requests.count("get") == 50
    assert requests.count("list") == 1
    assert elsewhere.authenticate(made.token) == made.key  # it was in the listing
    later = here.create(name="y", role="client")
    with pytest.raises(StoreUnavailableError):
        elsewhere.authenticate(later.token)
    now += 1
    assert all(flood(elsewhere, number) is None for number in range(300, 350))
    assert elsewhere.authenticate(later.token) == later.key
    assert requests.count("list") == 2
    # An unknown id that is looked up again, beyond the rate, is still unknown.
    now += 10.2
    assert [flood(elsewhere, number) for number in range(400, 450)] == [None] * 50
    assert flood(elsewhere, 0) is None
    assert elsewhere.authenticate(made.token) == made.key


def test_a_tenants_name_is_found_among_any_number_of_keys(bucket: Bucket) -> None:
    here, elsewhere = ApiKeys(bucket), ApiKeys(bucket)
    first = here.create(name="print shop", role="client").key
    for number in range(60):
        here.create(name=f"{number}", role="client")
    assert elsewhere.create(name="x", role="client", tenant="print shop").key.tenant == first.tenant
    later = here.create(name="brand", role="client").key
    assert elsewhere.create(name="x", role="client", tenant="brand").key.tenant == later.tenant


def flood(keys: ApiKeys, number: int) -> str | None:
    """Send an unknown key; return the error's text, or None if the key is refused."""
    token = f"qrmill_{number:012}_{'A' * 32}"
    try:
        assert keys.authenticate(token + checksum(token)) is None
    except StoreUnavailableError as error:
        return str(error)
    return None


def _count(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, requests: list[str]) -> None:
    get, list_keys = bucket.get, bucket.list_keys

    def counted_get(*args: Any) -> bytes:  # noqa: ANN401 - passed on
        requests.append("get")
        return get(*args)

    def counted_list(prefix: str) -> Iterator[str]:
        requests.append("list")
        return list_keys(prefix)

    monkeypatch.setattr(bucket, "get", counted_get)
    monkeypatch.setattr(bucket, "list_keys", counted_list)


def test_a_key_that_was_unknown_is_known_once_it_is_made(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = ApiKeys(bucket), ApiKeys(bucket)
    made = here.create(name="x", role="client")
    name = api_key_object(made.key.key_id)
    stored = bucket.get(name)
    monkeypatch.setattr(stored_keys, "_FRESH", 0)
    bucket.delete(name)
    assert elsewhere.authenticate(made.token) is None
    bucket.put(name, stored, "application/json")
    assert elsewhere.authenticate(made.token) == made.key
    bucket.delete(name)
    assert elsewhere.authenticate(made.token) is None


def test_keys_are_listed_oldest_first_and_unknown_ones_cannot_be_revoked(bucket: Bucket) -> None:
    keys = ApiKeys(bucket)
    made = [keys.create(name=name, role="client").key for name in ("a", "b")]
    assert sorted(keys.list(), key=lambda key: key.name) == made
    for unknown in ("0" * 12, "../x", ""):
        with pytest.raises(UnknownApiKeyError):
            keys.revoke(unknown)


@pytest.mark.parametrize("name", ["", "x" * 81])
def test_a_name_that_could_not_be_read_back_is_refused(bucket: Bucket, name: str) -> None:
    with pytest.raises(ValueError, match="length"):
        ApiKeys(bucket).create(name=name, role="client")
    assert [*bucket.list_keys("")] == []


def test_a_foreign_object_among_the_keys_hides_none_of_them(bucket: Bucket) -> None:
    keys = ApiKeys(bucket)
    made = keys.create(name="x", role="client")
    bucket.put("keys/foreign.json", b"{}")
    assert keys.list() == [made.key]
