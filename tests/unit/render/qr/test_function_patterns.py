import numpy as np
import pytest
from segno import encoder

from render.qr.function_patterns import function_patterns
from render.qr.versions import blocks


@pytest.mark.parametrize("version", range(1, 41))
def test_patterns_and_encoding_region_agree_with_segno(version: int) -> None:
    side = 17 + 4 * version
    expected = encoder.make_matrix(side, side)
    encoder.add_finder_patterns(expected, side, side)
    encoder.add_alignment_patterns(expected, side, side)
    expected = np.array([list(row) for row in expected])
    patterns = function_patterns(version)
    np.testing.assert_array_equal(patterns.dark, expected == 1)
    np.testing.assert_array_equal(patterns.free, expected == 2)


@pytest.mark.parametrize("version", range(1, 41))
def test_the_encoding_region_holds_the_codewords_and_up_to_seven_remainder_bits(
    version: int,
) -> None:
    remainder = int(function_patterns(version).free.sum()) - 8 * blocks(version, "L").total
    assert remainder in (0, 3, 4, 7)
