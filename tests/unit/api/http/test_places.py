"""Places of which a tenant gets a few, and all tenants together a number."""

import threading
from contextlib import ExitStack

import pytest

from api.http.places import Places


def held(places: Places, stack: ExitStack, *tenants: str) -> list[str]:
    """Return the tenants that get a place at once; they hold it until the end of ``stack``."""
    return [each for each in tenants if stack.enter_context(places.hold(each, 0))]


def test_a_tenant_gets_a_few_and_others_the_rest() -> None:
    with ExitStack() as stack:
        found = held(Places(3, 2), stack, "a", "a", "a", "b", "b", "c")
    assert found == ["a", "a", "b"]


def test_without_a_total_only_the_tenants_share_counts() -> None:
    with ExitStack() as stack:
        found = held(Places(None, 1), stack, *"aabbccddee")
    assert found == [*"abcde"]


def test_a_place_is_free_again_after_an_error() -> None:
    places = Places(1, 1)
    with pytest.raises(RuntimeError), places.hold("a", 0):
        raise RuntimeError
    with places.hold("b", 0) as found:
        assert found
    assert not places._held


def test_a_request_waits_for_a_place() -> None:
    places = Places(1, 1)
    got = threading.Event()

    def wait() -> None:
        with places.hold("b", 30) as found:
            if found:
                got.set()

    with places.hold("a", 0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.1)
    assert got.wait(30)
    waiting.join()


def test_a_request_that_got_no_place_releases_none() -> None:
    places = Places(1, 1)
    with places.hold("a", 0):
        with places.hold("b", 0) as found:
            assert not found
        with places.hold("b", 0) as found:
            assert not found
