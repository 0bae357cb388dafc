"""Origins, as browsers send them."""

import pytest

from pipeline.origins import parse_origins


def test_origins_are_separated_by_spaces() -> None:
    text = "  https://a.example\thttp://b.example:8080 \n https://a.example "
    assert parse_origins(text) == {"https://a.example", "http://b.example:8080"}
    assert parse_origins("") == parse_origins(" ") == frozenset()


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://[::1]:5173",
        "https://xn--bcher-kva.example",
        "http://app.example.com:443",
        "https://app.example.com:65535",
    ],
)
def test_an_exact_origin_is_kept(origin: str) -> None:
    assert parse_origins(origin) == {origin}


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "https://*",
        "https://*.example.com",
        "app.example.com",
        "//app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?",
        "https://app.example.com#",
        "HTTPS://app.example.com",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "https://app.example.com:",
        "https://app.example.com:0",
        "https://app.example.com:08443",
        "https://app.example.com:65536",
        "https://app.example.com:x",
        "https://bücher.example",
        "https://app..example",
        "https://127.1",
        "http://[::0001]",
        "http://[::1",
        "http://::1",
        "ftp://app.example.com",
        "file://",
        "chrome-extension://abc",
        "https://a.example,https://b.example",
        "https://a.example;https://b.example",
        "https://ok.example nonsense",
    ],
)
def test_what_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an exact origin; write scheme://host"):
        parse_origins(text)


def test_a_user_name_and_password_are_not_shown() -> None:
    with pytest.raises(ValueError, match=r"'app\.example\.com' is not") as caught:
        parse_origins("https://user:hunter2@app.example.com")
    assert "hunter2" not in str(caught.value)
