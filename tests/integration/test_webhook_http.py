"""The one connection of a callback: to which address, with which name, for how long."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.webhooks import http as delivery
from pipeline.webhooks.http import DeliveryError, post
from pipeline.webhooks.urls import CallbackUrl
from tests.certificates import write_certificate
from tests.receiver import receiving

HOST = "hooks.example.com"
HOURS = 6 * 3600
LOOPBACK = ["127.0.0.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of HOST, with its key."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "hooks.pem", HOST)


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def url(port: int, scheme: str = "https", host: str = HOST) -> CallbackUrl:
    return CallbackUrl(scheme, host, port, "/hooks")


@contextmanager
def speaking(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does what ``speak`` does with its first connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def error_of(wanted: CallbackUrl, addresses: list[str] = LOOPBACK) -> str:
    with pytest.raises(DeliveryError) as caught:
        post(wanted, addresses, b"{}", {})
    return str(caught.value)


def test_the_certificate_is_that_of_the_host_and_not_of_the_address(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiving(200, tls=tls) as receiver:
        assert post(url(receiver.port), LOOPBACK, b"{}", {"webhook-id": "1"}).status == 200
        assert asked == [HOST]
        [received] = receiver.received
        assert received.headers["Host"] == f"{HOST}:{receiver.port}"
        assert (received.path, received.body) == ("/hooks", b"{}")
        wrong = error_of(url(receiver.port, host="other.example.com"))
    assert "no valid certificate" in wrong
    assert "other.example.com" in wrong
    assert len(receiver.received) == 1


def test_a_certificate_of_an_unknown_authority_is_none(tls: ssl.SSLContext) -> None:
    with receiving(200, tls=tls) as receiver:
        assert "no valid certificate: self-signed" in error_of(url(receiver.port))
    assert receiver.received == []


def test_a_server_without_tls_gets_no_request_over_https() -> None:
    with receiving(200) as receiver:
        assert error_of(url(receiver.port)) == "TLS handshake with the receiver failed"
    assert receiver.received == []


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with receiving() as target, receiving(307, headers={"Location": target.url}) as receiver:
        assert post(url(receiver.port, "http"), LOOPBACK, b"{}", {}).status == 307
    assert target.received == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("99999999", HOURS),
        ("Fri, 31 Dec 2999 23:59:59 GMT", HOURS),
        ("0", 0),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("9" * 5000, 0),
        ("\u0663", 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
    ],
)
def test_an_answer_says_when_to_come_again(said: str, seconds: int) -> None:
    headers = {"Retry-After": said.encode().decode("latin-1")}
    with receiving(503, headers=headers) as receiver:
        status, retry_after = post(url(receiver.port, "http"), LOOPBACK, b"{}", {})
    assert status == 503
    assert min(retry_after, HOURS) == seconds


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving(200) as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        assert post(url(receiver.port, "http"), LOOPBACK, b"{}", {}).status == 200
    assert proxy.received == []


def test_the_next_address_is_tried_when_the_first_takes_no_connection() -> None:
    with receiving(200) as receiver:
        there = url(receiver.port, "http")
        assert error_of(there, ["127.0.0.2"]) == "receiver accepted no connection"
        assert post(there, ["127.0.0.2", "127.0.0.1"], b"{}", {}).status == 200


def test_an_answer_that_drips_for_ever_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_RESPONSE_SECONDS", 0.5)

    def drip(connection: socket.socket) -> None:
        pace = threading.Event()
        with suppress(OSError):  # when the other side is gone
            while not pace.wait(0.05):
                connection.sendall(b"H")

    with speaking(drip) as port:
        assert error_of(url(port, "http")) == "receiver did not respond within 0.5 s"


def test_a_handshake_that_does_not_come_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_CONNECT_SECONDS", 0.3)
    with speaking(lambda connection: [*iter(lambda: connection.recv(65536), b"")].clear()) as port:
        assert error_of(url(port)) == "receiver accepted no connection within 0.3 s"


@pytest.mark.parametrize("said", [b"", b"220 smtp.example.com ESMTP\r\n", b"\x00" * 100])
def test_what_is_no_answer_in_http_is_none(said: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    with speaking(speak) as port:
        closed = "receiver closed the connection without a valid HTTP response"
        assert error_of(url(port, "http")) == closed


def answering(*pieces: bytes) -> Callable[[socket.socket], None]:
    """A receiver that reads the request and then sends ``pieces``."""

    def speak(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n{}"):  # what is left unread would reset the connection
            request += connection.recv(65536)
        with suppress(OSError):  # when the other side has read enough
            for piece in pieces:
                connection.sendall(piece)

    return speak


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LATER = b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nRetry-After: 7\r\n\r\n"


@pytest.mark.parametrize(
    "interim",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [b"HTTP/1.1 102 Processing\r\n\r\n"],
        [HINTS],
        [b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n"],
        [b"HTTP/1.1 199\r\n\r\n"],
        [b"HTTP/1.1 102 \n\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", HINTS],
        [HINTS] * 10,
        [b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 65_000 + b"\r\n\r\n"],
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_interim_responses_are_skipped(interim: list[bytes], *, together: bool) -> None:
    final = [(OK, 200, 0), (LATER, 503, 120)]
    for response, status, seconds in final:
        pieces = [*interim, response]
        with speaking(answering(b"".join(pieces)) if together else answering(*pieces)) as port:
            assert post(url(port, "http"), LOOPBACK, b"{}", {}) == (status, seconds)


def test_interim_responses_are_skipped_over_tls(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def speak(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            answering(HINTS, OK)(secured)

    with speaking(speak) as port:
        assert post(url(port), LOOPBACK, b"{}", {}).status == 200


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([HINTS] * 11 + [OK], "receiver sent more than 10 interim responses"),
        (
            [b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 70_000 + b"\r\n\r\n", OK],
            "receiver sent interim responses with more than 65536 bytes",
        ),
        (
            [b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </a>\r\n" * 1100 + b"\r\n"] * 6 + [OK],
            "receiver sent interim responses with more than 65536 bytes",
        ),
        ([HINTS], "receiver closed the connection without a valid HTTP response"),
        ([HINTS[:40]], "receiver closed the connection without a valid HTTP response"),
        ([HINTS, b"\r\nHTTP/"], "receiver closed the connection without a valid HTTP response"),
    ],
)
def test_interim_responses_are_bounded_and_no_answer_by_themselves(
    said: list[bytes], error: str
) -> None:
    with speaking(answering(*said)) as port:
        assert error_of(url(port, "http")) == error


def test_a_change_of_protocol_is_no_interim_response() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    with speaking(answering(upgrade, OK)) as port:
        assert post(url(port, "http"), LOOPBACK, b"{}", {}).status == 101


def test_interim_responses_do_not_extend_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_RESPONSE_SECONDS", 0.5)

    def drip(connection: socket.socket) -> None:
        pace = threading.Event()
        with suppress(OSError):  # when the other side is gone
            while not pace.wait(0.2):
                connection.sendall(HINTS)

    with speaking(drip) as port:
        assert error_of(url(port, "http")) == "receiver did not respond within 0.5 s"
