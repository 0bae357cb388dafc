"""Penalty scores of masked symbols, on packed lines.

Source: ISO/IEC 18004:2015, 7.8.3.1 and table 11. Comparing neighbours turns a run of equal modules
into a run of ones, and the conjunction of shifted words finds runs of a minimum length. Everything
around the symbol is light (6.3.8, the quiet zone).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from render.lines import Words, first_modules, shift_back, shift_on

# Table 11: the points N2 to N4. N1, 3 points, follows from the way in which runs are counted.
_BLOCK_POINTS = 3
_FINDER_POINTS = 40
_BALANCE_POINTS = 10


class Penalty:
    """Penalty scores of symbols with one side length.

    An instance belongs to one thread. It keeps its working arrays, so that scoring the eight masks
    of a batch allocates them only once.
    """

    def __init__(self, lines: Words) -> None:
        """Allocate working arrays for ``lines``: uint64 (words, 2 * side, n)."""
        self._side = lines.shape[1] // 2
        self._pairs = first_modules(self._side, self._side - 1)
        self._differ, self._equal, self._three, self._later, self._found, self._shifted = (
            np.empty_like(lines) for _ in range(6)
        )
        self._count = np.empty(lines.shape, np.uint8)

    def scores(self, lines: Words) -> NDArray[np.int32]:
        """Return the sum of all points of each symbol: int32 (n,)."""
        self._compare_neighbours(lines)
        return self._runs() + self._blocks(lines) + self._finders(lines) + self._balance(lines)

    def _compare_neighbours(self, lines: Words) -> None:
        """Find modules that differ from the next one, and places where three equal ones begin."""
        shift_back(lines, 1, out=self._differ)
        self._differ ^= lines
        self._differ &= self._pairs
        np.bitwise_xor(self._differ, self._pairs, out=self._equal)
        shift_back(self._equal, 1, out=self._three)
        self._three &= self._equal
        shift_back(self._three, 2, out=self._later)

    def _runs(self) -> NDArray[np.int32]:
        """Return N1: 3 points for 5 equal modules in a line, and 1 point for each further module.

        A run of 5 + i modules scores 3 + i points. Five equal modules begin at 1 + i consecutive
        places of the run. Each of these places counts 1 point, and so do the two ends of their
        sequence.
        """
        five = np.bitwise_and(self._three, self._later, out=self._found)
        places = self._sum(five)
        shift_on(five, 1, out=self._shifted)
        self._shifted ^= five
        ends = self._sum(self._shifted)
        return places + ends

    def _blocks(self, lines: Words) -> NDArray[np.int32]:
        """Return N2: 3 points for each square of 2 x 2 equal modules; squares may overlap."""
        side = self._side
        unequal = np.bitwise_xor(
            lines[:, : side - 1], lines[:, 1:side], out=self._found[:, : side - 1]
        )
        unequal &= self._pairs
        unequal |= self._differ[:, : side - 1]
        unequal |= self._differ[:, 1:side]
        equal: NDArray[np.int32] = (side - 1) ** 2 - self._sum(unequal)
        return _BLOCK_POINTS * equal

    def _finders(self, lines: Words) -> NDArray[np.int32]:
        """Return N3: 40 points for each 1:1:3:1:1 pattern next to four light modules.

        Of patterns that share modules, only the first counts. Two such patterns begin 4 or 6
        modules apart. The four light modules of each are on the outer side of the pair, so no third
        pattern overlaps either of them.
        """
        found = self._finder_patterns(lines)
        dark = self._four_modules_with_a_dark_one(lines)
        before = shift_on(dark, 4, out=self._later)
        after = shift_back(dark, 7, out=self._shifted)
        before &= after
        before &= found
        found ^= before
        overlapping = shift_on(found, 4, out=self._later)
        overlapping |= shift_on(found, 6, out=self._shifted)
        overlapping &= found
        found ^= overlapping
        return _FINDER_POINTS * self._sum(found)

    def _finder_patterns(self, lines: Words) -> Words:
        """Return the places where the sequence 1:1:3:1:1, dark first, begins."""
        borders = shift_back(self._differ, 1, out=self._shifted)
        borders &= self._differ
        found = np.bitwise_and(self._later, lines, out=self._found)
        found &= borders
        found &= shift_back(borders, 4, out=self._later)
        return found

    def _four_modules_with_a_dark_one(self, lines: Words) -> Words:
        """Return the places where the module or one of the next three modules is dark."""
        two = shift_back(lines, 1, out=self._three)
        two |= lines
        four = shift_back(two, 2, out=self._equal)
        four |= two
        return four

    def _balance(self, lines: Words) -> NDArray[np.int32]:
        """Return N4: 10 points per full 5 % of deviation from a share of 50 % dark modules."""
        return _balance_points(self._side)[self._sum(lines[:, : self._side])]

    def _sum(self, lines: Words) -> NDArray[np.int32]:
        """Return the number of ones in the lines of each symbol: int32 (n,)."""
        count = np.bitwise_count(lines, out=self._count[:, : lines.shape[1]])
        total: NDArray[np.int32] = count.sum(axis=(0, 1), dtype=np.int32)
        return total


@cache
def _balance_points(side: int) -> NDArray[np.int32]:
    """Return N4 for each number of dark modules: int32 (side * side + 1,)."""
    modules = side * side
    dark = np.arange(modules + 1)
    # 20 * |dark / modules - 1/2| in integers, rounded down.
    return (_BALANCE_POINTS * (abs(20 * dark - 10 * modules) // modules)).astype(np.int32)
