"""Data codewords: segments to fields of bits, fields to bytes, terminator and padding.

Clauses are those of ISO/IEC 18004:2015. Arrays of codewords have the symbols last, shape
(codewords, n), so that operations on a codeword of all symbols run along contiguous memory.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.versions import (
    BYTE,
    LEVELS,
    MODE_INDICATOR_BITS,
    MODE_INDICATORS,
    alphanumeric_characters,
    count_indicator_bits,
    count_range,
    data_bits,
)

_TERMINATOR_BITS = 4  # 7.4.9
_PAD_CODEWORDS = (0b11101100, 0b00010001)  # 7.4.10, alternately

#: Characters that share a field of bits, by mode: three digits, two alphanumeric, one byte.
_GROUP = np.array([3, 2, 1])
#: Factor of a character in front of another one of its group, by mode (7.4.3, 7.4.4).
_RADIX = np.array([10, 45, 256], np.uint32)
#: Width of a group's field by mode and number of characters (7.4.3, 7.4.4, 7.4.5).
_WIDTH = np.array([[0, 4, 7, 10], [0, 6, 11, 0], [0, 8, 0, 0]])
#: A field of at most 20 bits (a byte segment's header) lies in at most four bytes.
_BYTES_OF_FIELD = 4


class _Fields(NamedTuple):
    """Fields of bits, one symbol's behind the other's.

    Attributes:
        values: uint32 (fields,).
        widths: intp (fields,), in bits, at most 20.
        symbols: intp (fields,), the symbol that each belongs to.
    """

    values: NDArray[np.uint32]
    widths: NDArray[np.intp]
    symbols: NDArray[np.intp]


def data_codewords(
    texts: Sequence[bytes], modes: NDArray[np.uint8], version: int, level: ErrorCorrection
) -> NDArray[np.uint8]:
    """Return the data codewords of symbols of one version and level.

    Args:
        texts: n texts that fit the version and level in these modes.
        modes: uint8 (n, longest text or more), the mode of each character.
        version: 1 to 40.
        level: error correction level.

    Returns:
        uint8 (data codewords, n).
    """
    capacity = int(data_bits()[version, LEVELS.index(level)])
    fields = _fields(texts, modes, count_range(version))
    codewords, used = _pack(fields, len(texts), capacity // 8)
    # 7.4.9: the terminator is cut short where the symbol is full; 7.4.10: zeros up to a byte.
    ended = (np.minimum(used + _TERMINATOR_BITS, capacity) + 7) // 8
    codewords |= _padding(capacity // 8).take(ended, axis=1)
    return codewords


def _fields(texts: Sequence[bytes], modes: NDArray[np.uint8], range_number: int) -> _Fields:
    """Return the headers and the groups of characters of all segments, in order."""
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    characters = np.frombuffer(b"".join(texts), np.uint8)
    modes = modes[np.arange(modes.shape[1]) < lengths[:, None]]
    symbols = np.repeat(np.arange(len(texts)), lengths)
    segments = _segment_starts(modes, symbols)
    groups = _group_starts(modes, segments)
    headers = _headers(modes[segments], np.diff(segments, append=len(modes)), range_number)
    values, widths = _groups(characters, modes, groups)
    # A header stands in front of the first group of its segment.
    places = np.searchsorted(groups, segments)
    return _Fields(
        np.insert(values, places, headers[0]),
        np.insert(widths, places, headers[1]),
        np.insert(symbols[groups], places, symbols[segments]),
    )


def _segment_starts(modes: NDArray[np.uint8], symbols: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first character of each segment: intp (segments,)."""
    starts = np.ones(len(modes), np.bool_)
    np.not_equal(modes[1:], modes[:-1], out=starts[1:])
    starts[1:] |= symbols[1:] != symbols[:-1]
    return np.flatnonzero(starts)


def _group_starts(modes: NDArray[np.uint8], segments: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first character of each group that shares a field: intp (groups,)."""
    lengths = np.diff(segments, append=len(modes))
    place_in_segment = np.arange(len(modes)) - np.repeat(segments, lengths)
    return np.flatnonzero(place_in_segment % _GROUP[modes] == 0)


def _headers(
    modes: NDArray[np.uint8], lengths: NDArray[np.intp], range_number: int
) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return values and widths of mode indicators with character counts (7.4.1)."""
    count_bits = np.array(count_indicator_bits(range_number))[modes]
    values = (np.array(MODE_INDICATORS)[modes] << count_bits) | lengths
    return values.astype(np.uint32), count_bits + MODE_INDICATOR_BITS


def _groups(
    characters: NDArray[np.uint8], modes: NDArray[np.uint8], groups: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return values and widths of the groups that start at the characters ``groups``."""
    digits = np.where(modes == BYTE, characters, _alphanumeric_values()[characters])
    sizes = np.diff(groups, append=len(characters))
    modes = modes[groups]
    values = digits[groups].astype(np.uint32)
    for following in (1, 2):
        longer = np.flatnonzero(sizes > following)
        values[longer] *= _RADIX[modes[longer]]
        values[longer] += digits[groups[longer] + following]
    return values, _WIDTH[modes, sizes]


@cache
def _alphanumeric_values() -> NDArray[np.uint8]:
    """Return the value of each character by its code, uint8 (256,); digits have their own."""
    values = np.zeros(256, np.uint8)
    values[list(alphanumeric_characters())] = np.arange(len(alphanumeric_characters()))
    return values


def _pack(fields: _Fields, count: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Return the bytes of each symbol, uint8 (size, count), and how many bits are used."""
    ends = np.cumsum(fields.widths)
    ends_of_symbols = ends[np.searchsorted(fields.symbols, np.arange(count), side="right") - 1]
    used = np.diff(ends_of_symbols, prepend=0)
    starts = ends - fields.widths - (ends_of_symbols - used)[fields.symbols]
    aligned = fields.values << (8 * _BYTES_OF_FIELD - fields.widths - starts % 8).astype(np.uint32)
    packed = np.zeros((size + _BYTES_OF_FIELD - 1, count), np.uint8)
    places = (starts // 8) * count + fields.symbols
    for byte in aligned.astype(">u4").view(np.uint8).reshape(-1, _BYTES_OF_FIELD).T:
        np.add.at(packed.reshape(-1), places, byte)  # bits of fields never meet: adding is or-ing
        places += count
    return packed[:size], used


@cache
def _padding(size: int) -> NDArray[np.uint8]:
    """Return pad codewords by byte and by the number of bytes used: uint8 (size, size + 1)."""
    since = np.arange(size)[:, None] - np.arange(size + 1)
    return np.where(since < 0, 0, np.array(_PAD_CODEWORDS)[since % 2]).astype(np.uint8)
