from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from pipeline.ledger.connection import (
    RedisUrlError,
    check_redis_url,
    open_redis,
    parse_sentinel_url,
    shown_url,
)

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20).filter(
    lambda name: not name.startswith("-")
)


@given(
    hosts=st.lists(st.tuples(_NAMES, st.integers(1, 65535)), min_size=1, max_size=5),
    user=st.text(max_size=10),
    password=st.text(min_size=1, max_size=30),
    service=st.text(min_size=1, max_size=10),
    database=st.integers(0, 15),
)
def test_a_sentinel_url_says_what_was_written(
    hosts: list[tuple[str, int]], user: str, password: str, service: str, database: int
) -> None:
    addresses = ",".join(f"{name}:{port}" for name, port in hosts)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"redis+sentinel://{credentials}@{addresses}/{quote(service, safe='')}/{database}"
    found = parse_sentinel_url(url)
    assert found is not None
    assert (list(found.hosts), found.service) == (hosts, service)
    expected = {"password": password, "db": database} | ({"username": user} if user else {})
    assert found.server == expected
    assert shown_url(url) == f"redis+sentinel://{addresses}/{quote(service, safe='')}/{database}"


def test_ports_database_and_credentials_have_defaults() -> None:
    found = parse_sentinel_url("redis+sentinel://one,[::1]:7/mill")
    assert found is not None
    assert found.hosts == (("one", 26379), ("::1", 7))
    assert (found.server, found.own) == ({}, {})


def test_tls_and_the_sentinels_own_credentials_go_where_they_belong(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    query = f"ssl_ca_certs={authority}&sentinel_username=watch&sentinel_password=p%26w"
    url = f"rediss+sentinel://mill:secret@one:1,two:2/mill?{query}"
    check_redis_url(url)
    found = parse_sentinel_url(url)
    assert found is not None
    tls = {"ssl": True, "ssl_ca_certs": str(authority)}
    assert found.server == {"username": "mill", "password": "secret", **tls}
    assert found.own == {"username": "watch", "password": "p&w", **tls}
    client = open_redis(url, timeout=1)
    assert isinstance(client.connection_pool, SentinelConnectionPool)
    assert client.connection_pool.connection_class is SentinelManagedSSLConnection


def test_rediss_is_tls_with_the_certificate_checked() -> None:
    connection = open_redis("rediss://host", timeout=1).connection_pool.make_connection()
    assert isinstance(connection, SSLConnection)
    assert (connection.cert_reqs.name, connection.check_hostname) == ("CERT_REQUIRED", True)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("http://host", "redis+sentinel://"),
        ("redis+sentinel://host:26379", "/service"),
        ("redis+sentinel:///mill", "/service"),
        ("redis+sentinel://host:x/mill", "host:port"),
        ("redis+sentinel://one,,two/mill", "host:port"),
        ("redis+sentinel://host:0/mill", "host:port"),
        ("rediss://host?ssl_ca_certs=/nonexistent.pem", "ssl_ca_certs is not a file"),
        ("rediss://host?ssl_cacerts=x", "ssl_cacerts"),
        ("rediss://host?ssl_cert_reqs=perhaps", "perhaps"),
        ("rediss+sentinel://host/mill?ssl_check_hostname=true&nonsense=1", "nonsense"),
        ("redis+sentinel://host/mill?max_connections=many", "max_connections"),
        ("redis://host#fragment", "redis://"),
        ("unix://", "unix:///path"),
    ],
)
def test_a_wrong_url_is_refused_with_the_fix_and_without_its_secrets(url: str, fix: str) -> None:
    secret = url.replace("://", "://user:hunter2@", 1)
    joint = "&" if "?" in secret else "?"
    if "#" not in secret:
        secret += f"{joint}sentinel_password=hunter3"
    with pytest.raises(RedisUrlError) as caught:
        check_redis_url(secret)
    assert fix in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p@host:1/0",
        "rediss://user:p@[::1]:1",
        "unix://:p@/run/redis.sock?db=1",
        "redis+sentinel://host/mill/3",
    ],
)
def test_right_urls_pass(url: str) -> None:
    check_redis_url(url)


@pytest.mark.parametrize(
    "url", ["redis://:hun?ter@host", ":hunter@host", "hun?ter@host", "redis://host?x=y@hunter"]
)
def test_what_may_be_a_password_is_not_shown(url: str) -> None:
    assert "hun" not in shown_url(url)


def test_what_is_said_when_no_sentinel_answers_has_no_password() -> None:
    url = "redis+sentinel://user:hunter2@127.0.0.1:1/mill?sentinel_password=hunter3"
    with open_redis(url, timeout=1) as client, pytest.raises(redis.ConnectionError) as caught:
        client.ping()
    assert "hunter" not in str(caught.value)
