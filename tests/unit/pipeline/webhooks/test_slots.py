"""Slots for webhooks: one per tenant, and half of them for slow and failing receivers."""

from contextlib import ExitStack

import pytest

from pipeline.webhooks import slots as module
from pipeline.webhooks.slots import Slots


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def attempt(slots: Slots, clock: Clock, tenant: str, *, ok: bool, took: float = 0.1) -> None:
    """Make an attempt that takes some seconds."""
    with slots.slot(tenant) as slot:
        assert slot is not None
        slot.succeeded = ok
        clock.now += took


def taken(slots: Slots, stack: ExitStack, *tenants: str) -> list[str]:
    """Return the tenants that get a slot, which they hold until the end of ``stack``."""
    return [each for each in tenants if stack.enter_context(slots.slot(each)) is not None]


def test_each_tenant_has_one_slot_and_all_together_the_capacity(clock: Clock) -> None:
    slots = Slots(3, clock)
    with ExitStack() as stack:
        assert taken(slots, stack, "a", "a", "b", "c", "d") == ["a", "b", "c"]
    with ExitStack() as stack:
        assert taken(slots, stack, "d") == ["d"]


@pytest.mark.parametrize(("capacity", "share"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4)])
@pytest.mark.parametrize("outcome", [(False, 0.1), (True, 2.1), (False, 20.0)])
def test_slow_and_failing_receivers_get_half(
    clock: Clock, capacity: int, share: int, outcome: tuple[bool, float]
) -> None:
    slots, (ok, took) = Slots(capacity, clock), outcome
    slow = [f"slow-{number}" for number in range(12)]
    for each in slow:
        attempt(slots, clock, each, ok=ok, took=took)
    with ExitStack() as stack:
        assert len(taken(slots, stack, *slow)) == share
        others = taken(slots, stack, *(f"good-{number}" for number in range(12)))
        assert len(others) == capacity - share


def test_a_receiver_that_recovers_is_slow_no_longer(clock: Clock) -> None:
    slots = Slots(2, clock)
    for each in ("a", "b"):
        attempt(slots, clock, each, ok=False)
    attempt(slots, clock, "a", ok=True)
    with ExitStack() as stack:
        assert taken(slots, stack, "b", "a") == ["b", "a"]


def test_a_message_without_an_attempt_changes_nothing(clock: Clock) -> None:
    slots = Slots(2, clock)
    for each in ("a", "b"):
        attempt(slots, clock, each, ok=False)
    with slots.slot("a"):
        pass
    with ExitStack() as stack:
        assert taken(slots, stack, "a", "b") == ["a"]


def test_a_failure_is_forgotten_after_ten_minutes(clock: Clock) -> None:
    slots = Slots(2, clock)
    for each in ("a", "b"):
        attempt(slots, clock, each, ok=False)
    clock.now += 601
    with ExitStack() as stack:
        assert taken(slots, stack, "a", "b") == ["a", "b"]


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 3)
    slots = Slots(2, clock)
    for number in range(9):
        attempt(slots, clock, str(number), ok=False)
    assert [*slots._slow] == ["6", "7", "8"]


def test_an_error_releases_the_slot_as_failed(clock: Clock) -> None:
    slots = Slots(2, clock)
    for tenant in ("a", "b"):
        with pytest.raises(RuntimeError):
            break_off(slots, tenant)
    with ExitStack() as stack:
        assert taken(slots, stack, "a", "b") == ["a"]


def break_off(slots: Slots, tenant: str) -> None:
    with slots.slot(tenant) as slot:
        assert slot is not None
        slot.succeeded = False
        raise RuntimeError
