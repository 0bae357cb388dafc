"""How the console writes numbers and times; its charts; the address that attempts count for."""

from typing import get_args

import falcon
import pytest
from falcon.testing import create_req
from gunicorn.config import Config
from gunicorn.http.message import _ip_in_allow_list

from api.console.overview import CHART_HEIGHT, charts
from api.console.pages import STATE_SYMBOLS, number, size, span
from api.console.sign_in import client_address
from api.http.trusted_proxies import TrustedProxies
from api.schemas.states import ChunkState, State
from pipeline.monitoring.overview import Minute, Overview, RedisState


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (59_900, "59.9 s"),
        (60_000, "1 min 00 s"),
        (3_599_000, "59 min 59 s"),
        (3_600_000, "1 h 00 min"),
        (90_000_000, "25 h 00 min"),
    ],
)
def test_spans(milliseconds: int, told: str) -> None:
    assert span(milliseconds) == told.replace(" ", "\N{NO-BREAK SPACE}")


def test_sizes_and_numbers() -> None:
    assert [size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30, 1 << 42)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
        "4096.0 GiB",
    ]
    assert number(1_234_567) == "1\u202f234\u202f567"


def test_charts_scale_to_their_highest_minute() -> None:
    hour = [Minute(60 * n, 0, 0, 0) for n in range(58)]
    hour += [Minute(60 * 58, 50, 0, 0), Minute(60 * 59, 100, 0, 1)]
    items, completed, failed = charts(
        Overview(0, [], [], hour, 0, 0, RedisState("", 0, 0, appends=True))
    )
    assert [bar.height for bar in items.bars] == [CHART_HEIGHT / 2, CHART_HEIGHT]
    assert [bar.label for bar in items.bars] == ["00:58 UTC: 50", "00:59 UTC: 100"]
    assert (items.total, items.most) == (150, 100)
    assert completed.bars == []
    assert failed.bars[0].y == 0


@pytest.mark.parametrize(
    ("remote", "forwarded", "counted"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "10.9.8.7, 203.0.113.9", "203.0.113.9"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not from a proxy of ours
        ("10.244.1.7", "198.51.100.1", "10.244.1.7"),
        ("", "198.51.100.1", "198.51.100.1"),  # who reaches a socket is on this machine
        ("", "", ""),
    ],
)
def test_an_address_is_believed_from_a_proxy_on_this_machine_alone(
    remote: str, forwarded: str, counted: str
) -> None:
    assert client_address(request_from(remote, forwarded), TrustedProxies()) == counted


@pytest.mark.parametrize(
    ("allowed", "believed"),
    [
        ("10.244.0.0/16", ["10.244.1.7"]),
        ("10.244.1.7, fd00::/8", ["10.244.1.7", "fd00::7"]),
        ("*", ["127.0.0.1", "10.244.1.7", "fd00::7", "198.51.100.1"]),
        ("", []),
    ],
)
def test_an_address_is_believed_from_the_proxies_that_gunicorn_believes(
    allowed: str, believed: list[str]
) -> None:
    config = Config()
    config.set("forwarded_allow_ips", allowed)
    proxies = TrustedProxies(allowed)
    for remote in ("127.0.0.1", "10.244.1.7", "fd00::7", "198.51.100.1"):
        ours = client_address(request_from(remote, "203.0.113.9"), proxies) == "203.0.113.9"
        allow_list, networks = config.forwarded_allow_ips, config.forwarded_allow_networks()
        theirs = _ip_in_allow_list(remote, allow_list, networks)
        assert ours == theirs == (remote in believed), remote


def request_from(remote: str, forwarded: str) -> falcon.Request:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    req = create_req(remote_addr=remote or None, headers=headers)
    req.env["REMOTE_ADDR"] = remote
    return req


def test_every_state_has_a_symbol() -> None:
    assert {*STATE_SYMBOLS} == {*get_args(State), *get_args(ChunkState)}
