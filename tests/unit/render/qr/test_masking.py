import numpy as np
import pytest
from qrcodegen import QrCode
from segno import encoder

from render.image import ErrorCorrection
from render.qr.format_information import information_modules
from render.qr.function_patterns import function_patterns
from render.qr.masking import MASKS, _patterns
from render.qr.versions import LEVELS, level_code


@pytest.mark.parametrize("version", [1, 2, 7, 12, 40])
def test_mask_patterns_are_those_of_table_10_in_the_encoding_region(version: int) -> None:
    patterns = function_patterns(version)
    side = len(patterns.dark)
    for mask, ours in enumerate(_patterns(version)):
        inverted = QrCode._MASK_PATTERNS[mask]
        theirs = np.array([[inverted(x, y) == 0 for x in range(side)] for y in range(side)])
        np.testing.assert_array_equal(ours, (theirs & patterns.free) | patterns.dark)


@pytest.mark.parametrize("version", [1, 2, 6, 7, 10, 23, 40])
@pytest.mark.parametrize("level", LEVELS)
def test_format_and_version_information_agree_with_segno(
    version: int, level: ErrorCorrection
) -> None:
    side = 17 + 4 * version
    for mask in range(MASKS):
        expected = tuple(bytearray(side) for _ in range(side))
        encoder.add_format_info(expected, version, level_code(level), mask)
        encoder.add_version_info(expected, version)
        np.testing.assert_array_equal(
            information_modules(version, level, mask), np.array([list(row) for row in expected])
        )
