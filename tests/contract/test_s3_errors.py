"""Errors in the shapes that S3 documents, sent by a proxy before a real server or by the server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from pipeline.storage.multipart_upload import Upload
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen

PART = 5 * 1024 * 1024


class Refusing:
    """A bucket behind a proxy that refuses the next requests of its choice."""

    def __init__(self, proxy: FaultProxy, settings: Settings) -> None:
        self._proxy = proxy
        proxy.watch = self._choose
        self._method, self._word, self._modes = "", "", list[Mode]()
        behind = msgspec.structs.replace(settings, s3_endpoint_url=proxy.url)
        self.bucket = open_storage(behind, read_timeout=5).bucket

    def refuse(
        self,
        status: int,
        *,
        times: int,
        method: str = "",
        word: str = "",
        code: str = "",
        headers: str = "",
    ) -> None:
        self._method, self._word = method, word
        answer = Mode(refused=1.0, statuses=(status,), code=code, headers=headers)
        self._modes = [answer] * times

    @property
    def left(self) -> int:
        return len(self._modes)

    def _choose(self, seen: Seen) -> None:
        chosen = self._method in seen.method and self._word in seen.target
        self._proxy.mode = self._modes.pop() if chosen and self._modes else PASS


@pytest.fixture
def refusing(proxy: FaultProxy, settings: Settings) -> Refusing:
    return Refusing(proxy, settings)


def test_what_may_pass_is_tried_three_times(refusing: Refusing) -> None:
    refusing.refuse(503, times=2)
    refusing.bucket.put("key", b"x")
    assert refusing.left == 0
    assert refusing.bucket.get("key") == b"x"


def test_what_does_not_pass_in_three_times_is_told(refusing: Refusing) -> None:
    refusing.refuse(503, times=4)
    with pytest.raises(StoreUnavailableError, match="PutObject: SlowDown"):
        refusing.bucket.put("key", b"x")
    assert refusing.left == 1


def test_a_completion_that_is_answered_with_200_and_an_error_is_none(refusing: Refusing) -> None:
    refusing.refuse(200, times=1, method="POST", word="uploadId=")
    done = refusing.bucket.upload("key", Upload([bytes(PART), b"whole"], PART, lambda: True))
    assert (refusing.left, done.bytes) == (0, PART + 5)
    assert refusing.bucket.get("key", PART, 5) == b"whole"
    refusing.refuse(200, times=4, method="POST", word="uploadId=")
    with pytest.raises(StoreUnavailableError, match="InternalError"):
        refusing.bucket.upload("never", Upload([bytes(PART), b"whole"], PART, lambda: True))
    with pytest.raises(ObjectMissingError):
        refusing.bucket.get("never")


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_the_buckets_region_is_followed(refusing: Refusing, status: int) -> None:
    refusing.refuse(status, times=1, headers="x-amz-bucket-region: eu-west-3\r\n")
    refusing.bucket.put("key", b"x")
    assert refusing.left == 0
    assert refusing.bucket.get("key") == b"x"


def test_a_403_is_not_read_as_missing(refusing: Refusing) -> None:
    refusing.refuse(403, times=1)
    with pytest.raises(StoreUnavailableError, match="GetObject: AccessDenied"):
        refusing.bucket.get("nothing")


def test_a_key_that_kms_refuses_is_told_from_an_action_that_is_denied(refusing: Refusing) -> None:
    for code, by_kms in (("AccessDenied", False), ("KMS.DisabledException", True)):
        refusing.refuse(400, times=1, code=code)
        with pytest.raises(StoreUnavailableError) as caught:
            refusing.bucket.put("key", b"x")
        assert caught.value.by_kms is by_kms


def test_a_body_that_changes_on_the_way_is_refused(bucket: Bucket) -> None:
    def damage(params: dict[str, Any], **_: object) -> None:
        params["body"] = b"other bytes"

    bucket._client.meta.events.register("before-call.s3.PutObject", damage)
    with pytest.raises(StoreUnavailableError, match="BadDigest"):
        bucket.put("damaged", b"some bytes!")
    assert [*bucket.list_keys("")] == []


def test_an_upload_that_is_gone_at_its_end_has_to_be_made_anew(bucket: Bucket) -> None:
    def vanish(**_: object) -> None:
        bucket.abort_uploads(datetime.now(UTC) + timedelta(minutes=1))

    bucket._client.meta.events.register("before-call.s3.CompleteMultipartUpload", vanish)
    with pytest.raises(StoreUnavailableError, match="NoSuchUpload"):
        bucket.upload("gone", Upload([bytes(PART), b"x"], PART, lambda: True))
