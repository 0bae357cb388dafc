"""How long a ``Prefer`` header asks to wait."""

import pytest

from api.resources.long_poll import preferred_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("Wait = 5", 5),
        ('wait="7"', 7),
        ("respond-async, wait=3", 3),
        ("wait=3; foo=bar, x", 3),
        ("wait=90", 30),
        ("wait=0", 0),
        ("", 0),
        ("wait", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("awaits=4", 0),
        ("x-wait=4", 0),
        ("wait=x", 0),
    ],
)
def test_a_preference_to_wait_is_read_as_its_rfc_has_it(header: str, seconds: int) -> None:
    assert preferred_wait(header) == seconds
