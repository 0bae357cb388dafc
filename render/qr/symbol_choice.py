"""The choice of symbols: the least version that holds a text, and the highest level that fits it.

Texts of the same shape need the same symbol, so each shape is looked at once; texts of like length
are looked at together (ISO/IEC 18004:2015, 7.3.2 and table 7).
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
    data_bits,
)

#: Most characters that any symbol holds: digits in version 40-L (table 7).
MAX_CHARACTERS = 7089
#: Characters that are cut at a time; bounds the memory of the search to about 1 MB.
_BATCH_CHARACTERS = 1 << 15


class Shapes(NamedTuple):
    """Distinct shapes of a chunk: each a text with every character replaced by its class.

    The class of a character is the narrowest mode that has it.
    """

    distinct: list[bytes]
    of_text: NDArray[np.intp]


def choose_symbols(
    texts: Sequence[bytes], level: ErrorCorrection
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the versions and levels of :func:`segment`, without cutting the texts.

    Raises:
        ValueError: a text is empty or too long for version 40.
    """
    shapes = find_shapes(texts)
    versions = np.empty(len(shapes.distinct), np.uint8)
    levels = np.empty_like(versions)
    for chosen, batch in batches(shapes.distinct):
        for held in searches(batch, LEVELS.index(level)):
            versions[chosen[held.places]] = held.versions
            levels[chosen[held.places]] = held.highest_levels()
    return versions[shapes.of_text], levels[shapes.of_text]


@cache
def _classes() -> bytes:
    """Return a translation of each byte value to its class."""
    classes = bytearray([BYTE]) * 256
    for character in alphanumeric_characters():
        classes[character] = NUMERIC if chr(character).isdigit() else ALPHANUMERIC
    return bytes(classes)


def find_shapes(texts: Sequence[bytes]) -> Shapes:
    """Return the distinct shapes of texts.

    Raises:
        ValueError: a text is empty or too long for version 40.
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
    """Return the error for a text that no symbol holds."""
    return ValueError(f"a URI of {length} characters does not fit a QR code symbol of version 40")


def batches(shapes: list[bytes]) -> Iterator[tuple[NDArray[np.intp], list[bytes]]]:
    """Yield shapes of like length together, with their places."""
    places = np.argsort([len(shape) for shape in shapes], kind="stable")
    while len(places):
        fitting = max(1, _BATCH_CHARACTERS // len(shapes[places[-1]]))
        chosen, places = places[-fitting:], places[:-fitting]
        yield chosen, [shapes[place] for place in chosen]


class Held(NamedTuple):
    """Shapes that fit one range of versions.

    Attributes:
        places: intp (n,), where they are in the batch.
        columns: intp (n,), where they are in the search.
        versions: intp (n,), the least version that holds each.
        bits: int32 (n,), the bits that each needs.
        search: how to cut them.
    """

    places: NDArray[np.intp]
    columns: NDArray[np.intp]
    versions: NDArray[np.intp]
    bits: NDArray[np.int32]
    search: Search

    def highest_levels(self) -> NDArray[np.intp]:
        """Return the highest level at which each fits its version: intp (n,)."""
        # Every higher level holds less, so the number that still fit is the highest that does.
        capacity = data_bits()[self.versions]
        highest: NDArray[np.intp] = (capacity >= self.bits[:, None]).sum(axis=1) - 1
        return highest


def searches(shapes: list[bytes], level: int) -> Iterator[Held]:
    """Yield the cheapest segments of shapes, range after range of versions.

    Wider count indicators make a text longer, so a text is in the first range that holds it.
    """
    left = np.arange(len(shapes))
    for range_number, (first, last) in enumerate(COUNT_RANGES):
        found = search([shapes[place] for place in left], range_number)
        bits = found.bits()
        versions = first + np.searchsorted(data_bits()[first : last + 1, level], bits)
        held = np.flatnonzero(versions <= last)
        yield Held(left[held], held, versions[held], bits[held], found)
        left = left[versions > last]
        if not len(left):
            return
    raise _too_long(max(len(shapes[place]) for place in left))
