"""Lookups of keys that a process does not know: limited, but not those of a key that exists."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.auth.key_lookups import KeyLookups
from pipeline.errors import StoreUnavailableError

TOGETHER = 120


def test_many_first_requests_with_one_valid_key_wait_for_one_listing() -> None:
    listings = []
    together = threading.Barrier(TOGETHER)

    def list_ids() -> list[str]:
        listings.append(1)
        time.sleep(0.3)  # so that the others arrive meanwhile
        return ["valid"]

    lookups = KeyLookups(list_ids)

    def admit(_: int) -> None:
        together.wait(30)
        lookups.admit("valid")

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert [*pool.map(admit, range(TOGETHER))] == [None] * TOGETHER
    assert len(listings) == 1


def test_many_requests_with_unknown_keys_wait_for_one_slow_listing() -> None:
    listings = []

    def list_ids() -> list[str]:
        listings.append(1)
        time.sleep(1.5)
        return []

    lookups = KeyLookups(list_ids)

    def admit(number: int) -> bool:
        try:
            lookups.admit(f"unknown {number}")
        except StoreUnavailableError:
            return False
        return True

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert sum(pool.map(admit, range(TOGETHER))) <= 100  # fifty lookups per second are free
    assert len(listings) == 1


def test_a_listing_that_fails_is_repeated_once_per_second() -> None:
    listings = []

    def list_ids() -> list[str]:
        listings.append(1)
        raise StoreUnavailableError("away")

    lookups = KeyLookups(list_ids)
    refused = 0
    for _ in range(TOGETHER):
        try:
            lookups.admit("valid")
        except StoreUnavailableError:
            refused += 1
    assert refused >= TOGETHER - 100  # fifty lookups per second are free, in one or two seconds
    assert len(listings) <= 2
    with pytest.raises(StoreUnavailableError):
        lookups.admit("valid")
