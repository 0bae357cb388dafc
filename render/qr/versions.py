"""Tables of ISO/IEC 18004 for the versions and error correction levels of QR code symbols.

The tables are segno's, and only this module reads them. Clauses are those of ISO/IEC 18004:2015.
Levels are numbered 0 to 3 in the order of :data:`LEVELS`, weakest first.
"""

from functools import cache
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from segno import consts

from render.image import MAX_VERSION, ErrorCorrection

#: Error correction levels, weakest first (7.5.1, table 8).
LEVELS: tuple[ErrorCorrection, ...] = ("L", "M", "Q", "H")
#: First and last version of the three ranges that share widths of count indicators (table 3).
COUNT_RANGES = ((1, 9), (10, 26), (27, 40))

#: Numbers of the modes in all arrays.
NUMERIC, ALPHANUMERIC, BYTE = range(3)
#: Mode indicators, 4 bits each (7.4.1, table 2).
MODE_INDICATORS = (consts.MODE_NUMERIC, consts.MODE_ALPHANUMERIC, consts.MODE_BYTE)
MODE_INDICATOR_BITS = 4


class Blocks(NamedTuple):
    """The division of a symbol's codewords into blocks for error correction (7.5.1, table 9).

    Attributes:
        data: number of data codewords of each block, in order; the numbers differ by at most one.
        correction: number of error correction codewords of every block.
    """

    data: tuple[int, ...]
    correction: int

    @property
    def total(self) -> int:
        """Number of all codewords of the symbol."""
        return sum(self.data) + self.correction * len(self.data)


def level_code(level: ErrorCorrection) -> int:
    """Return the two-bit indicator of a level in the format information (7.9.1, table 12)."""
    return consts.ERROR_MAPPING[level]


def blocks(version: int, level: ErrorCorrection) -> Blocks:
    """Return the blocks of a version and level."""
    groups = _blocks_by_length()[version][level_code(level)]
    data = [group.num_data for group in groups for _ in range(group.num_blocks)]
    return Blocks(tuple(data), groups[0].num_total - groups[0].num_data)


def _blocks_by_length() -> dict[int, dict[int, tuple[consts.EC, ...]]]:
    """Return segno's table 9, cast because entries for Micro QR codes make its type too wide."""
    return cast("dict[int, dict[int, tuple[consts.EC, ...]]]", consts.ECC)


@cache
def data_bits() -> NDArray[np.int32]:
    """Return the number of data bits of a symbol: int32 (41, 4), by version and level (table 7).

    Row 0 is zero, because there is no version 0.
    """
    table = np.zeros((MAX_VERSION + 1, len(LEVELS)), np.int32)
    capacity = cast("dict[int, dict[int, int]]", consts.SYMBOL_CAPACITY)
    for version in range(1, MAX_VERSION + 1):
        table[version] = [capacity[version][level_code(level)] for level in LEVELS]
    table.flags.writeable = False
    return table


def count_range(version: int) -> int:
    """Return the index in :data:`COUNT_RANGES` of the range that contains a version."""
    return next(n for n, (_, last) in enumerate(COUNT_RANGES) if version <= last)


def count_indicator_bits(range_number: int) -> tuple[int, int, int]:
    """Return the width of the character count indicator of each mode (7.4.1, table 3)."""
    numeric, alphanumeric, byte = (
        consts.CHAR_COUNT_INDICATOR_LENGTH[mode][range_number + consts.VERSION_RANGE_01_09]
        for mode in MODE_INDICATORS
    )
    return numeric, alphanumeric, byte


def alignment_centres(version: int) -> tuple[int, ...]:
    """Return the rows, which are also the columns, of alignment patterns (annex E, table E.1)."""
    return consts.ALIGNMENT_POS[version - 2] if version > 1 else ()


def format_information(level: ErrorCorrection, mask: int) -> int:
    """Return the 15 masked bits of format information (annex C, table C.1)."""
    return consts.FORMAT_INFO[level_code(level) * 8 + mask]


def version_information(version: int) -> int:
    """Return the 18 bits of version information of a version from 7 (annex D, table D.1)."""
    return consts.VERSION_INFO[version - 7]


def alphanumeric_characters() -> bytes:
    """Return the 45 characters of the alphanumeric mode in the order of their values (table 5)."""
    return consts.ALPHANUMERIC_CHARS


@cache
def galois_tables() -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Return powers and logarithms in the field of 256 elements modulo 285 (7.5.2).

    Powers are uint8 (510,), so that the sum of two logarithms needs no reduction. Logarithms are
    intp (256,); entry 0 is undefined.
    """
    powers = np.array(list(consts.GALIOS_EXP)[:255] * 2, np.uint8)
    logarithms = np.zeros(256, np.intp)
    logarithms[powers[:255]] = np.arange(255)
    return powers, logarithms


def generator_logarithms(degree: int) -> NDArray[np.intp]:
    """Return the logarithms of a generator polynomial's coefficients (annex A, table A.1).

    intp (degree,), highest power first, without the leading coefficient, which is 1.
    """
    return np.array(list(consts.GEN_POLY[degree]), np.intp)
