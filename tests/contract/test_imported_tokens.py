"""Import of tokens that clients already have, on real stores."""

import hashlib
import itertools
import random
import string
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from pipeline.auth import imported_tokens, tokens
from pipeline.auth.api_keys import ApiKeys
from pipeline.auth.errors import KeyExistsError
from pipeline.auth.tokens import UnsafeTokenError, check_importable
from pipeline.errors import StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.contract.test_key_lifecycle import WatchedBucket

TOKEN = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"


class CountedBucket(Bucket):
    """A real bucket that records its requests, and can be made unreachable."""

    def __init__(self, real: Bucket) -> None:
        super().__init__(real._client, real.name)
        self.asked: list[str] = []
        self.away = False

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreUnavailableError(what)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._note(key)
        return super().get(key, offset, length)

    def list_ages(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        self._note(prefix)
        return super().list_ages(prefix)


def foreign(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_an_imported_token_lets_in_and_only_its_hash_is_stored(bucket: Bucket) -> None:
    key = ApiKeys(bucket).import_token(TOKEN, name="shop", role="client", per_minute=5)
    assert (key.imported, key.per_minute, key.tenant) == (True, 5, key.key_id)
    for each in (ApiKeys(bucket), ApiKeys(bucket)):
        assert each.authenticate(TOKEN) == key
        assert each.list() == [key]
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    names = [name for name in bucket.list_keys("") if not name.startswith("key-marks/")]
    assert names == [f"imported-keys/{digest}.{key.key_id}", f"keys/{key.key_id}.json"]
    stored = b"".join(bucket.get(name) for name in names)
    assert TOKEN.encode() not in stored
    assert TOKEN[8:].encode() not in stored


def test_an_imported_token_is_compared_to_the_last_character(bucket: Bucket) -> None:
    api_keys = ApiKeys(bucket)
    api_keys.import_token(TOKEN, name="shop", role="client")
    for wrong in (TOKEN[:-1], TOKEN + "A", TOKEN[:-1] + "B", TOKEN.lower(), f" {TOKEN}"):
        assert api_keys.authenticate(wrong) is None


def test_an_imported_key_is_a_key_like_any_other(bucket: Bucket) -> None:
    api_keys = ApiKeys(bucket)
    first = api_keys.create(name="shop", role="client").key
    key = api_keys.import_token(TOKEN, name="old", role="client", tenant="shop", expires_in_days=9)
    assert (key.tenant, key.expires_at) == (first.key_id, key.created_at + 9 * 86_400)
    new, former = api_keys.rotate(key.key_id, 1)
    assert (new.key.imported, new.token.startswith("qrmill_"), new.key.tenant) == (
        *(False, True),
        first.key_id,
    )
    assert api_keys.authenticate(TOKEN) == former
    api_keys.revoke(key.key_id)
    assert api_keys.authenticate(TOKEN) is None


def test_a_token_is_imported_once_even_if_it_is_revoked_by_now(bucket: Bucket) -> None:
    key = ApiKeys(bucket).import_token(TOKEN, name="shop", role="client")
    for _ in range(2):
        with pytest.raises(KeyExistsError, match=key.key_id):
            ApiKeys(bucket).import_token(TOKEN, name="another", role="operator")
        assert ApiKeys(bucket).find(key.key_id).role == "client"
        ApiKeys(bucket).revoke(key.key_id)
    assert ApiKeys(bucket).authenticate(TOKEN) is None


def test_a_token_that_is_imported_twice_at_once_becomes_one_key(bucket: Bucket) -> None:
    together = threading.Barrier(2)

    def wait(method: str, key: str) -> None:
        if method == "put" and key.startswith("imported-keys/"):
            together.wait(60)

    def run(_: int) -> str:
        process = ApiKeys(WatchedBucket(bucket, wait))
        return process.import_token(TOKEN, name="shop", role="client").key_id

    with ThreadPoolExecutor(2) as pool:
        (key_id,) = {*pool.map(run, range(2))}
    assert [key.key_id for key in ApiKeys(bucket).list()] == [key_id]
    assert len([*bucket.list_keys(keys.IMPORTED_KEYS)]) == 1
    ApiKeys(bucket).revoke(key_id)
    assert ApiKeys(bucket).authenticate(TOKEN) is None


@pytest.mark.parametrize("request_number", range(5))
def test_a_second_import_does_not_undo_a_revocation(bucket: Bucket, request_number: int) -> None:
    numbers = itertools.count()

    def import_and_revoke(*_: str) -> None:
        if next(numbers) == request_number:
            other = ApiKeys(bucket)
            try:
                key_id = other.import_token(TOKEN, name="x", role="client").key_id
            except KeyExistsError as error:
                key_id = str(error)
            other.revoke(key_id)

    try:
        ApiKeys(WatchedBucket(bucket, import_and_revoke)).import_token(
            TOKEN, name="x", role="client"
        )
    except KeyExistsError:
        assert request_number == 0
    key_id = tokens.derive_key_id(TOKEN)
    if next(numbers) > request_number:
        assert ApiKeys(bucket).find(key_id).revoked_at is not None
        assert ApiKeys(bucket).authenticate(TOKEN) is None


def test_an_import_that_broke_off_can_be_repeated(bucket: Bucket) -> None:
    def break_off(method: str, key: str) -> None:
        if method == "put" and key.startswith("keys/"):
            raise StoreUnavailableError("PutObject: SlowDown", "SlowDown", "PutObject")

    with pytest.raises(StoreUnavailableError):
        ApiKeys(WatchedBucket(bucket, break_off)).import_token(TOKEN, name="x", role="client")
    assert ApiKeys(bucket).authenticate(TOKEN) is None
    key = ApiKeys(bucket).import_token(TOKEN, name="x", role="client")
    assert ApiKeys(bucket).authenticate(TOKEN) == key


@pytest.mark.parametrize("imported", [0, 3])
def test_no_text_that_a_client_sends_is_looked_up(bucket: Bucket, imported: int) -> None:
    for number in range(imported):
        ApiKeys(bucket).import_token(foreign(number), name="x", role="client")
    counted = CountedBucket(bucket)
    api_keys = ApiKeys(counted)
    for number in range(1000, 3000):
        assert api_keys.authenticate(foreign(number)) is None
    assert counted.asked == [keys.IMPORTED_KEYS]
    assert len(api_keys._imported._key_ids) == imported
    for number in range(imported):
        assert api_keys.authenticate(foreign(number)) is not None
    assert counted.asked.count(keys.IMPORTED_KEYS) == 1


def test_texts_without_the_form_of_a_token_ask_nothing(bucket: Bucket) -> None:
    counted = CountedBucket(bucket)
    api_keys = ApiKeys(counted)
    for text in (
        "",
        TOKEN[:31],
        "x" * 256,
        f"{TOKEN} ",
        f"qrmill_{TOKEN}",
        f"{TOKEN}ü",
        "\x00" * 40,
    ):
        assert api_keys.authenticate(text) is None
    assert counted.asked == []


def test_another_process_knows_an_imported_token_soon(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ApiKeys(bucket)
    assert elsewhere.authenticate(TOKEN) is None
    key = ApiKeys(bucket).import_token(TOKEN, name="x", role="client")
    assert imported_tokens._FRESH <= 10
    assert elsewhere.authenticate(TOKEN) is None
    monkeypatch.setattr(imported_tokens, "_FRESH", 0)
    elsewhere._imported._next_read = float("-inf")
    assert elsewhere.authenticate(TOKEN) == key


def test_while_the_store_is_away_known_tokens_work_and_unknown_ones_wait_for_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ApiKeys(bucket).import_token(TOKEN, name="x", role="client")
    counted = CountedBucket(bucket)
    counted.away = True
    api_keys = ApiKeys(counted)
    with pytest.raises(StoreUnavailableError):  # nobody knows yet whether it is one
        api_keys.authenticate(TOKEN)
    counted.away = False
    assert api_keys.authenticate(TOKEN) == key
    counted.away = True
    monkeypatch.setattr(imported_tokens, "_REFRESHING", 0)
    api_keys._imported._next_read = float("-inf")
    before = len(counted.asked)
    assert api_keys.authenticate(foreign(1)) is None
    assert api_keys.authenticate(foreign(2)) is None
    assert len(counted.asked) == before + 1
    assert api_keys.authenticate(TOKEN) == key


def test_a_foreign_object_among_the_imported_tokens_hides_none(bucket: Bucket) -> None:
    key = ApiKeys(bucket).import_token(TOKEN, name="x", role="client")
    bucket.put("imported-keys/foreign", b"")
    assert ApiKeys(bucket).authenticate(TOKEN) == key


ALPHABETS = {
    "hexadecimal": string.hexdigits[:16],
    "letters and digits": string.ascii_letters + string.digits,
    "base64url": string.ascii_letters + string.digits + "-_",
    "visible": "".join(map(chr, range(0x21, 0x7F))),
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("length", [32, 43, 255])
def test_what_was_drawn_at_random_can_be_imported(alphabet: str, length: int) -> None:
    draw = random.Random(f"{alphabet} {length}")
    for _ in range(2000):
        check_importable("".join(draw.choices(ALPHABETS[alphabet], k=length)))
        check_importable(str(uuid.UUID(int=draw.getrandbits(128), version=4)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x" * 31,
        TOKEN[:31],
        TOKEN * 7,
        f"{TOKEN} ",
        f"{TOKEN}\n",
        f"{TOKEN}é",
        f"qrmill_{TOKEN}",
        "a" * 32,
        "ab" * 20,
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",  # of the OpenAPI document
        "password" * 4,
        "change-me-" * 5,
        string.ascii_lowercase + string.digits,
        (string.digits + "abcdef") * 2,
        string.ascii_uppercase[::-1] + "9876543210",
        "00000000-0000-4000-8000-000000000001",
        "0101101110010101" * 2,
    ],
)
def test_what_is_visibly_no_random_token_is_refused_without_being_quoted(
    bucket: Bucket, token: str
) -> None:
    with pytest.raises(UnsafeTokenError, match="32 to 255 visible ASCII") as error:
        ApiKeys(bucket).import_token(token, name="x", role="client")
    assert not token or token not in str(error.value)
    assert [*bucket.list_keys("")] == []
