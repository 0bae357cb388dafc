"""Would the harness notice that a process grows, or that one has ended?"""

import pytest

from tests.faults.hostile import is_level

START = [40, 90, 90]


@pytest.mark.parametrize(
    ("level", "sizes"),
    [
        ("level", [START, [40, 150, 150], [40, 150, 155], [40, 160, 150]]),
        ("growing", [START, [40, 150, 150], [40, 170, 190], [40, 190, 230]]),
        ("ended", [START, [40, 150, 150], [40, 150, 150], [40, 150]]),
    ],
)
def test_memory_that_grows_after_the_first_third_is_not_level(
    level: str, sizes: list[list[int]]
) -> None:
    assert is_level(sizes) is (level == "level")
