"""Parts that answer, that do not, and that hang."""

import threading

import pytest

from pipeline.errors import StoreUnavailableError
from pipeline.monitoring.health import DependencyHealth, Health
from tests.waiting import wait_for


def away() -> None:
    raise StoreUnavailableError("HeadBucket: 503")


def test_a_part_that_hangs_holds_nobody_up_and_is_asked_once() -> None:
    release, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        release.wait(60)

    health = Health({"slow": hang, "good": lambda: None, "gone": away})
    for _ in range(2):
        found = {part.name: part for part in health.latest()}
        assert found["slow"].milliseconds is None
        assert "no response for" in found["slow"].reason
        assert found["good"].milliseconds is not None
        assert found["gone"] == DependencyHealth("gone", None, "HeadBucket: 503")
    assert asked == [1]
    release.set()
    wait_for(lambda: health.latest()[0].milliseconds, "the answer")


def test_a_part_whose_check_breaks_is_not_told_as_it_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.monitoring.health._FRESH", 0)
    found: list[None] = [None]
    health = Health({"part": found.pop})
    assert health.latest()[0].milliseconds is not None
    assert health.latest()[0] == DependencyHealth("part", None, "IndexError")


def test_a_part_is_not_asked_more_often_than_every_two_seconds() -> None:
    asked: list[int] = []
    health = Health({"part": lambda: asked.append(1)})
    for _ in range(10):
        assert health.latest()[0].reason == ""
    assert len(asked) <= 2
