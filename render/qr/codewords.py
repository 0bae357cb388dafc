"""Encoding of data codewords: segments, fields of bits, bytes, terminator and padding.

Clauses are those of ISO/IEC 18004:2015. Arrays of codewords have the shape (codewords, n) with the
symbols last, so that operations on one codeword of all symbols run along contiguous memory.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.image import ErrorCorrection
from render.qr.versions import (
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

#: Number of characters that share a field of bits, by mode: three digits, two alphanumeric
#: characters, one byte.
_GROUP = np.array([3, 2, 1])
#: Base of the number that the characters of a group form, by mode (7.4.3, 7.4.4).
_RADIX = np.array([10, 45, 1], np.uint64)
#: Width in bits of a group's field, by mode and number of characters (7.4.3, 7.4.4, 7.4.5).
_WIDTH = np.array([[0, 4, 7, 10], [0, 6, 11, 0], [0, 8, 0, 0]])
#: A field of at most 30 bits (20 of a header, 10 of three digits) spans at most five bytes.
_BYTES_OF_FIELD = 5


class _Segments(NamedTuple):
    """Segments of all symbols, symbol by symbol.

    Attributes:
        starts: intp (segments,), index of the first character in the texts of all symbols.
        lengths: intp (segments,), number of characters.
        modes: uint8 (segments,), mode of each segment.
    """

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    modes: NDArray[np.uint8]


class _Fields(NamedTuple):
    """Fields of bits of all symbols, symbol by symbol. Each field encodes a group of characters.

    The field of a segment's first group includes the segment's header.

    Attributes:
        values: uint64 (fields,), value of each field.
        widths: intp (fields,), width of each field in bits, at most 30.
        symbols: intp (fields,), index of the symbol that each field belongs to.
    """

    values: NDArray[np.uint64]
    widths: NDArray[np.intp]
    symbols: NDArray[np.intp]


def data_codewords(
    texts: Sequence[bytes], modes: NDArray[np.uint8], version: int, level: ErrorCorrection
) -> NDArray[np.uint8]:
    """Return the data codewords of symbols of one version and level.

    Args:
        texts: n texts that fit the version and level when encoded in ``modes``.
        modes: uint8 (n, longest text or more), the mode of each character.
        version: 1 to 40.
        level: error correction level.

    Returns:
        uint8 (data codewords, n).
    """
    capacity = int(data_bits()[version, LEVELS.index(level)])
    fields = _fields(texts, modes, count_range(version))
    codewords, used = _pack(fields, len(texts), capacity // 8)
    # Zeros fill the last byte (7.4.10). In a full symbol the terminator is shortened (7.4.9): it
    # ends with the last codeword, and no pad codeword follows.
    ended = (used + _TERMINATOR_BITS + 7) // 8
    codewords |= _padding(len(codewords), ended)
    return codewords


def _fields(texts: Sequence[bytes], modes: NDArray[np.uint8], range_number: int) -> _Fields:
    """Return the fields of all segments, in order."""
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    characters = np.frombuffer(b"".join(texts), np.uint8)
    symbols = np.repeat(np.arange(len(texts)), lengths)
    segments = _segments(modes[np.arange(modes.shape[1]) < lengths[:, None]], symbols)
    count = -(-segments.lengths // _GROUP[segments.modes])
    first = np.cumsum(count) - count
    groups = _group_starts(segments, count, first)
    values, widths = _groups(characters, np.repeat(segments.modes, count), groups)
    headers, header_widths = _headers(segments, range_number)
    values[first] |= headers << widths[first].astype(np.uint64)
    widths[first] += header_widths
    return _Fields(values, widths, symbols[groups])


def _segments(modes: NDArray[np.uint8], symbols: NDArray[np.intp]) -> _Segments:
    """Return the segments: runs of characters with the same mode in the same symbol.

    Args:
        modes: uint8 (characters,), mode of each character.
        symbols: intp (characters,), index of the symbol that each character belongs to.
    """
    begins = np.ones(len(modes), np.bool_)
    np.not_equal(modes[1:], modes[:-1], out=begins[1:])
    begins[1:] |= symbols[1:] != symbols[:-1]
    starts = np.flatnonzero(begins)
    return _Segments(starts, np.diff(starts, append=len(modes)), modes[starts])


def _group_starts(
    segments: _Segments, count: NDArray[np.intp], first: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the index of each group's first character: intp (groups,).

    Args:
        segments: the segments.
        count: intp (segments,), number of groups in each segment.
        first: intp (segments,), number of groups before each segment.
    """
    size = _GROUP[segments.modes]
    # The group with number n starts at start + (n - first) * size.
    starts: NDArray[np.intp] = np.arange(count.sum()) * np.repeat(size, count)
    starts += np.repeat(segments.starts - first * size, count)
    return starts


def _headers(segments: _Segments, range_number: int) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Return values and widths of headers: mode indicator and character count (7.4.1)."""
    count_bits = np.array(count_indicator_bits(range_number))[segments.modes]
    values = (np.array(MODE_INDICATORS)[segments.modes] << count_bits) | segments.lengths
    return values.astype(np.uint64), count_bits + MODE_INDICATOR_BITS


def _groups(
    characters: NDArray[np.uint8], modes: NDArray[np.uint8], groups: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Return values and widths of groups of characters.

    Args:
        characters: uint8 (characters,).
        modes: uint8 (groups,), the mode of each group.
        groups: intp (groups,), the index of each group's first character.
    """
    sizes = np.diff(groups, append=len(characters))
    digits = _alphanumeric_values()[characters]
    values = np.where(modes == BYTE, characters[groups], digits[groups]).astype(np.uint64)
    for following in (1, 2):
        longer = np.flatnonzero(sizes > following)
        values[longer] *= _RADIX[modes[longer]]
        values[longer] += digits[groups[longer] + following]
    return values, _WIDTH[modes, sizes]


@cache
def _alphanumeric_values() -> NDArray[np.uint8]:
    """Return the alphanumeric value of each character code: uint8 (256,)."""
    values = np.zeros(256, np.uint8)
    values[list(alphanumeric_characters())] = np.arange(len(alphanumeric_characters()))
    return values


def _pack(fields: _Fields, count: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Return the bytes of each symbol, uint8 (size, count), and the number of bits used."""
    ends = np.cumsum(fields.widths)
    ends_of_symbols = ends[np.searchsorted(fields.symbols, np.arange(count), side="right") - 1]
    used = np.diff(ends_of_symbols, prepend=0)
    starts = ends - fields.widths - (ends_of_symbols - used)[fields.symbols]
    aligned = fields.values << (64 - fields.widths - (starts & 7)).astype(np.uint64)
    by_byte = aligned.astype(">u8").view(np.uint8).reshape(-1, 8).T
    packed = np.zeros((size + _BYTES_OF_FIELD - 1, count), np.uint8)
    places = (starts >> 3) * count + fields.symbols
    for byte in by_byte[:_BYTES_OF_FIELD]:
        np.add.at(packed.reshape(-1), places, byte)  # fields do not overlap, so adding is or-ing
        places += count
    return packed[:size], used


def _padding(size: int, ended: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return zeros, and pad codewords from byte ``ended`` on, per symbol: uint8 (size, symbols)."""
    since = np.arange(size, dtype=np.int16)[:, None] - ended.astype(np.int16)
    pads = np.array(_PAD_CODEWORDS, np.uint8).take(since & 1)
    pads[since < 0] = 0
    return pads
