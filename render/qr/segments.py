"""Segments: how a text is cut into runs of one mode.

A segment is a run of characters in one mode (ISO/IEC 18004:2015, 7.4). Digits take 3 1/3 bits in
numeric mode, the 45 characters of table 5 take 5 1/2 in alphanumeric mode, anything takes 8 in
byte mode, and each segment costs a header. The best cut depends only on which characters are digits
or alphanumeric, so texts of the same shape are cut once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.qr.symbol_choice import batches, find_shapes, searches
from render.qr.versions import (
    LEVELS,
    data_bits,
)


class Segmentation(NamedTuple):
    """How each of n texts is encoded.

    Attributes:
        versions: uint8 (n,), the least version that holds the text at the level asked for.
        levels: uint8 (n,), the highest level with which that version holds it, as a place in
            :data:`render.qr.versions.LEVELS`.
        modes: uint8 (n, longest text), the mode of each character; undefined behind the text's
            end. Where one segment fits the version and level, there is one, although more might
            save bits that only padding would take.
    """

    versions: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    modes: NDArray[np.uint8]


def segment(texts: Sequence[bytes], level: ErrorCorrection) -> Segmentation:
    """Return the segmentation of ``texts`` for the least version at ``level``.

    Raises:
        ValueError: a text is empty or too long for version 40.
    """
    shapes = find_shapes(texts)
    longest = max(map(len, texts), default=0)
    versions = np.empty(len(shapes.distinct), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(versions), longest), np.uint8)
    for chosen, batch in batches(shapes.distinct):
        cut = _cut(batch, LEVELS.index(level))
        versions[chosen], levels[chosen] = cut.versions, cut.levels
        modes[chosen, : cut.modes.shape[1]] = cut.modes
    return Segmentation(versions[shapes.of_text], levels[shapes.of_text], modes[shapes.of_text])


def _cut(shapes: list[bytes], level: int) -> Segmentation:
    """Return the segmentation of one batch of shapes, at a level counted as in ``LEVELS``."""
    versions = np.empty(len(shapes), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(shapes), max(map(len, shapes))), np.uint8)
    for held in searches(shapes, level):
        highest = held.highest_levels()
        versions[held.places], levels[held.places] = held.versions, highest
        whole = held.search.bits_of_one_segment()[held.columns]
        modes[held.places] = held.search.widest[held.columns, None]
        mixed = np.flatnonzero(whole > data_bits()[held.versions, highest])
        if len(mixed):
            cut = held.search.modes(held.columns[mixed])
            modes[held.places[mixed], : cut.shape[1]] = cut
    return Segmentation(versions, levels, modes)
