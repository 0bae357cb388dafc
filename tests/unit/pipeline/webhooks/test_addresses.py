import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.webhooks.addresses import NotReachableError, is_public, may_be_reached, resolve

#: Where nothing that answers is anybody's on the internet; each with a reason of its own.
INSIDE = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/8",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "100::/64",
    "64:ff9b:1::/48",
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111"]
addresses_inside = st.sampled_from(INSIDE).flatmap(lambda each: st.ip_addresses(network=each))
ipv4_inside = st.sampled_from([each for each in INSIDE if "." in each]).flatmap(
    lambda each: st.ip_addresses(network=each)
)
nested = st.sampled_from(["::ffff:0:0", "64:ff9b::", "2002::", "::"])


@given(addresses_inside)
def test_no_address_of_the_inside_is_reached(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)
    assert not may_be_reached(address, ())


@given(st.ip_addresses())
def test_what_is_reached_is_global_to_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(ipv4_inside, nested)
def test_an_inside_address_in_an_ipv6_one_is_not_reached(address: IPv4Address, prefix: str) -> None:
    base = int(IPv6Address(prefix))
    shift = 80 if prefix == "2002::" else 0  # 6to4 has it behind its first 16 bits
    assert not may_be_reached(IPv6Address(base | int(address) << shift), ())


@given(ipv4_inside)
def test_teredo_leads_nowhere(address: IPv4Address) -> None:
    teredo = IPv6Address(0x2001 << 112 | int(IPv4Address("8.8.8.8")) << 64 | int(address))
    assert not may_be_reached(teredo, ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_reached(address: str) -> None:
    assert may_be_reached(ip_address(address), ())


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
def test_a_public_address_in_an_ipv6_one_is_reached(prefix: str) -> None:
    assert may_be_reached(ip_address(f"{prefix}8.8.8.8"), ())


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_the_metadata_of_clouds_is_not_reached(address: str) -> None:
    assert not may_be_reached(ip_address(address), ())


def test_a_zone_is_never_reached() -> None:
    assert not may_be_reached(ip_address("2606:4700::1111%eth0"), ())


def test_what_the_operator_allows_is_reached_and_nothing_beside_it() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert may_be_reached(ip_address("10.1.2.3"), allowed)
    assert may_be_reached(ip_address("::ffff:10.1.2.3"), allowed)
    assert may_be_reached(ip_address("fd00:1::5"), allowed)
    assert not may_be_reached(ip_address("10.2.0.1"), allowed)
    assert not may_be_reached(ip_address("fd00:2::5"), allowed)


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(host: str, port: int, **_: int) -> list[tuple[object, ...]]:
        assert host == "hooks.example.com"
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_the_addresses_of_a_public_name_come_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_with(monkeypatch, "2606:4700::1111", "1.1.1.1", "1.1.1.1")
    assert resolve("hooks.example.com", 443, ()) == ["2606:4700::1111", "1.1.1.1"]


@pytest.mark.parametrize("addresses", [[], ["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::1"]])
def test_a_name_with_one_inside_address_is_refused_in_the_words_for_one_with_none(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    answer_with(monkeypatch, *addresses)
    with pytest.raises(NotReachableError) as caught:
        resolve("hooks.example.com", 443, ())
    expected = "hooks.example.com cannot be resolved, or has an address that is not public"
    assert str(caught.value) == expected
