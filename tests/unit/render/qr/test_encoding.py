import random
import string
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.image import ErrorCorrection
from render.qr.encoding import BATCH, encode
from render.qr.segments import segment
from render.qr.versions import LEVELS, data_bits
from tests.unit.render import samples
from tests.unit.render.oracles import (
    Matrix,
    Segment,
    modules,
    qrcodegen_matrix,
    qrcodegen_symbol,
    segments_of,
    segno_symbol,
)

thorough = [pytest.mark.thorough, pytest.mark.timeout(3600)]


def _encoded(
    texts: list[bytes], level: ErrorCorrection
) -> Iterator[tuple[list[Segment], int, ErrorCorrection, int, Matrix]]:
    """Yield text, segments, version, level, mask and modules of each symbol."""
    found = segment(texts, level)
    for symbols in encode(texts, level):
        assert len(symbols.places) <= BATCH
        for place, mask, matrix in zip(
            symbols.places, symbols.masks, modules(symbols), strict=True
        ):
            parts = segments_of(texts[place], found.modes[place])
            yield parts, symbols.version, symbols.error_correction, int(mask), matrix


def _hostile_texts(count: int, longest: int, seed: int | str) -> list[bytes]:
    rnd = random.Random(seed)
    return [samples.hostile_text(rnd, longest).encode() for _ in range(count)]


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=thorough)])
@pytest.mark.parametrize("level", LEVELS)
def test_symbols_equal_segnos_with_the_standards_padding(
    level: ErrorCorrection, count: int
) -> None:
    # 460 bytes are version 14-L; at the other levels as many bits need fewer characters.
    longest = {"L": 450, "M": 360, "Q": 255, "H": 190}[level]
    versions: Counter[int] = Counter()
    for parts, version, its_level, mask, matrix in _encoded(
        _hostile_texts(count, longest, level), level
    ):
        expected, expected_mask = segno_symbol(parts, version, its_level)
        assert mask == expected_mask, parts
        np.testing.assert_array_equal(matrix, expected, err_msg=str(parts))
        versions[version] += 1
    assert versions.total() == count
    print(f"{count} symbols at least {level}, by version: {sorted(versions.items())}")  # noqa: T201


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=thorough)])
@pytest.mark.parametrize("level", LEVELS)
def test_symbols_equal_qrcodegens_under_the_same_mask(level: ErrorCorrection, count: int) -> None:
    for parts, version, its_level, mask, matrix in _encoded(
        _hostile_texts(count, 220, f"second {level}"), level
    ):
        symbol = qrcodegen_symbol(parts, its_level, version, mask)
        np.testing.assert_array_equal(matrix, qrcodegen_matrix(symbol), err_msg=str(parts))


@pytest.mark.parametrize("version", range(11, 41))
def test_large_versions_equal_segnos(version: int) -> None:
    level = LEVELS[version % len(LEVELS)]
    # Small letters need byte mode: as many as fill the version at this level.
    length = int(data_bits()[version, LEVELS.index(level)]) // 8 - 3
    text = "".join(random.Random(version).choices(string.ascii_lowercase, k=length))
    [(parts, found, its_level, mask, matrix)] = _encoded([text.encode()], level)
    assert (found, its_level) == (version, level)
    expected, expected_mask = segno_symbol(parts, version, level)
    assert mask == expected_mask
    np.testing.assert_array_equal(matrix, expected)


@given(texts=st.lists(samples.texts, min_size=2, max_size=8), level=samples.levels)
def test_a_symbol_is_the_same_alone_and_among_others(
    texts: list[bytes], level: ErrorCorrection
) -> None:
    together = {
        int(place): (symbols.version, symbols.error_correction, matrix.tobytes())
        for symbols in encode(texts, level)
        for place, matrix in zip(symbols.places, modules(symbols), strict=True)
    }
    assert sorted(together) == list(range(len(texts)))
    for place, text in enumerate(texts):
        [alone] = encode([text], level)
        assert together[place] == (
            alone.version,
            alone.error_correction,
            modules(alone)[0].tobytes(),
        )


def test_more_symbols_than_a_batch_are_those_of_smaller_chunks() -> None:
    texts = [b"https://id.gs1.org/01/09506000134352/21/%d" % n for n in range(2 * BATCH + 3)]
    in_one = np.concatenate([symbols.rows for symbols in encode(texts, "M")])
    in_ten = [
        symbols.rows
        for start in range(0, len(texts), 10)
        for symbols in encode(texts[start : start + 10], "M")
    ]
    np.testing.assert_array_equal(in_one, np.concatenate(in_ten))


def test_threads_do_not_disturb_each_other() -> None:
    chunks = [_hostile_texts(40, 300, seed) for seed in range(8)]

    def rows(texts: list[bytes]) -> list[tuple[int, bytes]]:
        return [(symbols.version, symbols.rows.tobytes()) for symbols in encode(texts, "M")]

    expected = [rows(texts) for texts in chunks]
    with ThreadPoolExecutor(len(chunks)) as pool:
        for _ in range(3):
            assert list(pool.map(rows, chunks)) == expected


def test_no_text_gives_no_symbols() -> None:
    assert list(encode([], "M")) == []
