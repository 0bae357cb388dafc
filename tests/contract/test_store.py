import hashlib
import itertools
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from deploy.embedded import servers
from pipeline.settings import Settings
from pipeline.store import (
    Bucket,
    ObjectMissingError,
    ObjectShortError,
    StoreUnavailableError,
    Upload,
    UploadAbandonedError,
    connect_s3,
)

PART = 5 * 1024 * 1024


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


def test_all_under_a_prefix_is_removed_and_nothing_else(bucket: Bucket) -> None:
    for name in ("a/1", "a/2", "a/b/3", "ab/4"):
        bucket.put(name, b"x")
    bucket.delete_all("a/")
    assert [*bucket.list_keys("")] == ["ab/4"]
    bucket.delete_all("a/")
    bucket.delete("a/1")


def test_a_stream_of_any_pieces_is_uploaded_as_it_is(bucket: Bucket) -> None:
    whole = bytes(range(256)) * (2 * PART // 256) + b"the end"
    pieces = (whole[at : at + 77_777] for at in range(0, len(whole), 77_777))
    done = bucket.upload("big", Upload(pieces, PART, always))
    assert bucket.get("big") == whole
    assert done == (len(whole), hashlib.sha256(whole).hexdigest())


def test_a_stream_shorter_than_a_part_is_uploaded_too(bucket: Bucket) -> None:
    assert bucket.upload("small", Upload([b"a", b"b"], PART, always)).bytes == 2
    assert bucket.get("small") == b"ab"


def open_uploads(bucket: Bucket) -> list[object]:
    found = bucket._client.list_multipart_uploads(Bucket=bucket.name)
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


def test_a_presigned_url_downloads_under_the_jobs_name(bucket: Bucket) -> None:
    bucket.put("x.zip", b"zip")
    url = bucket.presign("x.zip", seconds=60, filename="task.zip")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"zip"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="task.zip"'
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("x.zip", "y.zip", 1))


def test_a_server_that_refuses_or_is_not_there_is_unavailable(
    settings: Settings, s3: servers.S3Server
) -> None:
    wrong = Settings(s3_secret_access_key="wrong", s3_access_key_id=s3.access_key_id)
    for url in (s3.endpoint_url, "http://127.0.0.1:1"):
        client = connect_s3(wrong, endpoint_url=url, read_timeout=5)
        with pytest.raises(StoreUnavailableError) as caught:
            Bucket(client, settings.bucket).put("x", b"y")
        assert "wrong" not in str(caught.value)
