from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.webhooks.addresses import may_be_reached
from pipeline.webhooks.urls import CallbackRules, CallbackUrl, parse_callback_url
from render.errors import InvalidValueError

STRICT = CallbackRules()
HTTP_TOO = CallbackRules(http=True)


@pytest.mark.parametrize(
    ("text", "expected", "authority"),
    [
        (
            "https://hooks.example.com",
            ("https", "hooks.example.com", 443, "/"),
            "hooks.example.com",
        ),
        (
            "https://hooks.example.com:443/a?b=c%20d",
            ("https", "hooks.example.com", 443, "/a?b=c%20d"),
            "hooks.example.com",
        ),
        (
            "HTTPS://Hooks.Example.com:8443/A",
            ("https", "hooks.example.com", 8443, "/A"),
            "hooks.example.com:8443",
        ),
        ("https://1.1.1.1/", ("https", "1.1.1.1", 443, "/"), "1.1.1.1"),
        (
            "https://[2606:4700::1111]:4443/",
            ("https", "2606:4700::1111", 4443, "/"),
            "[2606:4700::1111]:4443",
        ),
        (
            "https://xn--bcher-kva.example/",
            ("https", "xn--bcher-kva.example", 443, "/"),
            "xn--bcher-kva.example",
        ),
        ("http://hooks.example.com/", ("http", "hooks.example.com", 80, "/"), "hooks.example.com"),
    ],
)
def test_a_url_is_taken_apart(
    text: str, expected: tuple[str, str, int, str], authority: str
) -> None:
    url = parse_callback_url(text, HTTP_TOO)
    assert url == CallbackUrl(*expected)
    assert url.authority == authority


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "character"),
        ("http://hooks.example.com/", "scheme"),
        ("ftp://hooks.example.com/", "scheme"),
        ("hooks.example.com/a", "scheme"),
        ("//hooks.example.com/a", "scheme"),
        ("https://user:secret@hooks.example.com/", "userinfo"),
        ("https://@hooks.example.com/", "userinfo"),
        ("https://hooks.example.com/#", "fragment"),
        ("https://hooks.example.com/#there", "fragment"),
        ("https://hooks.example.com:22/", "port"),
        ("https://hooks.example.com:80/", "port"),
        ("https://hooks.example.com:0/", "port"),
        ("https://hooks.example.com:99999/", "host"),
        ("https://hooks.example.com:8o/", "host"),
        ("https://[::1/", "host"),
        ("https:///a", "host"),
        ("https://-hooks.example.com/", "host"),
        ("https://hooks..example.com/", "host"),
        (f"https://{'a' * 64}.example.com/", "host"),
        ("https://127%2e0%2e0%2e1/", "host"),
        ("https://127.1/", "host"),
        ("https://0x7f000001/", "host"),
        ("https://0177.0.0.1/", "host"),
        ("https://127.0.0.1./", "host"),
        ("https://[v1.a]/", "host"),
        ("https://[1.1.1.1]/", "host"),
        ("https://[2606:4700::1111]a/", "host"),
        ("https://a[2606:4700::1111]/", "host"),
        ("https://10.0.0.1/", "address"),
        ("https://[::ffff:10.0.0.1]/", "address"),
        ("https://hooks.example.com/a b", "character"),
        ("https://hooks.example.com/\n", "character"),
        (" https://hooks.example.com/", "character"),
        ("https://hooks.example.com\\@10.0.0.1/", "character"),
        ("https://bücher.example/", "character"),
        ("https://①②⑦.0.0.1/", "character"),
        ("https://hooks.example.com/" + "a" * 2000, "length"),
    ],
)
def test_a_url_that_is_none_for_callbacks_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_callback_url(text, STRICT)
    assert caught.value.code == code
    assert len(caught.value.detail) < 200


def test_an_address_that_the_operator_allows_is_taken() -> None:
    rules = CallbackRules(http=True, networks=(ip_network("10.0.0.0/8"),))
    assert parse_callback_url("http://10.0.0.1:8000/", rules).host == "10.0.0.1"


hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.text("0123456789abcfx.-_", max_size=20),
)
texts = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["https://", "http://", "https:", "//", "HTTPS://", "https:///"]),
        st.sampled_from(["", "a@", "a:b@", "@"]),
        hosts,
        st.sampled_from(["", ":", ":443", ":80", ":8443", ":-1", ":99999", ":1", "\\"]),
        st.sampled_from(["", "/", "/a?b#c", "?x", "/\x00", "#", "/%zz"]),
    ),
)


@given(text=texts, http=st.booleans())
@example(text="https://127.0.0.1/", http=False)
def test_any_text_is_refused_with_a_reason_or_names_one_host_that_may_be(
    text: str, *, http: bool
) -> None:
    url = None
    with suppress(InvalidValueError):
        url = parse_callback_url(text, CallbackRules(http))
    if url is None:
        return
    assert url.scheme == "https" or http
    assert url.port in {80, 443} or url.port >= 1024
    assert urlsplit(text).hostname == url.host
    with suppress(ValueError):
        assert may_be_reached(ip_address(url.host), ())
