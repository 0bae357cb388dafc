"""Choice of symbols: the lowest version for each text, and the highest level that still fits.

Texts of the same shape need the same version and level, so each shape is processed once, together
with shapes of similar length (ISO/IEC 18004:2015, 7.3.2 and table 7).
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.qr.segment_search import Search, search
from render.qr.versions import (
    ALPHANUMERIC,
    BYTE,
    COUNT_RANGES,
    LEVELS,
    NUMERIC,
    alphanumeric_characters,
    count_range,
    data_bits,
)

#: Maximum number of characters in any symbol: digits in version 40-L (table 7).
MAX_CHARACTERS = 7089
#: Number of characters that are segmented at a time; limits the memory of the search to about
#: 1 MB.
_BATCH_CHARACTERS = 1 << 15


class Shapes(NamedTuple):
    """Distinct shapes of n texts. A shape is a text with every character replaced by its class.

    The class of a character is the narrowest mode that can encode it.

    Attributes:
        distinct: each shape once.
        of_text: intp (n,), the index of each text's shape in ``distinct``.
    """

    distinct: list[bytes]
    of_text: NDArray[np.intp]


def choose_symbols(
    texts: Sequence[bytes], level: ErrorCorrection, least_version: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the versions and levels of :func:`segment`, without computing segments.

    Raises:
        ValueError: If a text is empty or too long for version 40.
    """
    shapes = find_shapes(texts)
    versions = np.empty(len(shapes.distinct), np.uint8)
    levels = np.empty_like(versions)
    for chosen, batch in batches(shapes.distinct):
        for held in searches(batch, LEVELS.index(level), least_version):
            versions[chosen[held.places]] = held.versions
            levels[chosen[held.places]] = held.highest_levels()
    return versions[shapes.of_text], levels[shapes.of_text]


@cache
def _classes() -> bytes:
    """Return a table for ``bytes.translate`` that maps each character to its class."""
    classes = bytearray([BYTE]) * 256
    for character in alphanumeric_characters():
        classes[character] = NUMERIC if chr(character).isdigit() else ALPHANUMERIC
    return bytes(classes)


def find_shapes(texts: Sequence[bytes]) -> Shapes:
    """Return the distinct shapes of texts.

    Raises:
        ValueError: If a text is empty or too long for version 40.
    """
    for text in texts:
        if not text:
            raise ValueError("an empty URI has no symbol")
        if len(text) > MAX_CHARACTERS:
            raise _too_long(len(text))
    classes = _classes()
    numbers: dict[bytes, int] = {}
    of_text = [numbers.setdefault(text.translate(classes), len(numbers)) for text in texts]
    return Shapes(list(numbers), np.array(of_text, np.intp))


def _too_long(length: int) -> ValueError:
    """Return the error for a text that is too long for any symbol."""
    return ValueError(f"a URI of {length} characters does not fit a QR code symbol of version 40")


def batches(shapes: list[bytes]) -> Iterator[tuple[NDArray[np.intp], list[bytes]]]:
    """Yield batches of shapes of similar length, with their indexes."""
    places = np.argsort([len(shape) for shape in shapes], kind="stable")
    while len(places):
        fitting = max(1, _BATCH_CHARACTERS // len(shapes[places[-1]]))
        chosen, places = places[-fitting:], places[:-fitting]
        yield chosen, [shapes[place] for place in chosen]


class Held(NamedTuple):
    """Shapes that fit one range of versions.

    Attributes:
        places: intp (n,), index of each shape in the batch.
        columns: intp (n,), index of each shape in the search.
        versions: intp (n,), the lowest allowed version that holds each shape.
        bits: int32 (n,), the number of bits that each shape needs.
        search: the search that found their segments.
    """

    places: NDArray[np.intp]
    columns: NDArray[np.intp]
    versions: NDArray[np.intp]
    bits: NDArray[np.int32]
    search: Search

    def highest_levels(self) -> NDArray[np.intp]:
        """Return the highest level at which each shape fits its version: intp (n,)."""
        # A higher level holds fewer bits, so the number of levels that fit gives the highest one.
        capacity = data_bits()[self.versions]
        highest: NDArray[np.intp] = (capacity >= self.bits[:, None]).sum(axis=1) - 1
        return highest


def searches(shapes: list[bytes], level: int, least_version: int) -> Iterator[Held]:
    """Yield the cheapest segments of shapes, range by range of versions, in ascending order.

    Higher ranges have wider count indicators, which make an encoded text longer, so a text belongs
    to the first range that holds it. Ranges below ``least_version`` are left out.
    """
    left = np.arange(len(shapes))
    for range_number in range(count_range(least_version), len(COUNT_RANGES)):
        first, last = COUNT_RANGES[range_number]
        first = max(first, least_version)
        found = search([shapes[place] for place in left], range_number)
        bits = found.bits()
        versions = first + np.searchsorted(data_bits()[first : last + 1, level], bits)
        held = np.flatnonzero(versions <= last)
        yield Held(left[held], held, versions[held], bits[held], found)
        left = left[versions > last]
        if not len(left):
            return
    raise _too_long(max(len(shapes[place]) for place in left))
