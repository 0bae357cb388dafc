import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.image import MAX_VERSION, ErrorCorrection
from render.qr.codewords import data_codewords
from render.qr.segments import segment
from render.qr.versions import (
    ALPHANUMERIC,
    BYTE,
    LEVELS,
    NUMERIC,
    alphanumeric_characters,
    count_indicator_bits,
    count_range,
    data_bits,
)
from tests.unit.render import samples
from tests.unit.render.oracles import Segment, segments_of


def _bit_string(parts: list[Segment], version: int) -> str:
    """Return the bits of segments as clauses 7.4.3 to 7.4.5 tell it, one group after the other."""
    bits = ""
    for mode, text in parts:
        bits += ("0001", "0010", "0100")[mode]
        bits += f"{len(text):0{count_indicator_bits(count_range(version))[mode]}b}"
        if mode == NUMERIC:
            for n in range(0, len(text), 3):
                group = text[n : n + 3]
                bits += f"{int(group):0{1 + 3 * len(group)}b}"
        elif mode == ALPHANUMERIC:
            values = [alphanumeric_characters().index(character) for character in text]
            for n in range(0, len(values) - 1, 2):
                bits += f"{values[n] * 45 + values[n + 1]:011b}"
            if len(values) % 2:
                bits += f"{values[-1]:06b}"
        else:
            bits += "".join(f"{byte:08b}" for byte in text)
    return bits


def _padded(bits: str, capacity: int) -> str:
    """Return terminator and pad codewords behind ``bits`` (7.4.9 and 7.4.10)."""
    bits += "0" * min(4, capacity - len(bits))
    bits += "0" * (-len(bits) % 8)
    pads = ("11101100", "00010001")
    missing = (capacity - len(bits)) // 8
    return bits + "".join(pads[n % 2] for n in range(missing))


def _codewords(bits: str) -> list[int]:
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


@given(
    texts=st.lists(samples.texts, min_size=1, max_size=6),
    level=samples.levels,
    spare=st.integers(0, 30),
)
def test_codewords_are_those_of_the_bit_stream(
    texts: list[bytes], level: ErrorCorrection, spare: int
) -> None:
    found = segment(texts, level)
    version = min(int(found.versions.max()) + spare, MAX_VERSION)
    capacity = int(data_bits()[version, LEVELS.index(level)])
    codewords = data_codewords(texts, found.modes, version, level)
    assert codewords.shape == (capacity // 8, len(texts))
    for n, text in enumerate(texts):
        bits = _bit_string(segments_of(text, found.modes[n]), version)
        assert codewords[:, n].tolist() == _codewords(_padded(bits, capacity))


def test_the_example_of_annex_i() -> None:
    modes = np.full((1, 8), NUMERIC, np.uint8)
    codewords = data_codewords([b"01234567"], modes, 1, "M")[:, 0]
    assert codewords.tolist() == [0x10, 0x20, 0x0C, 0x56, 0x61, 0x80] + [0xEC, 0x11] * 5


@pytest.mark.parametrize("length", range(1, 15))
def test_padding_begins_right_behind_the_terminator(length: int) -> None:
    # 4 + 8 bits of header and 4 of terminator: in byte mode the data end between two codewords,
    # and no codeword of zeros comes before the first pad codeword.
    text = b"x" * length
    codewords = data_codewords([text], np.full((1, length), BYTE, np.uint8), 1, "M")[:, 0].tolist()
    assert codewords[1 + length] == (ord("x") & 0xF) << 4
    assert codewords[2 + length :] == ([0xEC, 0x11] * 7)[: 14 - length]


def test_the_terminator_is_cut_short_where_the_symbol_is_full() -> None:
    # Version 1-H has 72 bits: 4 + 10 of header and 17 digits in 57 leave one for the terminator.
    text = b"9" * 17
    codewords = data_codewords([text], np.full((1, 17), NUMERIC, np.uint8), 1, "H")[:, 0]
    bits = f"{int.from_bytes(codewords.tobytes()):072b}"
    assert bits == "0001" + f"{17:010b}" + f"{999:010b}" * 5 + f"{99:07b}" + "0"
