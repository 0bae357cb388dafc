"""One suite over every S3 server: nothing leans on the manners of one of them."""

import hashlib
import itertools
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from deploy.embedded import servers
from pipeline.errors import ObjectMissingError, ObjectShortError, StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from pipeline.storage.multipart_upload import Upload, UploadAbandonedError, Uploaded
from tests.s3_servers import EVERY_S3, enforced

pytestmark = EVERY_S3

PART = 5 * 1024 * 1024


@pytest.fixture
def bucket(settings: Settings) -> Bucket:
    """The bucket as the service opens it."""
    return open_storage(settings, read_timeout=5).bucket


def always() -> bool:
    return True


def test_what_is_put_is_got_whole_or_in_part(bucket: Bucket) -> None:
    bucket.put("a/b", b"0123456789")
    assert bucket.get("a/b") == b"0123456789"
    assert bucket.get("a/b", 3, 4) == b"3456"


def test_a_range_beyond_the_end_is_an_error_and_not_less_data(bucket: Bucket) -> None:
    bucket.put("short", b"0123456789")
    for offset in (8, 10, 100):
        with pytest.raises(ObjectShortError):
            bucket.get("short", offset, 4)
    assert bucket.get_start("short", 100) == b"0123456789"


def test_the_end_of_an_object_is_empty_where_the_object_ends(bucket: Bucket) -> None:
    bucket.put("short", b"0123456789")
    assert [bucket.get_end("short", offset) for offset in (0, 8, 9)] == [b"0123456789", b"89", b"9"]
    assert [bucket.get_end("short", offset) for offset in (10, 11, 100)] == [b"", b"", b""]
    with pytest.raises(ObjectMissingError):
        bucket.get_end("nothing", 10)


def test_an_empty_object_has_a_start_without_bytes(bucket: Bucket) -> None:
    bucket.put("empty", b"")
    assert bucket.get_start("empty", 100) == b""


def test_what_is_not_there_is_missing(bucket: Bucket, settings: Settings) -> None:
    with pytest.raises(ObjectMissingError):
        bucket.get("nothing")
    nowhere = Bucket(bucket._client, f"{settings.bucket}-not")
    with pytest.raises((ObjectMissingError, StoreUnavailableError)):
        nowhere.check()
    bucket.check()


def test_folders_are_listed_once_each_however_much_is_in_them(bucket: Bucket) -> None:
    for name in ("jobs/a/1", "jobs/a/2", "jobs/b/1", "jobs/b/c/1", "jobs/loose", "other/1"):
        bucket.put(name, b"x")
    assert [*itertools.chain(*bucket.list_folders("jobs/"))] == ["a", "b"]
    assert [*itertools.chain(*bucket.list_folders(""))] == ["jobs", "other"]
    assert [*itertools.chain(*bucket.list_folders("nothing/"))] == []


def test_that_a_bucket_is_missing_says_nothing_of_its_objects(
    bucket: Bucket, settings: Settings
) -> None:
    nowhere = Bucket(bucket._client, f"{settings.bucket}-not")
    for ask in (nowhere.get, nowhere.delete, lambda key: nowhere.put(key, b"x")):
        with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
            ask("key")


def test_all_under_a_prefix_is_removed_and_nothing_else(bucket: Bucket) -> None:
    for name in ("a/1", "a/2", "a/b/3", "ab/4"):
        bucket.put(name, b"x")
    bucket.delete_all("a/")
    assert [*bucket.list_keys("")] == ["ab/4"]
    bucket.delete_all("a/")
    bucket.delete("a/1")


def test_pages_of_keys_are_listed_in_order_and_deleted(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"many/{number:04}" for number in range(25)]
    for name in names:
        bucket.put(name, b"")
    # Small pages, so that it does not take thousands of keys to have several.
    asked = ask_in_pages(bucket, "ListObjectsV2", MaxKeys=10)
    monkeypatch.setattr("pipeline.storage.bucket._DELETE_BATCH", 7)
    assert [*bucket.list_keys("many/")] == names
    assert asked == [None, *asked[1:]]
    assert len(set(asked)) == 3
    bucket.delete_all("many/")
    assert [*bucket.list_keys("")] == []


def ask_in_pages(bucket: Bucket, operation: str, **limit: int) -> list[str | None]:
    """Have the server answer in small pages; return the list to which their tokens are added."""
    asked: list[str | None] = []

    def narrow(params: dict[str, Any], **_: object) -> dict[str, Any]:
        asked.append(params.get("ContinuationToken") or params.get("UploadIdMarker"))
        return {**params, **limit}

    # What the handler returns is what is asked; the stubs do not know that.
    event = f"provide-client-params.s3.{operation}"
    bucket._client.meta.events.register(event, narrow)  # type: ignore[arg-type]
    return asked


def test_keys_come_as_they_were_written(bucket: Bucket) -> None:
    names = sorted([" a", "a b+c", "a%20b", "ä/ü", "q?x=1&y#z", "semi;colon"])
    for name in names:
        bucket.put(name, name.encode())
    assert [*bucket.list_keys("")] == names
    assert [bucket.get(name) for name in names] == [name.encode() for name in names]
    bucket.delete_all("")
    assert [*bucket.list_keys("")] == []


def test_a_write_again_is_the_last_one(bucket: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    for data in (b"first", b"second, longer", b"3"):
        bucket.put("again", data)
        assert bucket.get("again") == data
    ((key, written),) = bucket.list_ages("")
    assert key == "again"
    assert before <= written <= datetime.now(UTC) + timedelta(seconds=2)


def test_a_stream_of_any_pieces_is_uploaded_as_it_is(bucket: Bucket) -> None:
    whole = bytes(range(256)) * (2 * PART // 256) + b"the end"
    pieces = (whole[at : at + 77_777] for at in range(0, len(whole), 77_777))
    done = bucket.upload("big", Upload(pieces, PART, always))
    assert bucket.get("big") == whole
    assert done == (len(whole), hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize("whole", [b"", b"ab", bytes(PART)])
def test_a_stream_of_one_part_is_written_with_one_request(bucket: Bucket, whole: bytes) -> None:
    requests: list[str] = []
    bucket._client.meta.events.register(
        "before-call.s3", lambda model, **_: requests.append(model.name)
    )
    done = bucket.upload("small", Upload([whole[:1], whole[1:]], PART, always))
    assert requests == ["PutObject"]
    assert done == (len(whole), hashlib.sha256(whole).hexdigest())
    assert bucket.get("small") == whole


def test_a_stream_of_one_part_is_abandoned_when_it_is_told_to(bucket: Bucket) -> None:
    with pytest.raises(UploadAbandonedError):
        bucket.upload("lost", Upload([b"ab"], PART, lambda: False))
    assert [*bucket.list_keys("")] == []


def test_a_stream_of_nothing_but_one_byte_over_a_part_is_uploaded(bucket: Bucket) -> None:
    assert bucket.upload("edge", Upload([bytes(PART), b"x"], PART, always)).bytes == PART + 1
    assert bucket.get("edge", PART, 1) == b"x"


@pytest.mark.parametrize("checksum", ["crc32", "sha256"])
def test_bodies_may_have_a_checksum_that_s3_keeps(settings: Settings, checksum: str) -> None:
    changed = msgspec.structs.replace(settings, s3_checksum=checksum)
    checked = open_storage(changed, read_timeout=5).bucket
    checked.put("one", b"0123456789")
    assert checked.get("one", 3, 4) == b"3456"
    done = checked.upload("parts", Upload([bytes(PART), b"end"], PART, always))
    whole = checked.get("parts")
    assert done == (len(whole), hashlib.sha256(whole).hexdigest())


def open_uploads(bucket: Bucket) -> list[object]:
    try:
        found = bucket._client.list_multipart_uploads(Bucket=bucket.name)
    except bucket._client.exceptions.NoSuchUpload:  # rclone's response before the first upload
        return []
    return [*found.get("Uploads", [])]


def test_an_upload_that_breaks_leaves_nothing(bucket: Bucket) -> None:
    def breaking() -> Iterator[bytes]:
        yield bytes(PART)
        yield bytes(PART)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bucket.upload("broken", Upload(breaking(), PART, always))
    assert [*bucket.list_keys("")] == []
    assert open_uploads(bucket) == []


def test_an_upload_is_abandoned_when_it_is_told_to(bucket: Bucket) -> None:
    answers = iter([True, False])
    endless = itertools.repeat(bytes(PART))
    with pytest.raises(UploadAbandonedError):
        bucket.upload("lost", Upload(endless, PART, lambda: next(answers)))
    assert open_uploads(bucket) == []


@pytest.mark.parametrize("size", [3, PART + 3])
def test_an_upload_is_confirmed_with_its_digest_before_it_is_completed(
    bucket: Bucket, size: int
) -> None:
    whole = bytes(size)
    confirmed: list[Uploaded] = []

    def confirm(uploaded: Uploaded) -> bool:
        confirmed.append(uploaded)
        assert [*bucket.list_keys("")] == []
        return True

    done = bucket.upload("whole", Upload([whole], PART, always, confirm=confirm))
    assert confirmed == [done] == [Uploaded(len(whole), hashlib.sha256(whole).hexdigest())]
    assert bucket.get("whole") == whole


@pytest.mark.parametrize("parts", [[b"after"], [bytes(PART), b"after"]])
def test_an_upload_that_is_not_confirmed_is_abandoned(bucket: Bucket, parts: list[bytes]) -> None:
    bucket.put("kept", b"before")
    with pytest.raises(UploadAbandonedError):
        bucket.upload("kept", Upload(parts, PART, always, confirm=lambda _: False))
    assert bucket.get("kept") == b"before"
    assert open_uploads(bucket) == []


def test_the_digest_of_an_object_is_that_of_its_bytes(bucket: Bucket) -> None:
    data = bytes(range(256)) * 20_000
    bucket.put("large", data)
    assert bucket.digest("large") == Uploaded(len(data), hashlib.sha256(data).hexdigest())
    bucket.put("empty", b"")
    assert bucket.digest("empty") == Uploaded(0, hashlib.sha256(b"").hexdigest())
    with pytest.raises(ObjectMissingError):
        bucket.digest("missing")


def test_a_presigned_url_downloads_under_the_jobs_name(bucket: Bucket) -> None:
    bucket.put("x.zip", b"zip")
    url = bucket.presign("x.zip", seconds=60, filename="task.zip")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"zip"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="task.zip"'
    with pytest.raises(urllib.error.HTTPError, match=r"403|404"):  # moto looks for the object first
        urllib.request.urlopen(url.replace("x.zip", "y.zip", 1))


def test_a_server_that_refuses_or_is_not_there_is_unavailable(
    settings: Settings, s3: servers.S3Server, request: pytest.FixtureRequest
) -> None:
    wrong = msgspec.structs.replace(settings, s3_secret_access_key="wrong")
    away = msgspec.structs.replace(settings, s3_endpoint_url="http://127.0.0.1:1")
    checks_signatures = enforced if request.node.callspec.params["s3"] == "moto" else nullcontext
    with checks_signatures(s3):
        for each in (wrong, away):
            with pytest.raises(StoreUnavailableError) as caught:
                open_storage(each, read_timeout=5).bucket.put("x", b"y")
            assert "wrong" not in str(caught.value)


def test_uploads_left_open_are_aborted_those_of_many_keys_too(
    bucket: Bucket, settings: Settings
) -> None:
    for number in range(5):
        bucket._client.create_multipart_upload(Bucket=settings.bucket, Key=f"open/{number % 3}")
    ask_in_pages(bucket, "ListMultipartUploads", MaxUploads=2)
    assert bucket.abort_uploads(datetime.now(UTC) + timedelta(minutes=1)) == 5
    assert open_uploads(bucket) == []
    assert bucket.abort_uploads(datetime.now(UTC) + timedelta(minutes=1)) == 0
