"""Cutting texts into segments, and choosing the version and error correction level they need.

A segment is a run of characters in one mode (ISO/IEC 18004:2015, 7.4). Digits take 3 1/3 bits in
numeric mode, the 45 characters of table 5 take 5 1/2 in alphanumeric mode, anything takes 8 in
byte mode, and each segment costs a header. The best cut is found by dynamic programming over the
characters, for all texts at once; it depends only on which characters are digits or alphanumeric,
so texts of the same shape are cut once.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.versions import (
    ALPHANUMERIC,
    BYTE,
    COUNT_RANGES,
    LEVELS,
    MODE_INDICATOR_BITS,
    NUMERIC,
    alphanumeric_characters,
    count_indicator_bits,
    data_bits,
)

#: Most characters that any symbol holds: digits in version 40-L (table 7).
MAX_CHARACTERS = 7089
#: Characters that are cut at a time; bounds the memory of the search to about 5 MB.
_BATCH_CHARACTERS = 1 << 17

# Where the encoder stands after a character: its mode, and how many characters an unfinished group
# of it has. The first three are those in which a segment begins, in the order of the modes.
_STATES = 6
_MODE_OF_STATE = np.array([NUMERIC, ALPHANUMERIC, BYTE, NUMERIC, NUMERIC, ALPHANUMERIC], np.uint8)
_STATE_BEFORE = np.array([4, 5, 2, 0, 3, 1])
# Three digits take 4 + 3 + 3 bits, two alphanumeric characters 6 + 5 (7.4.3 and 7.4.4).
_BITS_TO_STATE = (3, 5, 8, 4, 3, 6)
# A cost carries the state it came from in its low bits, so that one minimum finds both, and of
# equal costs always the same one.
_ORIGIN_BITS = 3
_ORIGIN = (1 << _ORIGIN_BITS) - 1
#: Bits that no text needs: the cost of a character that a mode does not have.
_NEVER = 1 << 20


class Segmentation(NamedTuple):
    """How each of n texts is encoded.

    Attributes:
        versions: uint8 (n,), the least version that holds the text at the level asked for.
        levels: uint8 (n,), the highest level with which that version holds it, as a place in
            :data:`render.versions.LEVELS`.
        modes: uint8 (n, longest text), the mode of each character; undefined behind the text's
            end. Where one segment fits the version and level, there is one, although more might
            save bits that only padding would take.
    """

    versions: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    modes: NDArray[np.uint8]


class _Shapes(NamedTuple):
    """Distinct shapes of a chunk: each a text with every character replaced by its class.

    The class of a character is the narrowest mode that has it.
    """

    distinct: list[bytes]
    of_text: NDArray[np.intp]


def segment(texts: Sequence[bytes], level: ErrorCorrection) -> Segmentation:
    """Return the segmentation of ``texts`` for the least version at ``level``.

    Raises:
        ValueError: a text is empty or too long for version 40.
    """
    shapes = _shapes(texts)
    longest = max(map(len, texts), default=0)
    versions = np.empty(len(shapes.distinct), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(versions), longest), np.uint8)
    for chosen, batch in _batches(shapes.distinct):
        cut = _cut(batch, LEVELS.index(level))
        versions[chosen], levels[chosen] = cut.versions, cut.levels
        modes[chosen, : cut.modes.shape[1]] = cut.modes
    return Segmentation(versions[shapes.of_text], levels[shapes.of_text], modes[shapes.of_text])


def least_versions(texts: Sequence[bytes], level: ErrorCorrection) -> NDArray[np.uint8]:
    """Return the least version that holds each text at ``level``: uint8 (n,).

    Raises:
        ValueError: a text is empty or too long for version 40.
    """
    shapes = _shapes(texts)
    versions = np.empty(len(shapes.distinct), np.uint8)
    for chosen, batch in _batches(shapes.distinct):
        for held in _searches(batch, LEVELS.index(level)):
            versions[chosen[held.places]] = held.versions
    return versions[shapes.of_text]


@cache
def _classes() -> bytes:
    """Return a translation of each byte value to its class."""
    classes = bytearray([BYTE]) * 256
    for character in alphanumeric_characters():
        classes[character] = NUMERIC if chr(character).isdigit() else ALPHANUMERIC
    return bytes(classes)


def _shapes(texts: Sequence[bytes]) -> _Shapes:
    for text in texts:
        if not text:
            raise ValueError("an empty URI has no symbol")
        if len(text) > MAX_CHARACTERS:
            raise _too_long(len(text))
    classes = _classes()
    numbers: dict[bytes, int] = {}
    of_text = [numbers.setdefault(text.translate(classes), len(numbers)) for text in texts]
    return _Shapes(list(numbers), np.array(of_text, np.intp))


def _too_long(length: int) -> ValueError:
    """Return the error for a text that no symbol holds."""
    return ValueError(f"a URI of {length} characters does not fit a QR code symbol of version 40")


def _batches(shapes: list[bytes]) -> Iterator[tuple[NDArray[np.intp], list[bytes]]]:
    """Yield shapes of like length together, with their places."""
    places = np.argsort([len(shape) for shape in shapes], kind="stable")
    while len(places):
        fitting = max(1, _BATCH_CHARACTERS // len(shapes[places[-1]]))
        chosen, places = places[-fitting:], places[:-fitting]
        yield chosen, [shapes[place] for place in chosen]


def _cut(shapes: list[bytes], level: int) -> Segmentation:
    """Return the segmentation of one batch of shapes, at a level counted as in ``LEVELS``."""
    versions = np.empty(len(shapes), np.uint8)
    levels = np.empty_like(versions)
    modes = np.empty((len(shapes), max(map(len, shapes))), np.uint8)
    for held in _searches(shapes, level):
        # Every higher level holds less, so the number that still fit is the highest that does.
        capacity = data_bits()[held.versions]
        highest = (capacity >= held.bits[:, None]).sum(axis=1) - 1
        versions[held.places], levels[held.places] = held.versions, highest
        whole = held.search.bits_of_one_segment()[held.columns]
        modes[held.places] = held.search.widest[held.columns, None]
        mixed = np.flatnonzero(whole > capacity[np.arange(len(highest)), highest])
        if len(mixed):
            cut = held.search.modes(held.columns[mixed])
            modes[held.places[mixed], : cut.shape[1]] = cut
    return Segmentation(versions, levels, modes)


class _Search(NamedTuple):
    """The cheapest segments of m shapes, with headers of one range of versions.

    Attributes:
        range_number: which range, as a place in :data:`render.versions.COUNT_RANGES`.
        lengths: intp (m,), number of characters.
        widest: uint8 (m,), the mode that has all characters.
        best: int32 (longest, m), the least cost up to each character, and as its origin the state
            after that character.
        costs: int32 (longest, 6, m), the least cost of being in each state when the next
            character comes. Its origin is the state after the character before: another one where
            a new segment begins.
    """

    range_number: int
    lengths: NDArray[np.intp]
    widest: NDArray[np.uint8]
    best: NDArray[np.int32]
    costs: NDArray[np.int32]

    def bits(self) -> NDArray[np.int32]:
        """Return the bits of the cheapest segments: int32 (m,)."""
        return self.best[self.lengths - 1, np.arange(len(self.lengths))] >> _ORIGIN_BITS

    def bits_of_one_segment(self) -> NDArray[np.int32]:
        """Return the bits of each shape as one segment, header included: int32 (m,)."""
        lengths = self.lengths
        by_mode = np.array([(10 * lengths + 2) // 3, (11 * lengths + 1) // 2, 8 * lengths])
        by_mode += _header_bits(self.range_number)
        return by_mode[self.widest, np.arange(len(lengths))].astype(np.int32)

    def modes(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the mode of each character of some shapes: uint8 (columns, longest).

        Walks back from the last character of each shape along the origins.
        """
        lengths = self.lengths[columns]
        ends = self.best[:, columns] & _ORIGIN
        states = np.zeros((lengths.max(), len(columns)), np.intp)
        offset_before = _STATE_BEFORE * len(self.lengths)
        state = np.zeros(len(columns), np.intp)
        for place in range(len(states) - 1, -1, -1):
            state = np.where(lengths == place + 1, ends[place], state)
            states[place] = state
            origins = self.costs[place - 1].reshape(-1)
            state = origins.take(offset_before.take(state) + columns) & _ORIGIN
        return _MODE_OF_STATE[states.T]


class _Held(NamedTuple):
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
    search: _Search


def _searches(shapes: list[bytes], level: int) -> Iterator[_Held]:
    """Yield the cheapest segments of shapes, range after range of versions.

    Wider count indicators make a text longer, so a text is in the first range that holds it.
    """
    left = np.arange(len(shapes))
    for range_number, (first, last) in enumerate(COUNT_RANGES):
        search = _search([shapes[place] for place in left], range_number)
        bits = search.bits()
        versions = first + np.searchsorted(data_bits()[first : last + 1, level], bits)
        held = np.flatnonzero(versions <= last)
        yield _Held(left[held], held, versions[held], bits[held], search)
        left = left[versions > last]
        if not len(left):
            return
    raise _too_long(max(len(shapes[place]) for place in left))


def _search(shapes: list[bytes], range_number: int) -> _Search:
    """Find the cheapest segments of each shape by dynamic programming over its characters."""
    lengths = np.fromiter(map(len, shapes), np.intp, len(shapes))
    classes = _class_matrix(shapes, lengths.max())
    heads = _header_bits(range_number) << _ORIGIN_BITS
    best = np.empty(classes.shape, np.int32)
    costs = np.empty((len(classes), _STATES, len(shapes)), np.int32)
    for state, cost_of_class in enumerate(_cost_of_state()):
        costs[:, state] = cost_of_class.take(classes)
    before = np.full(costs.shape[1:], _NEVER << _ORIGIN_BITS, np.int32)
    before[: len(heads)] = heads
    moved = np.empty_like(before)
    begun = np.empty((len(heads), len(shapes)), np.int32)
    for cost, least in zip(costs, best, strict=True):
        before.take(_STATE_BEFORE, axis=0, out=moved, mode="clip")
        np.add(cost, moved, out=cost)
        np.minimum.reduce(cost, axis=0, out=least)
        np.add(least, heads, out=begun)
        beginning = cost[: len(heads)]
        np.minimum(beginning, begun, out=beginning)
        np.bitwise_and(cost, ~_ORIGIN, out=before)
    return _Search(range_number, lengths, classes.max(axis=0), best, costs)


def _header_bits(range_number: int) -> NDArray[np.int32]:
    """Return the bits of a segment's header by mode: int32 (3, 1)."""
    counts = np.array([count_indicator_bits(range_number)], np.int32)
    return counts.T + np.int32(MODE_INDICATOR_BITS)


def _class_matrix(shapes: list[bytes], longest: int) -> NDArray[np.uint8]:
    """Return the class of each character: uint8 (longest, shapes), zero behind a shape's end."""
    joined = b"".join([shape.ljust(longest, b"\0") for shape in shapes])
    return np.ascontiguousarray(np.frombuffer(joined, np.uint8).reshape(-1, longest).T)


@cache
def _cost_of_state() -> NDArray[np.int32]:
    """Return the cost of a character by the state after it and its class: int32 (6, 3)."""
    unavailable = _MODE_OF_STATE[:, None] < np.arange(3)
    bits = np.where(unavailable, _NEVER, np.array([_BITS_TO_STATE]).T)
    return (bits << _ORIGIN_BITS | np.arange(_STATES)[:, None]).astype(np.int32)
