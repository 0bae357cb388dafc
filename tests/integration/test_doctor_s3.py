"""The check-up of S3: what each refusal is explained with."""

import msgspec
import pytest

from deploy.embedded import servers
from pipeline.doctor.s3 import encryption
from pipeline.service import Finding, Settings, check_up
from pipeline.storage.bucket import Bucket
from tests.faults.proxy import FaultProxy, Mode

MOTO = pytest.mark.parametrize("s3", ["moto"], indirect=True)
REGION = "eu-west-3"


@pytest.fixture
def behind(settings: Settings, proxy: FaultProxy) -> Settings:
    return msgspec.structs.replace(settings, s3_endpoint_url=proxy.url)


def s3_findings(settings: Settings) -> dict[str, Finding]:
    """What is found of S3, by the word that names it."""
    return {
        finding.name.split()[1]: finding
        for finding in check_up(settings)
        if finding.name.startswith("s3")
    }


@MOTO
def test_the_region_is_told(settings: Settings, s3: servers.S3Server) -> None:
    bucket = f"{settings.bucket}-eu"
    place = {"LocationConstraint": REGION}
    s3.client().create_bucket(Bucket=bucket, CreateBucketConfiguration=place)  # type: ignore[arg-type]
    finding = s3_findings(msgspec.structs.replace(settings, bucket=bucket))["bucket"]
    assert (finding.state, finding.found) == (
        "fail",
        f"the bucket is in region {REGION}, but QRMILL_S3_REGION is us-east-1",
    )
    assert f"QRMILL_S3_REGION={REGION}" in finding.advice


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "KMS.DisabledException", "kms:GenerateDataKey"),
        (400, "ExpiredToken", "have expired and are not renewed"),
        (403, "InvalidAccessKeyId", "QRMILL_S3_ACCESS_KEY_ID"),
        (400, "AuthorizationHeaderMalformed", "QRMILL_S3_REGION (us-east-1)"),
        (404, "NoSuchBucket", "QRMILL_S3_ADDRESSING_STYLE"),
        (403, "AccessDenied", "Grant s3:PutObject if"),
        (403, "AccessDenied", "run the doctor with a worker's credentials"),
    ],
)
def test_what_s3_refuses_is_explained(
    behind: Settings, proxy: FaultProxy, status: int, code: str, words: str
) -> None:
    proxy.mode = Mode(
        refused=1.0, statuses=(status,), code=code, methods=frozenset({"PUT", "POST"})
    )
    finding = s3_findings(behind)["objects"]
    assert finding.state == "fail"
    assert code in finding.found
    assert words in finding.advice


def test_why_a_bucket_is_refused_is_found_out_by_asking_once_more(
    behind: Settings, proxy: FaultProxy
) -> None:
    proxy.mode = Mode(refused=1.0, statuses=(400,), code="ExpiredToken")
    finding = s3_findings(behind)["bucket"]
    assert "ListObjectsV2: ExpiredToken" in finding.found


def test_what_is_signed_with_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bare = msgspec.structs.replace(settings, s3_access_key_id=None, s3_secret_access_key=None)
    assert s3_findings(bare)["credentials"].found == "no credentials were found"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    broken = s3_findings(bare)["credentials"]
    assert (broken.state, "AWS_SECRET_ACCESS_KEY" in broken.found) == ("fail", True)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert s3_findings(bare)["credentials"].state == "ok"
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    endless = s3_findings(bare)["credentials"]
    assert (endless.state, "unknown expiry" in endless.found) == ("warn", True)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z")
    assert s3_findings(bare)["credentials"].state == "ok"
    assert "hunter2" not in repr(s3_findings(bare))


@MOTO
def test_encryption_that_is_done_is_seen(settings: Settings) -> None:
    asking = msgspec.structs.replace(settings, s3_sse="AES256")
    assert s3_findings(asking)["encryption"].found == "AES256"


def test_encryption_that_is_not_done_is_seen(bucket: Bucket) -> None:
    finding = encryption(bucket, "aws:kms")  # this bucket has not asked, so it is not done
    assert (finding.state, finding.found) == (
        "fail",
        "requested aws:kms, but the encryption is none",
    )


def test_a_server_that_wants_the_bucket_in_the_path(
    settings: Settings, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)  # which makes every host name this server's
    virtual = msgspec.structs.replace(
        settings, s3_endpoint_url="http://s3.example", s3_addressing_style="virtual"
    )
    finding = s3_findings(virtual)["bucket"]
    assert finding.state == "fail"
    assert "QRMILL_S3_ADDRESSING_STYLE" in finding.advice
    monkeypatch.delenv("HTTP_PROXY")
    finding = s3_findings(virtual)["bucket"]
    assert finding.state == "fail"
    assert "QRMILL_S3_ADDRESSING_STYLE" in finding.advice
