"""Proxies and certificates that the environment names, with a real server as the proxy."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from api.client import ApiError, Client, DownloadError, UnreachableError
from api.client.environment import find_proxy
from deploy.embedded.ports import free_port
from tests.unit.api.client.test_download import CONTENT, Store
from tests.unit.api.conftest import KEY
from tests.unit.api.scripted_server import (
    TASK,
    Answer,
    Clock,
    Request,
    ScriptedServer,
    as_json,
    task,
)

#: A name that no name server has (RFC 6761, section 6.4): only a proxy can get there.
ELSEWHERE = "http://api.invalid"
SECRET = "s3cr3t"
Environment = pytest.MonkeyPatch


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment without proxies and certificates."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def away() -> str:
    """Return a proxy to which every connection is refused."""
    return f"127.0.0.1:{free_port()}"


@contextmanager
def client_of(url: str, clock: Clock) -> Iterator[Client]:
    with Client(url, KEY, attempts=1, sleep=clock.sleep, clock=clock) as found:
        yield found


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "Http_Proxy"])
def test_a_proxy_is_used(
    server: ScriptedServer, clock: Clock, environ: Environment, variable: str
) -> None:
    environ.setenv(variable, server.url.replace("//", f"//user:{SECRET}@"))
    server.script = lambda _: as_json(task("pending"))
    with client_of(ELSEWHERE, clock) as client:
        assert client.status(TASK).status == "pending"
    (request,) = server.requests
    assert request.path == f"{ELSEWHERE}/qr/bulk/{TASK}/"
    assert request.headers["Proxy-Authorization"].startswith("Basic ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
@pytest.mark.parametrize("proxy", ["http://{}", "socks5://{}", "http://[::1", "ftp://{}"])
def test_no_proxy_is_used_for_loopback(
    server: ScriptedServer,
    clock: Clock,
    environ: Environment,
    tmp_path: Path,
    *,
    host: str,
    proxy: str,
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        environ.setenv(variable, proxy.format(away()))
    store = Store(server)
    with client_of(server.url.replace("127.0.0.1", host), clock) as client:
        client.download(TASK, tmp_path / "bundle.zip")
    assert store.polls == 1


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("localhost", True),
        ("localhost.", True),
        ("api.localhost", True),
        ("128.0.0.1", False),
        ("[::2]", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_what_the_standards_say(
    environ: Environment, host: str, *, is_loopback: bool
) -> None:
    environ.setenv("ALL_PROXY", "http://proxy.example:3128")
    for scheme in ("http", "https"):
        assert (find_proxy(httpx2.URL(f"{scheme}://{host}:8080/")) is None) == is_loopback


@pytest.mark.parametrize(
    ("exempt", "without", "through"),
    [
        ("*", ["a.example", "192.0.2.1", "[fd00::1]"], []),
        ("a.example", ["a.example", "b.a.example", "A.EXAMPLE"], ["ba.example", "example"]),
        (".a.example", ["b.a.example"], ["ba.example"]),
        ("*.a.example", ["b.a.example"], ["ba.example"]),
        ("x, a.example:8080 ,y", ["a.example:8080"], ["a.example:8081"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.10"]),
        ("192.0.2.0/24", ["192.0.2.77"], ["192.0.3.1", "a.example"]),
        ("[fd00::1]", ["[fd00::1]"], ["[fd00::2]"]),
        ("fd00::1", ["[fd00::1]"], ["[fd00::2]"]),
        ("fd00::/8", ["[fd12::2]"], ["[fe80::1]", "192.0.2.1"]),
        ("[fd00::]/8", ["[fd12::2]"], ["[fe80::1]"]),
        # Malformed entries exempt nothing, and break nothing.
        ("[::1", [], ["a.example"]),
        ("[::1]", ["[::1]"], ["a.example", "[::2]"]),
        ("300.1.1.1/99, a b, http://[, ://, ,", [], ["a.example", "192.0.2.1"]),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_exempt_hosts_need_no_proxy(
    environ: Environment, variable: str, exempt: str, without: list[str], through: list[str]
) -> None:
    environ.setenv("HTTP_PROXY", "http://proxy.example:3128")
    environ.setenv(variable, exempt)
    for host in without:
        assert find_proxy(httpx2.URL(f"http://{host}")) is None, host
    for host in through:
        assert find_proxy(httpx2.URL(f"http://{host}")) is not None, host


def test_a_failed_connection_names_the_proxy(clock: Clock, environ: Environment) -> None:
    for scheme in ("http", "https"):
        proxy = away()
        environ.setenv("all_proxy", f"user:{SECRET}@{proxy}")
        with (
            client_of(f"{scheme}://api.invalid", clock) as client,
            pytest.raises(UnreachableError, match="ConnectError") as raised,
        ):
            client.status(TASK)
        assert f"(through the proxy http://{proxy} of all_proxy)" in str(raised.value)
        assert SECRET not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize("status", [403, 407, 502, 504])
def test_a_proxy_that_rejects_a_request_is_named(
    server: ScriptedServer, clock: Clock, environ: Environment, status: int
) -> None:
    environ.setenv("HTTP_PROXY", server.url)
    server.script = lambda _: Answer(status, b"<html>")
    named = rf"\(through the proxy {server.url} of HTTP_PROXY\) did not return a qrmill response"
    with client_of(ELSEWHERE, clock) as client, pytest.raises(ApiError, match=named):
        client.status(TASK)


@pytest.mark.parametrize("proxy", ["away", "rejecting", "unusable"])
def test_a_download_that_a_proxy_breaks_names_the_proxy(
    server: ScriptedServer, clock: Clock, environ: Environment, tmp_path: Path, proxy: str
) -> None:
    """The API is on loopback, its store is not."""
    store = Store(server)
    bundle = store.status() | {"download_url": f"{ELSEWHERE}/bundle.zip?X-Amz-Signature=1"}

    def answer(request: Request) -> Answer:
        return Answer(404) if request.path.startswith(ELSEWHERE) else as_json(bundle)

    server.script = answer
    urls = {"away": f"http://{away()}", "rejecting": server.url, "unusable": "ftp://proxy.example"}
    environ.setenv("HTTP_PROXY", urls[proxy])
    with client_of(server.url, clock) as client, pytest.raises(DownloadError) as raised:
        client.download(TASK, tmp_path / "bundle.zip")
    assert "HTTP_PROXY" in str(raised.value)
    assert raised.value.transient == (proxy == "away")
    assert not (tmp_path / "bundle.zip").exists()


def test_each_url_has_its_own_proxy(
    server: ScriptedServer, clock: Clock, environ: Environment, tmp_path: Path
) -> None:
    """The API is on loopback, and its store behind a proxy."""
    store = Store(server)
    bundle = store.status() | {"download_url": f"{ELSEWHERE}/bundle.zip?X-Amz-Signature=1"}

    def answer(request: Request) -> Answer:
        through = request.path.startswith(ELSEWHERE)
        return Answer(200, CONTENT) if through else as_json(bundle)

    server.script = answer
    environ.setenv("HTTP_PROXY", server.url)
    with client_of(server.url, clock) as client:
        client.download(TASK, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == CONTENT
    assert [request.path.partition("?")[0] for request in server.requests] == [
        f"/qr/bulk/{TASK}/",
        f"{ELSEWHERE}/bundle.zip",
    ]


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("socks5://proxy.example:1080", r"httpx2\[socks\]"),
        ("socks5h://proxy.example", r"httpx2\[socks\]"),
        ("socks4://proxy.example", "socks4://"),
        ("ftp://proxy.example", "ftp://"),
        ("http://proxy.example:80a", "must be the URL of a proxy"),
        ("proxy.example:99999", "must be the URL of a proxy"),
        ("http://proxy.example:0", "must be the URL of a proxy"),
        ("http://", "must be the URL of a proxy"),
        ("http://[::1", "must be the URL of a proxy"),
        (f"http://user:{SECRET}/{SECRET}@proxy.example", "percent-encoded"),
        (f"http://user:a@{SECRET}:b@proxy.example:c", "percent-encoded"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_an_unusable_proxy_is_named_at_once(
    environ: Environment, variable: str, proxy: str, reason: str
) -> None:
    environ.setenv(variable, proxy)
    with pytest.raises(ValueError, match=rf"^{variable} .*{reason}") as raised:
        Client("https://api.invalid", KEY)
    assert SECRET not in str(raised.value)
    environ.setenv("NO_PROXY", "api.invalid")
    Client("https://api.invalid", KEY).close()


def test_unusable_certificates_are_named_at_once(environ: Environment, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for variable, value, reason in (
        ("SSL_CERT_FILE", "/nope", "No such file or directory"),
        ("SSL_CERT_FILE", str(tmp_path), "Is a directory"),
        ("SSL_CERT_FILE", str(tmp_path / "empty"), ".*no certificate or crl found.*"),
        ("SSL_CERT_DIR", "/nope", "Not a directory"),
        ("SSL_CERT_DIR", f"/nope:{tmp_path}/empty", "Not a directory"),
    ):
        message = f"cannot be read: {reason}; correct or unset {variable}={value}$"
        with environ.context() as patch:
            patch.setenv(variable, value)
            with pytest.raises(ValueError, match=message):
                Client(ELSEWHERE, KEY)
    environ.setenv("SSL_CERT_DIR", f"/nope:{tmp_path}")  # OpenSSL takes what there is
    Client(ELSEWHERE, KEY).close()
