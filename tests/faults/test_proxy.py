"""The proxy before a real S3 server: it passes signed requests on, and does the harm it is told."""

import dataclasses
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from deploy.embedded.servers import S3Server
from tests.faults.proxy import CUTTING, FAILING, FULL, PASS, FaultProxy, Mode, Seen

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DATA = secrets.token_bytes(300_000)


@pytest.fixture
def client(s3: S3Server, proxy: FaultProxy) -> Iterator["S3Client"]:
    port = int(proxy.url.rpartition(":")[2])
    through = dataclasses.replace(s3, port=port).client()
    through.create_bucket(Bucket="proxied")
    through.put_object(Bucket="proxied", Key="there", Body=DATA)
    yield through
    through.delete_object(Bucket="proxied", Key="there")
    through.delete_bucket(Bucket="proxied")
    through.close()


def read(client: "S3Client") -> bytes:
    return client.get_object(Bucket="proxied", Key="there")["Body"].read()


def test_signed_requests_pass_unchanged_and_are_seen(proxy: FaultProxy, client: "S3Client") -> None:
    seen: list[Seen] = []
    proxy.watch = seen.append
    assert read(client) == DATA
    assert client.head_object(Bucket="proxied", Key="there")["ContentLength"] == len(DATA)
    assert [each["Key"] for each in client.list_objects_v2(Bucket="proxied")["Contents"]] == [
        "there"
    ]
    assert [(each.method, each.target.partition("?")[0]) for each in seen] == [
        ("GET", "/proxied/there"),
        ("HEAD", "/proxied/there"),
        ("GET", "/proxied"),
    ]


def test_a_share_of_the_requests_is_refused(proxy: FaultProxy, client: "S3Client") -> None:
    proxy.mode = FAILING
    codes = []
    for _ in range(60):
        try:
            assert read(client) == DATA
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    proxy.mode = PASS
    assert 8 <= len(codes) <= 30
    assert set(codes) == {"InternalError", "SlowDown"}


def test_a_full_store_refuses_writes_alone(proxy: FaultProxy, client: "S3Client") -> None:
    proxy.mode = FULL
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket="proxied", Key="new", Body=DATA)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
    assert read(client) == DATA
    proxy.mode = PASS


def test_a_cut_body_is_an_error_to_its_reader(proxy: FaultProxy, client: "S3Client") -> None:
    proxy.mode = dataclasses.replace(CUTTING, cut=1.0)
    with pytest.raises(BotoCoreError):
        read(client)
    proxy.mode = PASS
    assert read(client) == DATA


def test_what_was_asked_for_is_done_though_its_answer_is_lost(
    proxy: FaultProxy, client: "S3Client"
) -> None:
    proxy.mode = Mode(lost=1.0)
    with pytest.raises(BotoCoreError):
        client.put_object(Bucket="proxied", Key="there", Body=b"other")
    proxy.mode = PASS
    assert read(client) == b"other"


def test_a_delay_is_waited_for(proxy: FaultProxy, client: "S3Client") -> None:
    proxy.mode = Mode(delay=0.5)
    begin = time.monotonic()
    assert read(client) == DATA
    assert time.monotonic() - begin >= 0.5
    proxy.mode = PASS
