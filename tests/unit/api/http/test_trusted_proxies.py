"""Whose request it is, and which network stands for a client."""

import pytest

from api.http.trusted_proxies import TrustedProxies, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_site(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9:41234", "203.0.113.9"),
        ("10.0.0.1, [2001:db8::7]:443", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7:443", "2001:db8::7:443"),  # an address: a port needs brackets
        ("203.0.113.9, ", "127.0.0.1"),
        ("203.0.113.9:x", "127.0.0.1"),
        ("unknown", "127.0.0.1"),
        ("999.0.0.1:80", "127.0.0.1"),
    ],
)
def test_a_port_that_a_proxy_adds_is_not_part_of_the_address(forwarded: str, client: str) -> None:
    assert TrustedProxies().client("127.0.0.1", forwarded) == client
