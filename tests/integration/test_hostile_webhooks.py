"""Callback URLs that want the service to reach what only it can reach.

The resolver and every connection of this process are watched, and nothing leaves loopback even
should a check be wrong: names get the answers that an attacker's name server would give, and a
connection to anywhere else is noted and refused.
"""

import errno
import socket
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from falcon.testing import TestClient

from api.app import create_app
from pipeline.service import Settings, open_service
from tests.integration.conftest import StartWorker
from tests.receiver import receiving
from tests.waiting import wait_for

GTIN = "9506000134352"

#: Refused with the request: nothing is even resolved.
REFUSED = [
    # addresses of the inside
    "http://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "http://10.0.0.1/",
    "https://172.16.0.1:8080/",
    "https://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "https://0.0.0.0/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    # the same, as other readers write them
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://0/",
    "https://127%2e0%2e0%2e1/",
    "https://127。0。0。1/",
    "https://①②⑦.0.0.1/",
    # IPv6
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://a[::1]/",
    "http://[127.0.0.1]/",
    # userinfo and other ways to make two readers see two hosts
    "https://user:pass@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://127.0.0.1#@hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com\t.127.0.0.1/",
    "https://hooks.example.com\r\nHost: 127.0.0.1/",
    "https:127.0.0.1",
    "https:///127.0.0.1/",
    "//127.0.0.1/",
    # ports and schemes
    "https://hooks.example.com:22/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:6379:443/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://hooks.example.com/",
]

#: Names that are accepted, and what the attacker's name server says when they are looked up.
NAMES = {
    "loopback.example.com": ["127.0.0.1"],
    "other-loopback.example.com": ["127.8.9.10"],
    "private.example.com": ["10.0.0.7"],
    "metadata.example.com": ["169.254.169.254"],
    "half.example.com": ["1.1.1.1", "192.168.0.1"],
    "this-network.example.com": ["0.0.0.0"],  # noqa: S104 - nothing is bound
    "loopback6.example.com": ["::1"],
    "mapped.example.com": ["::ffff:192.168.0.1"],
    "metadata6.example.com": ["fd00:ec2::254"],
    "zone.example.com": ["fe80::1%2"],
    "nat64.example.com": ["64:ff9b::a9fe:a9fe"],
    "sixtofour.example.com": ["2002:7f00:1::"],
    "nothing.example.com": [],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
}


class Watch:
    """What was looked up, and where connections went but to the tests' own servers."""

    def __init__(self, own_ports: set[int]) -> None:
        self.answers = {name: [found] for name, found in NAMES.items()}
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self._own_ports = own_ports
        self._getaddrinfo, self._connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(self, host: str, port: int, *args: int, **more: int) -> list[Any]:
        try:
            ip_address(host)
        except ValueError:
            self.looked_up.append(host)
        else:
            return [*self._getaddrinfo(host, port, *args, **more)]  # no look-up: it is an address
        answers = self.answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *kind, (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, *kind, (address, port))
            for address in found
        ]

    def connect(self, sock: socket.socket, address: Any) -> None:  # noqa: ANN401 - any socket's
        if sock.family != socket.AF_UNIX:
            host, port = address[:2]
            if port not in self._own_ports:
                self.connected.append((host, port))
            if not ip_address(host).is_loopback:
                raise OSError(errno.ENETUNREACH, "nothing leaves loopback here")
        self._connect(sock, address)


@pytest.fixture
def watch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Watch:
    addresses = (settings.redis_url, settings.s3_endpoint_url or "")
    watching = Watch({int(each.split(":")[-1].split("/")[0]) for each in addresses})
    monkeypatch.setattr(socket, "getaddrinfo", watching.getaddrinfo)

    def connect(sock: socket.socket, address: Any) -> None:  # noqa: ANN401 - any socket's
        watching.connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    return watching


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """http too, so that only where it leads is wrong with a URL."""
    return msgspec.structs.replace(settings, callback_http=True)


@pytest.fixture(autouse=True)
def _secret(client: TestClient) -> None:
    assert client.simulate_post("/keys/self/webhook-secret/").status_code == 201


@pytest.fixture
def reaching_loopback(settings: Settings, token: str) -> tuple[Settings, TestClient]:
    """The same service for an operator who allows one address of the inside."""
    allowing = msgspec.structs.replace(settings, callback_networks="127.0.0.1/32")
    app = create_app(open_service(allowing), allowing)
    return allowing, TestClient(app, headers={"X-API-Key": token})


def send(client: TestClient, callback_url: str) -> tuple[int, dict[str, Any]]:
    body = {"gtin": GTIN, "items": [{}], "format": "svg", "callback_url": callback_url}
    answer = client.simulate_post("/qr/bulk/", json=body)
    return answer.status_code, answer.json


def attempted(client: TestClient, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.simulate_get(f"/qr/bulk/{task_id}/").json["callback"]
        return found if found["last_error"] or found["state"] != "pending" else None

    return wait_for(look, "an attempt", pause=0.05)


def test_the_urls_are_enough() -> None:
    assert len(REFUSED) + len(NAMES) >= 30
    assert len({*REFUSED}) == len(REFUSED)


def test_a_url_that_names_the_inside_is_refused_and_never_looked_up(
    client: TestClient, watch: Watch
) -> None:
    for callback_url in REFUSED:
        status, answer = send(client, callback_url)
        assert status == 422, callback_url
        assert [each["pointer"] for each in answer["errors"]] == ["/callback_url"]
    assert (watch.looked_up, watch.connected) == ([], [])


def test_a_name_that_leads_to_the_inside_gets_no_connection(
    client: TestClient, watch: Watch, start_worker: StartWorker
) -> None:
    start_worker()
    tasks = {}
    for index, name in enumerate(NAMES):
        scheme, port = ("https", "") if index % 2 else ("http", ":8080")
        status, answer = send(client, f"{scheme}://{name}{port}/")
        assert status == 202, answer
        tasks[name] = answer["task_id"]
    for name, task_id in tasks.items():
        told = attempted(client, task_id)
        assert told["state"] == "pending"
        assert told["last_error"] == (
            f"{name} cannot be resolved, or has an address that is not public"
        )
    assert sorted(watch.looked_up) == sorted(NAMES)
    assert watch.connected == []


def test_a_name_that_changes_its_mind_is_looked_up_once_and_held_to_its_first_answer(
    client: TestClient, watch: Watch, start_worker: StartWorker
) -> None:
    watch.answers["rebinding.example.com"] = [["1.1.1.1"], ["127.0.0.1"]]
    start_worker()
    _, accepted = send(client, "http://rebinding.example.com:8080/")
    assert attempted(client, accepted["task_id"])["last_error"] == "receiver accepted no connection"
    assert watch.looked_up == ["rebinding.example.com"]
    assert watch.connected == [("1.1.1.1", 8080)]  # which the watch has refused


REDIRECTS = [
    "http://127.0.0.2:{port}/",
    "http://169.254.169.254/",
    "http://[::1]:{port}/",
    "http://loopback.example.com:{port}/",
    "//127.0.0.1:{port}/",
    "/elsewhere",
]


def test_a_redirect_to_the_inside_is_a_failed_attempt(
    reaching_loopback: tuple[Settings, TestClient], watch: Watch, start_worker: StartWorker
) -> None:
    settings, allowed = reaching_loopback
    start_worker(settings=settings)
    ports = []
    with receiving() as inside:
        for location in REDIRECTS:
            header = {"Location": location.format(port=inside.port)}
            with receiving(307, headers=header) as receiver:
                _, accepted = send(allowed, receiver.url)
                error = attempted(allowed, accepted["task_id"])["last_error"]
                assert error == "receiver returned 307"
            ports.append(receiver.port)
            assert len(receiver.received) == 1
    assert inside.received == []
    assert watch.connected == [("127.0.0.1", port) for port in ports]
    assert watch.looked_up == []
