"""Format information, version information and the dark module.

Clauses are those of ISO/IEC 18004:2015.
"""

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection, symbol_side
from render.qr.versions import format_information, version_information

_FORMAT_BITS = np.arange(15)
_VERSION_BITS = np.arange(18)
_FIRST_WITH_VERSION_INFORMATION = 7


def information_modules(version: int, level: ErrorCorrection, mask: int) -> NDArray[np.bool_]:
    """Return the dark modules that encode level, mask and version: bool (side, side)."""
    side = symbol_side(version)
    dark = np.zeros((side, side), np.bool_)
    _draw_format(dark, format_information(level, mask))
    if version >= _FIRST_WITH_VERSION_INFORMATION:
        bits = version_information(version) >> _VERSION_BITS & 1
        # Figure 27: three modules wide, least significant bit first, twice.
        along, across = _VERSION_BITS // 3, side - 11 + _VERSION_BITS % 3
        dark[along, across] = dark[across, along] = bits
    return dark


def _draw_format(dark: NDArray[np.bool_], information: int) -> None:
    """Draw both copies of the format information (7.9.1, figure 25) and the dark module."""
    side = len(dark)
    bits = (information >> _FORMAT_BITS & 1).astype(np.bool_)
    # Next to the upper left finder pattern: downwards, then to the left, around the timing
    # patterns.
    dark[[0, 1, 2, 3, 4, 5, 7, 8], 8] = bits[:8]
    dark[8, [7, 5, 4, 3, 2, 1, 0]] = bits[8:]
    # Below the upper right finder pattern from the right, and next to the lower left one downwards.
    dark[8, side - 1 - np.arange(8)] = bits[:8]
    dark[side - 7 + np.arange(7), 8] = bits[8:]
    dark[side - 8, 8] = True
