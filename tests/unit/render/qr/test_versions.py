"""The tables of ISO/IEC 18004, beside those of an encoder that does not share segno's."""

import pytest
from qrcodegen import QrCode

from render.image import ErrorCorrection
from render.qr.versions import (
    LEVELS,
    alignment_centres,
    blocks,
    data_bits,
    galois_tables,
    generator_logarithms,
)

VERSIONS = range(1, 41)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_blocks_and_capacity_agree_with_qrcodegen(version: int, level: ErrorCorrection) -> None:
    ordinal = LEVELS.index(level)
    layout = blocks(version, level)
    assert len(layout.data) == QrCode._NUM_ERROR_CORRECTION_BLOCKS[ordinal][version]
    assert layout.correction == QrCode._ECC_CODEWORDS_PER_BLOCK[ordinal][version]
    assert layout.total == QrCode._get_num_raw_data_modules(version) // 8
    assert sum(layout.data) * 8 == data_bits()[version, ordinal]


def test_capacity_falls_from_level_to_level_and_rises_from_version_to_version() -> None:
    table = data_bits()[1:]
    assert (table[:, :-1] > table[:, 1:]).all()
    assert (table[1:] > table[:-1]).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_alignment_centres_agree_with_qrcodegen(version: int) -> None:
    symbol = QrCode(version, QrCode.Ecc.LOW, bytes(sum(blocks(version, "L").data)), 0)
    assert list(alignment_centres(version)) == sorted(symbol._get_alignment_pattern_positions())


@pytest.mark.parametrize(
    "degree",
    sorted({blocks(version, level).correction for version in VERSIONS for level in LEVELS}),
)
def test_generator_polynomials_agree_with_qrcodegen(degree: int) -> None:
    powers, _ = galois_tables()
    expected = QrCode._reed_solomon_compute_divisor(degree)
    assert powers[generator_logarithms(degree)].tolist() == list(expected)
