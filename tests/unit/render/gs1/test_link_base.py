"""The beginning of every Digital Link URI, which is printed on labels."""

import re

import pytest
from biip.gs1_digital_link_uris import GS1DigitalLinkURI

from render.errors import InvalidValueError
from render.gs1.link import digital_link_uri
from render.gs1.link_base import check_link_base

PRIMARY_KEYS = ["00", "01", "253", "255", "401", "402", "414", "417"]
PRIMARY_KEYS += ["8003", "8004", "8006", "8010", "8013", "8017", "8018"]


@pytest.mark.parametrize(
    "base",
    [
        "https://id.gs1.org",
        "http://id.example.com",
        "https://x.org:8443",
        "https://x.org:443",
        "https://x.org:65535/p",
        "https://localhost:8080",
        "http://127.0.0.1:8080",
        "https://[::1]/x",
        "https://[2001:db8::1]:8443",
        "https://X.ORG",
        "https://a_b.xn--bcher-kva.example.",
        "https://x.org/a%20b/~c;d=1",
        "https://x.org/@brand/a:b",
        "https://x.org//a",
        "https://x.org/v01",
        "https://x.org/010",
        "https://x.org/1",
        "https://x.org/10",
        "https://x.org/...",
        "https://01.example",
        "https://x.org/gtin",
    ],
)
def test_a_base_is_scheme_host_port_and_path(base: str) -> None:
    check_link_base(base)


@pytest.mark.parametrize(
    "base", ["https://id.gs1.org", "https://x.org:8443/10", "https://x.org/@brand/a%20b"]
)
def test_another_parser_finds_the_gtin_after_the_base(base: str) -> None:
    uri = digital_link_uri(base, "09506000134352", "L1", "S1", None)
    found = {each.ai.ai: each.value for each in GS1DigitalLinkURI.parse(uri).element_strings}
    assert found == {"01": "09506000134352", "10": "L1", "21": "S1"}


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("", "character"),
        ("id.gs1.org", "scheme"),
        ("//id.gs1.org", "scheme"),
        ("https:id.gs1.org", "scheme"),
        ("https:/id.gs1.org", "scheme"),
        ("HTTPS://id.gs1.org", "scheme"),
        ("Http://id.gs1.org", "scheme"),
        ("ftp://id.gs1.org", "scheme"),
        ("javascript://id.gs1.org", "scheme"),
        ("https://", "host"),
        ("https:///x", "host"),
        ("https://:443", "host"),
        ("https://x.org:", "host"),
        ("https://x.org:0", "host"),
        ("https://x.org:65536", "host"),
        ("https://x.org:https", "host"),
        ("https://x.org:+1", "host"),
        ("https://x.org:1:2", "host"),
        ("https://[::1", "host"),
        ("https://::1", "host"),
        ("https://[127.0.0.1]", "host"),
        ("https://[::g]", "host"),
        ("https://x..org", "host"),
        ("https://-x.org", "host"),
        ("https://.org", "host"),
        ("https://" + "a" * 64 + ".org", "host"),
        ("https://1", "host"),
        ("https://127.1", "host"),
        ("https://300.0.0.1", "host"),
        ("https://0x7f000001", "host"),
        ("https://x%2Eorg", "host"),
        ("https://x.org?a=1", "query"),
        ("https://x.org/p?", "query"),
        ("https://x.org#", "query"),
        ("https://x.org/p#a", "query"),
        ("https://x.org/", "slash"),
        ("https://x.org/p/", "slash"),
        ("https://x.org//", "slash"),
        ("https://x.org/a b", "character"),
        (" https://x.org", "character"),
        ("https://x.org\n", "character"),
        ("https://x.org/a\tb", "character"),
        ("https://x.org\\a", "character"),
        ("https:\\\\x.org", "character"),
        ("https://x.org/ä", "character"),
        ("https://bücher.example", "character"),
        ("https://x.org/a%2", "character"),
        ("https://x.org/%zz", "character"),
        ("https://x.org/<a>", "character"),
        ("https://x.org/{a}", "character"),
        ("https://x.org/[a]", "character"),
        ("https://x.org/.", "dot_segment"),
        ("https://x.org/..", "dot_segment"),
        ("https://x.org/a/../b", "dot_segment"),
        ("https://x.org/%2E", "dot_segment"),
        ("https://x.org/a/.%2e/b", "dot_segment"),
        ("https://x.org/01", "key_segment"),
        ("https://x.org/%30%31", "key_segment"),
        ("https://x.org/01/09506000134352", "key_segment"),
        ("https://x.org/a/8004/b", "key_segment"),
        *((f"https://x.org/r/{key}", "key_segment") for key in PRIMARY_KEYS),
    ],
)
def test_every_other_base_is_refused_and_named(base: str, code: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_link_base(base)
    assert caught.value.code in code
    assert caught.value.detail.startswith(repr(base[:60]))
    assert re.search(r"remove|write|must|percent-encode", caught.value.detail)


@pytest.mark.parametrize(
    "base",
    [
        "https://user:hunter2@x.org",
        "https://hunter2@x.org",
        "https://user:hunter2@x.org:8443/01",
        "https://user:hunter2@@x.org",
        "https://user:hunt@hunter2@x.org",
        "https://user:hunter2 @x.org",
        "https:\\\\user:hunter2@x.org",
        "HTTPS://user:hunter2@x.org",
        "user:hunter2@x.org",
        "https://@x.org",
    ],
)
def test_a_user_name_or_password_is_refused_and_not_shown(base: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_link_base(base)
    assert "hunter2" not in caught.value.detail
    assert "x.org" in caught.value.detail
