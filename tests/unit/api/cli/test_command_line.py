"""What the command line makes of files and of what it is told, without a service."""

import json
import os
import stat
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.output import UsageError, printable, report
from api.cli.profile import Profile, current_profile, profile_path, read_profile, write_profile
from api.cli.request_file import Input, make_form
from api.client import (
    ApiError,
    QrmillError,
    TaskFailedError,
    UnreachableError,
    WaitTimeoutError,
)
from api.client import arguments as client_checks
from api.schemas import states
from pipeline.auth import api_key, tokens
from pipeline.model import states as pipeline_states
from tests.devices import device

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60)


@given(url=VISIBLE, api_key=VISIBLE)
def test_a_profile_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, url: str, api_key: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "made" / "profile.toml"
    write_profile(path, Profile(url, api_key))
    assert read_profile(path) == Profile(url, api_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_profile_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "profile.toml"
    write_profile(path, Profile("http://x", "key"))
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod 600 {path}"):
        read_profile(path)


@pytest.mark.parametrize("text", ["url", "url = 7", "key = 'a'", "url = '\udcff'"])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.toml"
    path.touch(0o600)
    path.write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(UsageError, match="is not a valid profile file"):
        read_profile(path)


def test_the_environment_beats_the_file_value_by_value(tmp_path: Path) -> None:
    path = tmp_path / "qrmill" / "profile.toml"
    write_profile(path, Profile("http://file", "file"))
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert profile_path(home) == path
    assert current_profile(home) == Profile("http://file", "file")
    assert current_profile({**home, "QRMILL_URL": "http://a"}) == Profile("http://a", "file")
    assert current_profile({**home, "QRMILL_API_KEY": "b"}) == Profile("http://file", "b")
    with pytest.raises(UsageError, match="does not exist"):
        current_profile({**home, "QRMILL_PROFILE": str(tmp_path / "other.toml")})


def test_the_file_says_which_form_it_has_unless_one_is_told() -> None:
    gtin: dict[str, str | int] = {"gtin": "96385074", "size": 300}
    csv = make_form(b"lot\nA\n", None, gtin)
    assert (csv.media_type, csv.params) == ("text/csv", {"gtin": "96385074", "size": "300"})
    assert make_form(b"[lot\nA\n", "csv", gtin).media_type == "text/csv"
    whole = b' {"gtin": "96385074", "items": [{"lot": 1}], "x": 2}'
    assert make_form(whole, None, {}) == ("application/json", whole, {})
    assert make_form(b"\xef\xbb\xbf" + whole, None, {}).body == whole
    assert make_form(b"\xef\xbb\xbf[{}]", None, gtin) == make_form(b"[{}]", None, gtin)
    for body, kind in ((b"lot\n", None), (b"[{}]", None)):
        with pytest.raises(UsageError, match="--gtin"):
            make_form(body, kind, {"size": 300})
    with pytest.raises(UsageError, match="neither"):
        make_form(b"[{}", None, gtin)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), max_size=5))
def test_items_of_an_array_are_sent_as_they_are(items: list[dict[str, str]]) -> None:
    form = make_form(json.dumps(items).encode(), None, {"gtin": "96385074"})
    assert json.loads(form.body) == {"gtin": "96385074", "items": items}
    whole = json.dumps({"gtin": "1", "items": items, "format": "png"}).encode()
    body = json.loads(make_form(whole, None, {"format": "svg"}).body)
    assert body == {"gtin": "1", "items": items, "format": "svg"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_may_have_any_encoding_of_unicode(encoding: str) -> None:
    gtin: dict[str, str | int] = {"gtin": "96385074"}
    for text in ('[{"lot": "Ž"}]', ' \n{"gtin": "1", "items": [{"lot": "Ž"}]}'):
        for options in ({}, gtin) if "gtin" in text else (gtin,):
            form = make_form(text.encode(encoding), None, options)
            assert form == make_form(text.encode(), None, options)
            assert form.media_type == "application/json"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"])
@pytest.mark.parametrize("text", ["lot;é\nA;B\n", "[lot\n", "\n\n lot"])
def test_csv_is_sent_as_it_is(encoding: str, text: str) -> None:
    body = text.encode(encoding)
    kind: Input | None = "csv" if text.startswith("[") else None
    assert make_form(body, kind, {"gtin": "1"}) == ("text/csv", body, {"gtin": "1"})


@pytest.mark.parametrize("text", ['{"gtin": "1",\n"items": [{"lot": "é"}]}', '[\n{"lot": "é"}]'])
def test_json_that_is_no_unicode_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"line 2 has the byte 0xE9.*Windows-1252.*Save it as UTF-8"
    ):
        make_form(text.encode("cp1252"), None, {} if text[0] == "{" else {"gtin": "1"})
    with pytest.raises(UsageError, match=r"not UTF-16.*Save it as UTF-8"):
        make_form(text.encode("utf-16")[:-1], None, {"gtin": "1"})


def test_a_member_that_is_there_twice_is_refused_where_one_would_vanish() -> None:
    for body in (b'{"items": [{}], "items": [{}, {}]}', b'{"items": [{"lot": "1", "lot": "2"}]}'):
        with pytest.raises(UsageError, match=r"the member '(items|lot)' twice"):
            make_form(body, None, {"gtin": "96385074"})
        assert make_form(body, None, {}).body == body  # the service sees all of it


@pytest.mark.parametrize("own", [{"HOME": "/dev/null"}, {"XDG_CONFIG_HOME": "/dev/null"}])
def test_a_home_that_is_no_folder_has_no_profile(
    monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    assert current_profile(own) == Profile()


def test_a_profile_may_be_a_link_or_a_pipe_but_not_a_device(tmp_path: Path) -> None:
    file, link = tmp_path / "file.toml", tmp_path / "link.toml"
    link.symlink_to("file.toml")
    for url in ("http://a", "http://b"):
        write_profile(link, Profile(url, "key"))
        assert (link.is_symlink(), read_profile(file).url) == (True, url)
    read, write = os.pipe()
    os.write(write, b'url = "http://piped"')
    os.close(write)
    assert read_profile(Path(f"/dev/fd/{read}")).url == "http://piped"
    os.close(read)
    null = device("null", tmp_path)
    assert read_profile(null) == Profile()
    for path in (null, tmp_path):
        with pytest.raises(UsageError, match="is not a regular file"):
            write_profile(path, Profile("http://a", "key"))
    assert null.is_char_device()


@given(st.text())
def test_nothing_that_is_printed_commands_the_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("so"), 2),
        (OSError(28, "No space left on device", "bundle.zip"), 1),
        (ApiError(422, "invalid_request", "so"), 1),
        (ApiError(429, "over_rate", "so"), 3),
        (ApiError(503, "unavailable", "so"), 3),
        (UnreachableError("so"), 3),
        (WaitTimeoutError("so"), 3),
        (TaskFailedError("id", "so", "cancelled"), 1),
    ],
)
def test_the_exit_code_tells_whether_to_try_again(
    error: QrmillError | UsageError | OSError, code: int
) -> None:
    assert report(error) == code


def test_the_words_of_the_api_are_those_of_the_pipeline() -> None:
    for said, meant in (
        (states.State, pipeline_states.State),
        (states.CallbackState, pipeline_states.CallbackState),
        (states.ChunkState, pipeline_states.ChunkState),
        (states.Role, api_key.Role),
    ):
        assert get_args(said) == get_args(meant)
    assert client_checks._KEY_ID.pattern == tokens._KEY_ID.pattern
