"""Versions of records: which are newer, and that whatever was added does not matter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.records import CallbackRecord, Result
from pipeline.model.versions import VERSION, is_newer, version_of

_VALUES = st.none() | st.booleans() | st.integers() | st.lists(st.text(max_size=3), max_size=3)
_NAMES = st.text("abc_", min_size=1, max_size=8).map(lambda name: f"added_{name}")
_ADDED = st.dictionaries(_NAMES, _VALUES, max_size=3)


@given(version=st.integers(1, 10_000), added=_ADDED)
def test_only_the_version_decides(version: int, added: dict[str, object]) -> None:
    record = msgspec.json.encode({**added, "version": version})
    assert is_newer(version_of(record)) == (version > VERSION)


def test_a_record_without_a_version_is_of_the_first() -> None:
    assert not is_newer(version_of(b"{}"))


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"version": "2"}', b'{"version": 0}'])
def test_what_is_no_record_is_damaged_and_not_newer(damaged: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        version_of(damaged)


@given(added=_ADDED)
def test_a_field_that_a_later_release_has_added_is_passed_over(added: dict[str, object]) -> None:
    result = Result(state="completed", finished_at=1)
    record = CallbackRecord(
        job_state="completed", callback_state="delivered", callback_event="e", callback_attempts=1
    )
    for known in (result, record):
        later = msgspec.json.encode({**added, **msgspec.to_builtins(known)})
        assert msgspec.json.decode(later, type=type(known)) == known
