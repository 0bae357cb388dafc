"""Which endpoints are this machine, and are therefore never reached through a proxy."""

import pytest

from pipeline.storage.loopback import is_loopback, proxies_for


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9000",
        "127.8.9.10",
        "localhost",
        "LOCALHOST:9000",
        "localhost.",
        "bucket.localhost",
        "[::1]",
        "[::1]:9000",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0:9000",
        "[::]",
        "user:password@127.0.0.1:9000",
    ],
)
def test_a_loopback_endpoint_has_no_proxies(host: str) -> None:
    assert is_loopback(f"http://{host}")
    assert proxies_for(f"https://{host}/path") == {}


@pytest.mark.parametrize(
    "host",
    [
        "s3.example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.example.com",
        "128.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "127.0.0.1@s3.example.com",
        "",
    ],
)
def test_every_other_endpoint_keeps_those_of_the_environment(host: str) -> None:
    assert not is_loopback(f"http://{host}")
    assert proxies_for(f"http://{host}") is None


def test_aws_itself_keeps_those_of_the_environment() -> None:
    assert proxies_for(None) is None
