"""Proxies of the environment: never for loopback, always for other hosts."""

from collections.abc import Iterator

import msgspec
import pytest

from deploy.embedded import servers
from pipeline.doctor.s3 import s3_checks
from pipeline.errors import StoreUnavailableError
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from tests.environment_proxies import RecordingProxy, exempt_loopback, recording_proxy

ELSEWHERE = "http://s3.example.test:9000"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    """A proxy that the environment names for every host."""
    with recording_proxy() as found:
        for name, value in found.environment().items():
            monkeypatch.setenv(name, value)
        yield found


def main_bucket(settings: Settings) -> Bucket:
    return open_storage(settings, read_timeout=5, attempts=1).bucket


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_s3_on_loopback_is_reached_directly(
    settings: Settings, s3: servers.S3Server, recorder: RecordingProxy, host: str
) -> None:
    url = s3.endpoint_url.replace("127.0.0.1", host)
    bucket = main_bucket(msgspec.structs.replace(settings, s3_endpoint_url=url))
    bucket.put("key", b"value")
    assert bucket.get("key") == b"value"
    assert recorder.requests == []


def test_s3_elsewhere_is_reached_through_the_proxy(
    settings: Settings, recorder: RecordingProxy
) -> None:
    bucket = main_bucket(msgspec.structs.replace(settings, s3_endpoint_url=ELSEWHERE))
    with pytest.raises(StoreUnavailableError):
        bucket.get("key")
    assert recorder.requests == [f"GET {ELSEWHERE}/{settings.bucket}/key HTTP/1.1"]


def test_an_endpoint_of_boto3s_own_variable_counts_too(
    settings: Settings,
    s3: servers.S3Server,
    recorder: RecordingProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint_url)
    unset = msgspec.structs.replace(settings, s3_endpoint_url=None, s3_addressing_style="path")
    bucket = main_bucket(unset)
    bucket.put("key", b"value")
    assert bucket.get("key") == b"value"
    assert recorder.requests == []


def test_the_doctor_fetches_as_clients_do(settings: Settings, recorder: RecordingProxy) -> None:
    def found(settings: Settings) -> str:
        checks = s3_checks(settings, open_storage(settings, read_timeout=5))
        return next(check.run().found for check in checks if check.name == "s3 download URL")

    assert "no other machine can reach" in found(settings)
    assert recorder.requests == []
    public = msgspec.structs.replace(settings, s3_public_endpoint_url=ELSEWHERE)
    assert found(public) == "s3.example.test:9000 returned 502"
    assert recorder.requests[0].startswith(f"GET {ELSEWHERE}/{settings.bucket}/")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intra.example, localhost"}, "intra.example,localhost,127.0.0.1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,127.0.0.1,localhost"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_the_environment_of_tests_exempts_loopback(before: dict[str, str], after: str) -> None:
    environ = dict(before)
    exempt_loopback(environ)
    assert environ == {"no_proxy": after, "NO_PROXY": after}
