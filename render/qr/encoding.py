"""Encoding: from the texts of a chunk to the packed modules of their symbols."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection, symbol_side
from render.lines import Words, rows_of
from render.qr.codewords import data_codewords
from render.qr.error_correction import add_error_correction
from render.qr.masking import choose_masks, finish
from render.qr.placement import place
from render.qr.segments import Segmentation, segment
from render.qr.versions import LEVELS

#: Number of symbols that are encoded together: enough to make the cost of each NumPy call
#: negligible, and few enough to keep the working arrays in the processor's cache.
BATCH = 256


class Symbols(NamedTuple):
    """Encoded symbols of one version and level.

    Attributes:
        places: intp (n,), index of each symbol's text among the encoded texts.
        version: 1 to 40.
        error_correction: level of the symbols, at least the requested one.
        masks: uint8 (n,), the mask pattern of each, 0 to 7.
        rows: uint64 (n, side, words), packed modules: module x of a row is bit x % 64 of word
            x // 64, 1 for dark; no quiet zone.
    """

    places: NDArray[np.intp]
    version: int
    error_correction: ErrorCorrection
    masks: NDArray[np.uint8]
    rows: Words


def encode(
    texts: Sequence[bytes], level: ErrorCorrection, least_version: int = 1
) -> Iterator[Symbols]:
    """Encode ``texts``; yield batches of at most :data:`BATCH` symbols of one version and level.

    Each symbol has the lowest version from ``least_version`` on that holds its text at ``level``,
    and the highest level at which this version holds the text. A symbol depends only on its text,
    ``level`` and ``least_version``, not on the other texts.

    Raises:
        ValueError: If a text is empty or too long for version 40.
    """
    segmentation = segment(texts, level, least_version)
    for version, level_number, alike in _kinds(segmentation):
        for start in range(0, len(alike), BATCH):
            places = alike[start : start + BATCH]
            chosen = [texts[place] for place in places]
            modes = segmentation.modes[places]
            masks, rows = _encode_alike(chosen, modes, version, LEVELS[level_number])
            yield Symbols(places, version, LEVELS[level_number], masks, rows)


def _kinds(segmentation: Segmentation) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    """Yield each version and level that occurs, and the indexes of their texts."""
    kinds = segmentation.versions.astype(np.intp) * len(LEVELS) + segmentation.levels
    for kind in np.unique(kinds).tolist():
        version, level_number = divmod(kind, len(LEVELS))
        yield version, level_number, np.flatnonzero(kinds == kind)


def _encode_alike(
    texts: Sequence[bytes], modes: NDArray[np.uint8], version: int, level: ErrorCorrection
) -> tuple[NDArray[np.uint8], Words]:
    """Return masks and rows of texts that all have one version and level."""
    data = data_codewords(texts, modes, version, level)
    lines = place(add_error_correction(data, version, level), version)
    masks = choose_masks(lines, version)
    rows = finish(lines, masks, version, level)
    return masks, rows_of(rows, symbol_side(version))
