import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.image import ErrorCorrection
from render.qr import symbol_choice
from render.qr.segment_search import search
from render.qr.segments import segment
from render.qr.symbol_choice import MAX_CHARACTERS, choose_symbols
from render.qr.versions import ALPHANUMERIC, BYTE, LEVELS, NUMERIC, count_indicator_bits
from tests.unit.render import samples
from tests.unit.render.oracles import (
    Segment,
    qrcodegen_level,
    qrcodegen_symbol,
    segments_of,
    zint_version,
    zxing_version,
)


def _bits(parts: list[Segment], range_number: int) -> int:
    """Return the bits of segments, counted as clause 7.4 tells it."""
    header = [4 + bits for bits in count_indicator_bits(range_number)]
    total = 0
    for mode, text in parts:
        count = len(text)
        if mode == NUMERIC:
            bits = count // 3 * 10 + (0, 4, 7)[count % 3]
        elif mode == ALPHANUMERIC:
            bits = count // 2 * 11 + count % 2 * 6
        else:
            bits = count * 8
        total += header[mode] + bits
    return total


@given(text=st.text("07AZ-az", min_size=1, max_size=7).map(str.encode), ranges=st.integers(0, 2))
def test_no_other_segments_take_fewer_bits(text: bytes, ranges: int) -> None:
    shapes = symbol_choice.find_shapes([text])
    found = search(shapes.distinct, ranges)
    every_way = (
        _bits(segments_of(text, np.array(modes)), ranges)
        for modes in product((NUMERIC, ALPHANUMERIC, BYTE), repeat=len(text))
        if all(mode >= widest for mode, widest in zip(modes, shapes.distinct[0], strict=True))
    )
    best = min(every_way)
    assert found.bits().tolist() == [best]
    whole = _bits([(max(shapes.distinct[0]), text)], ranges)
    assert found.bits_of_one_segment().tolist() == [whole]
    cut = segments_of(text, found.modes(np.array([0]))[0])
    assert _bits(cut, ranges) == best


@given(texts=st.lists(samples.texts, min_size=1, max_size=6), level=samples.levels)
def test_version_and_level_are_what_qrcodegen_needs_for_the_same_segments(
    texts: list[bytes], level: ErrorCorrection
) -> None:
    found = segment(texts, level)
    for n, text in enumerate(texts):
        parts = segments_of(text, found.modes[n])
        symbol = qrcodegen_symbol(parts, level, mask=0)
        assert found.versions[n] == symbol.get_version()
        assert LEVELS[found.levels[n]] == qrcodegen_level(symbol)


@given(texts=st.lists(samples.texts, min_size=1, max_size=6), level=samples.levels)
def test_the_chosen_symbols_are_those_of_the_segmentation(
    texts: list[bytes], level: ErrorCorrection
) -> None:
    cut = segment(texts, level)
    chosen = [cut.versions.tolist(), cut.levels.tolist()]
    assert [each.tolist() for each in choose_symbols(texts, level)] == chosen


@given(texts=st.lists(samples.texts, min_size=2, max_size=8), level=samples.levels)
def test_a_text_is_cut_alike_alone_and_among_others(
    texts: list[bytes], level: ErrorCorrection
) -> None:
    together = segment(texts, level)
    for n, text in enumerate(texts):
        alone = segment([text], level)
        assert alone.versions[0] == together.versions[n]
        assert alone.levels[0] == together.levels[n]
        assert alone.modes[0].tolist() == together.modes[n, : len(text)].tolist()


def test_one_segment_is_kept_where_more_would_save_only_padding() -> None:
    text = b"https://id.gs1.org/01/09506000134352/10/ab"
    found = segment([text], "M")
    assert segments_of(text, found.modes[0]) == [(BYTE, text)]


def test_segments_are_mixed_where_that_saves_a_version() -> None:
    text = b"https://id.gs1.org/01/09506000134352/10/ABC123/21/1234567890?17=271231"
    found = segment([text], "M")
    assert found.versions[0] == 4
    assert qrcodegen_symbol([(BYTE, text)], "M").get_version() == 5
    assert segments_of(text, found.modes[0]) == [
        (BYTE, b"https://id.gs1.org/01/"),
        (NUMERIC, b"09506000134352"),
        (ALPHANUMERIC, b"/10/ABC123/21/"),
        (NUMERIC, b"1234567890"),
        (BYTE, b"?17="),
        (NUMERIC, b"271231"),
    ]


@pytest.mark.parametrize(
    "count", [200, pytest.param(5000, marks=[pytest.mark.thorough, pytest.mark.timeout(1800)])]
)
@pytest.mark.parametrize("kind", ["realistic", "hostile"])
def test_versions_are_never_larger_than_those_of_zint_and_zxing(count: int, kind: str) -> None:
    rnd = random.Random(f"{kind} {count}")
    larger_by_library = {"zint": 0, "zxing-cpp": 0}
    for level in LEVELS:
        texts = [
            samples.realistic_uri(rnd) if kind == "realistic" else samples.hostile_text(rnd, 400)
            for _ in range(count // len(LEVELS))
        ]
        versions, _ = choose_symbols([text.encode() for text in texts], level)
        for text, version in zip(texts, versions.tolist(), strict=True):
            theirs = {
                "zint": zint_version(text, level),
                "zxing-cpp": zxing_version(text, level),
            }
            for library, their_version in theirs.items():
                assert version <= their_version, (library, level, text)
                larger_by_library[library] += their_version > version
    print(f"{count} {kind} texts; larger symbols by library: {larger_by_library}")  # noqa: T201


@pytest.mark.parametrize(
    ("character", "level", "most"),
    [
        (b"7", "L", 7089),
        (b"7", "H", 3057),
        (b"A", "M", 3391),
        (b"a", "L", 2953),
        (b"a", "M", 2331),
        (b"a", "Q", 1663),
    ],
)
def test_version_40_holds_what_table_7_says_and_not_one_character_more(
    character: bytes, level: ErrorCorrection, most: int
) -> None:
    assert choose_symbols([character * most], level)[0].tolist() == [40]
    with pytest.raises(ValueError, match=f"{most + 1} characters"):
        choose_symbols([b"a", character * (most + 1), b"b"], level)


def test_what_no_symbol_holds_is_refused_before_it_is_searched() -> None:
    with pytest.raises(ValueError, match=f"{MAX_CHARACTERS + 1} characters"):
        segment([b"a", b"0" * (MAX_CHARACTERS + 1)], "L")


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        segment([b"a", b""], "L")
