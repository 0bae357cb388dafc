from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from qrcodegen import QrCode

from render.image import ErrorCorrection
from render.qr.error_correction import add_error_correction
from render.qr.versions import LEVELS, Blocks, blocks, galois_tables
from tests.unit.render import samples


def _separate(codewords: list[int], layout: Blocks) -> list[list[int]]:
    """Return the blocks that an interleaved sequence of codewords is made of (7.6)."""
    columns: list[list[int]] = [[] for _ in layout.data]
    left = iter(codewords)
    for place in range(max(layout.data)):
        for block, length in zip(columns, layout.data, strict=True):
            if place < length:
                block.append(next(left))
    for _ in range(layout.correction):
        for block in columns:
            block.append(next(left))
    assert next(left, None) is None
    return columns


@cache
def _products() -> NDArray[np.uint8]:
    """Return all products in the field of 256 elements, by qrcodegen: uint8 (256, 256)."""
    multiply = QrCode._reed_solomon_multiply
    return np.array([[multiply(x, y) for y in range(256)] for x in range(256)], np.uint8)


def _values_at(polynomial: list[int], points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a polynomial's values in the field of 256 elements (Horner's rule)."""
    values = np.zeros(len(points), np.uint8)
    for coefficient in polynomial:
        values = _products()[values, points] ^ np.uint8(coefficient)
    return values


@given(
    version=st.integers(1, 40),
    level=samples.levels,
    count=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_block_is_divisible_by_the_generator_polynomial(
    version: int, level: ErrorCorrection, count: int, seed: int
) -> None:
    layout = blocks(version, level)
    data = np.random.default_rng(seed).integers(0, 256, (sum(layout.data), count), np.uint8)
    final = add_error_correction(data, version, level)
    powers, _ = galois_tables()
    for symbol in range(count):
        separate = _separate(final[:, symbol].tolist(), layout)
        together = [
            byte
            for block, length in zip(separate, layout.data, strict=True)
            for byte in block[:length]
        ]
        assert together == data[:, symbol].tolist()
        for block in separate:
            assert not _values_at(block, powers[: layout.correction]).any()


def test_the_example_of_annex_i() -> None:
    data = [0x10, 0x20, 0x0C, 0x56, 0x61, 0x80] + [0xEC, 0x11] * 5
    final = add_error_correction(np.array([data], np.uint8).T, 1, "M")[:, 0].tolist()
    assert final[:16] == data
    assert final[16:] == [0xA5, 0x24, 0xD4, 0xC1, 0xED, 0x36, 0xC7, 0x87, 0x2C, 0x55]


@pytest.mark.parametrize("version", range(1, 41))
@pytest.mark.parametrize("level", LEVELS)
def test_the_final_sequence_agrees_with_qrcodegen(version: int, level: ErrorCorrection) -> None:
    ecc = (QrCode.Ecc.LOW, QrCode.Ecc.MEDIUM, QrCode.Ecc.QUARTILE, QrCode.Ecc.HIGH)
    data = bytes(n * 7 % 251 for n in range(sum(blocks(version, level).data)))
    symbol = QrCode.__new__(QrCode)
    symbol._version, symbol._errcorlvl = version, ecc[LEVELS.index(level)]
    final = add_error_correction(np.frombuffer(data, np.uint8)[:, None], version, level)
    assert final[:, 0].tolist() == list(symbol._add_ecc_and_interleave(bytearray(data)))
