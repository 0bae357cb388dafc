"""What the command line makes of files and of what it is told, without a service."""

import json
import stat
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.output import UsageError, printable, report
from api.cli.profile import Profile, current_profile, profile_path, read_profile, write_profile
from api.cli.request_file import make_form
from api.client import (
    ApiError,
    QrmillError,
    TaskFailedError,
    UnreachableError,
    WaitTimeoutError,
)
from api.client import arguments as client_checks
from api.schemas import states
from pipeline.auth import api_keys
from pipeline.model import states as pipeline_states

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
        (states.Role, api_keys.Role),
    ):
        assert get_args(said) == get_args(meant)
    assert client_checks._KEY_ID.pattern == api_keys._KEY_ID.pattern
