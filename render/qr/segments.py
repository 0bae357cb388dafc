"""Segments: the division of a text into runs of characters in one mode.

A segment is a run of characters in one mode (ISO/IEC 18004:2015, 7.4). A digit takes 3 1/3 bits in
numeric mode, one of the 45 characters of table 5 takes 5 1/2 bits in alphanumeric mode, any
character takes 8 bits in byte mode, and each segment has a header. The best division depends only
on which characters are digits or alphanumeric, so it is computed once for all texts of one shape.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.qr.symbol_choice import batches, find_shapes, searches
from render.qr.versions import LEVELS, data_bits


class Segmentation(NamedTuple):
    """Version, level and segments of n texts.

    Attributes:
        versions: uint8 (n,), the lowest allowed version that holds the text at the requested level.
        levels: uint8 (n,), the highest level at which that version holds the text, as an index of
            :data:`render.qr.versions.LEVELS`.
        modes: uint8 (n, longest text), the mode of each character; undefined after a text's end. A
            text that fits as one segment has one segment, although several might save bits,
            because padding would fill the bits saved.
    """

    versions: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    modes: NDArray[np.uint8]


def segment(texts: Sequence[bytes], level: ErrorCorrection, least_version: int = 1) -> Segmentation:
    """Return the segmentation of ``texts`` for the lowest version at ``level``.

    No version is lower than ``least_version``.

    Raises:
        ValueError: If a text is empty or too long for version 40.
    """
    shapes = find_shapes(texts)
    longest = max(map(len, texts), default=0)
    versions = np.empty(len(shapes.distinct), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(versions), longest), np.uint8)
    for chosen, batch in batches(shapes.distinct):
        cut = _cut(batch, LEVELS.index(level), least_version)
        versions[chosen], levels[chosen] = cut.versions, cut.levels
        modes[chosen, : cut.modes.shape[1]] = cut.modes
    return Segmentation(versions[shapes.of_text], levels[shapes.of_text], modes[shapes.of_text])


def _cut(shapes: list[bytes], level: int, least_version: int) -> Segmentation:
    """Return the segmentation of one batch of shapes; ``level`` is an index of ``LEVELS``."""
    versions = np.empty(len(shapes), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(shapes), max(map(len, shapes))), np.uint8)
    for held in searches(shapes, level, least_version):
        highest = held.highest_levels()
        versions[held.places], levels[held.places] = held.versions, highest
        whole = held.search.bits_of_one_segment()[held.columns]
        modes[held.places] = held.search.widest[held.columns, None]
        mixed = np.flatnonzero(whole > data_bits()[held.versions, highest])
        if len(mixed):
            cut = held.search.modes(held.columns[mixed])
            modes[held.places[mixed], : cut.shape[1]] = cut
    return Segmentation(versions, levels, modes)
