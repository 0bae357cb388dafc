"""When a lease is renewed in the background, and when it no longer is."""

import threading
import time

import pytest

from pipeline.errors import LedgerUnavailableError
from pipeline.ledger.lease_renewal import renewing
from tests.waiting import wait_for

NEVER = 60_000
LEASE = 30  # milliseconds


def test_it_is_renewed_during_the_block_and_not_after() -> None:
    renewed: list[float] = []
    with renewing(lambda: renewed.append(time.monotonic()), lease=LEASE, limit=NEVER):
        wait_for(lambda: len(renewed) >= 5, "renewals", pause=0.01)
        assert all(thread.daemon for thread in threading.enumerate() if "renew" in thread.name)
    count = len(renewed)
    time.sleep(5 * LEASE / 1000)
    assert len(renewed) == count
    assert not any("renew" in thread.name for thread in threading.enumerate())


def test_a_third_of_the_lease_passes_before_the_first() -> None:
    begun, renewed = time.monotonic(), threading.Event()
    with renewing(renewed.set, lease=600, limit=NEVER):
        assert renewed.wait(30)
    assert time.monotonic() - begun >= 0.2


def test_an_unavailable_redis_ends_nothing() -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        raise LedgerUnavailableError("away")

    with renewing(fail, lease=LEASE, limit=NEVER):
        wait_for(lambda: len(tried) >= 3, "attempts", pause=0.01)


def test_without_progress_it_is_renewed_no_longer() -> None:
    renewed: list[int] = []
    with renewing(lambda: renewed.append(1), lease=LEASE, limit=100) as progress:
        wait_for(lambda: renewed, "a renewal", pause=0.01)
        time.sleep(0.3)
        count = len(renewed)
        time.sleep(0.2)
        assert len(renewed) == count
        progress()
        wait_for(lambda: len(renewed) > count, "a renewal after progress", pause=0.01)


def test_the_block_ends_with_its_own_error() -> None:
    with pytest.raises(ValueError, match="own"), renewing(lambda: None, lease=LEASE, limit=NEVER):
        raise ValueError("own")
    assert not any("renew" in thread.name for thread in threading.enumerate())
