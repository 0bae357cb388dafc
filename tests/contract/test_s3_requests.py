"""What goes over the wire to S3: addresses, regions, encryption and checksums, seen by a proxy."""

import hashlib
from base64 import b64encode
from importlib.metadata import version

import msgspec
import pytest
import urllib3

from deploy.embedded import servers
from pipeline.errors import StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from pipeline.storage.multipart_upload import Upload
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen

pytestmark = pytest.mark.parametrize("s3", ["moto"], indirect=True)

PART = 5 * 1024 * 1024
REGION = "eu-west-3"
ENDPOINT = f"http://s3.{REGION}.amazonaws.com"
KEY = "arn:aws:kms:us-east-1:123456789012:key/7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
SSE = "x-amz-server-side-encryption"
ENCRYPTED = {
    SSE: "aws:kms",
    f"{SSE}-aws-kms-key-id": KEY,
    f"{SSE}-bucket-key-enabled": "true",
}


@pytest.fixture
def seen(proxy: FaultProxy) -> list[Seen]:
    """The requests that came to the proxy."""
    found: list[Seen] = []
    proxy.watch = found.append
    return found


@pytest.fixture
def behind(settings: Settings, proxy: FaultProxy) -> Settings:
    return msgspec.structs.replace(settings, s3_endpoint_url=proxy.url)


@pytest.fixture
def at_aws(
    settings: Settings, s3: servers.S3Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """AWS's own host names, which an HTTP proxy leads to the server, and buckets in that region."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    names = {"bucket": f"{settings.bucket}-eu", "staging_bucket": f"{settings.staging_bucket}-eu"}
    for name in names.values():
        place = {"LocationConstraint": REGION}
        s3.client().create_bucket(Bucket=name, CreateBucketConfiguration=place)  # type: ignore[arg-type]
    return msgspec.structs.replace(settings, s3_endpoint_url=ENDPOINT, s3_region=REGION, **names)


def test_an_object_is_sent_with_its_headers_and_waits_for_no_leave(
    behind: Settings, seen: list[Seen]
) -> None:
    open_storage(behind, read_timeout=10).bucket.put("a/key", b"data")
    assert [(each.method, each.headers.get("expect")) for each in seen] == [("PUT", None)]


def test_a_servers_log_tells_the_service_by_its_name(behind: Settings, seen: list[Seen]) -> None:
    open_storage(behind, read_timeout=10).bucket.put("a/key", b"data")
    (only,) = seen
    assert only.headers["user-agent"].split()[0] == f"qrmill/{version('qrmill')}"


@pytest.mark.parametrize(
    ("style", "address"),
    [
        ("path", "http://s3.{region}.amazonaws.com/{bucket}/a/key"),
        ("auto", "http://s3.{region}.amazonaws.com/{bucket}/a/key"),
        ("virtual", "http://{bucket}.s3.{region}.amazonaws.com/a/key"),
    ],
)
def test_the_bucket_stands_where_the_settings_say(
    at_aws: Settings, proxy: FaultProxy, seen: list[Seen], style: str, address: str
) -> None:
    changed = msgspec.structs.replace(at_aws, s3_addressing_style=style)
    storage = open_storage(changed, read_timeout=5)
    storage.bucket.put("a/key", b"data")
    assert storage.bucket.get("a/key", 1, 2) == b"at"
    assert [*storage.bucket.list_keys("a/")] == ["a/key"]
    storage.bucket.upload("a/key", Upload([b"parts"], PART, lambda: True))
    expected = address.format(region=REGION, bucket=changed.bucket)
    assert seen[0].target == expected
    assert all(f"/{REGION}/s3/aws4_request" in each.headers["authorization"] for each in seen)
    url = storage.public_bucket.presign("a/key", seconds=60, filename="x.zip")
    assert url.startswith(f"{expected}?")
    assert f"%2F{REGION}%2Fs3%2Faws4_request" in url
    with urllib3.ProxyManager(proxy.url) as through:
        assert through.request("GET", url).data == b"parts"
    storage.bucket.delete_all("")


def test_every_object_asks_for_its_encryption_and_no_part_does(
    behind: Settings, seen: list[Seen]
) -> None:
    asking = msgspec.structs.replace(
        behind,
        s3_sse="aws:kms",
        s3_sse_kms_key_id=KEY,
        s3_sse_bucket_key=True,
        s3_checksum="sha256",
    )
    storage = open_storage(asking, read_timeout=5)
    for bucket in (storage.bucket, storage.staging_bucket):
        bucket.put("one", b"data")
        bucket.upload("parts", Upload([bytes(PART), b"end"], PART, lambda: True))
    for each in seen:
        asked = {name: value for name, value in each.headers.items() if name.startswith(SSE)}
        begins = each.method == "PUT" and "partNumber=" not in each.target
        assert asked == (ENCRYPTED if begins or "uploads" in each.target else {})
    assert [each.method for each in seen] == 2 * ["PUT", "POST", "PUT", "PUT", "POST"]
    for key in ("one", "parts"):
        described = storage.bucket.object_headers(key)
        assert described[SSE] == "aws:kms"
        assert described[f"{SSE}-aws-kms-key-id"] == KEY
    sums = {each.headers.get("x-amz-checksum-sha256") for each in seen}
    for body in (b"data", bytes(PART), b"end"):
        assert b64encode(hashlib.sha256(body).digest()).decode() in sums


def test_by_default_nothing_but_an_md5_is_asked(
    bucket: Bucket, behind: Settings, seen: list[Seen]
) -> None:
    open_storage(behind, read_timeout=5).bucket.put("one", b"data")
    (only,) = seen
    assert "content-md5" in only.headers
    assert not [name for name in only.headers if name.startswith((SSE, "x-amz-checksum"))]
    assert bucket.get("one") == b"data"


@pytest.mark.parametrize("broken", [2, 3])
def test_a_body_that_breaks_off_is_requested_three_times_at_most(
    settings: Settings, proxy: FaultProxy, broken: int
) -> None:
    bucket = open_storage(
        msgspec.structs.replace(settings, s3_endpoint_url=proxy.url), read_timeout=5
    ).bucket
    bucket.put("key", b"x" * 100_000)
    seen: list[str] = []

    def watch(request: Seen) -> None:
        seen.append(request.method)
        proxy.mode = Mode(cut=1.0) if len(seen) <= broken else PASS

    proxy.watch = watch
    if broken < 3:
        assert bucket.get("key") == b"x" * 100_000
    else:
        with pytest.raises(StoreUnavailableError):
            bucket.get("key")
    assert seen == ["GET"] * 3
