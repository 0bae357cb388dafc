import hashlib
import io
import random
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.chunk import choose_versions, render_chunk
from render.image import MAX_SIZE, MEDIA_TYPES, ErrorCorrection, ImageFormat, RenderOptions
from render.qr.versions import LEVELS
from tests.unit.render import samples
from tests.unit.render.oracles import png_pixels, read, rows_matrix, svg_pixels

_CHUNK = 50

uris = st.lists(samples.texts.map(bytes.decode), min_size=1, max_size=6)


def _chunks(count: int, seed: str) -> Iterator[tuple[list[str], ErrorCorrection, random.Random]]:
    """Yield chunks of URIs and levels, realistic and hostile ones, ``count`` URIs together."""
    rnd = random.Random(seed)
    for _ in range(count // _CHUNK):
        yield (
            [
                samples.realistic_uri(rnd) if rnd.random() < 0.6 else samples.hostile_text(rnd, 250)
                for _ in range(_CHUNK)
            ],
            rnd.choice(LEVELS),
            rnd,
        )


thorough = [pytest.mark.thorough, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=thorough)])
def test_every_png_is_read_back(count: int) -> None:
    sizes: Counter[str] = Counter()
    for texts, level, rnd in _chunks(count, "png"):
        least = samples.least_side(texts, level)
        size = rnd.choice((least, rnd.randint(least, 300), rnd.randint(least, MAX_SIZE)))
        images = render_chunk(texts, RenderOptions("png", size, level))
        for text, image in zip(texts, images, strict=True):
            pixels = png_pixels(image.data)
            assert pixels.shape == (size, size)
            assert read(pixels) == [text], (size, image.version)
            assert LEVELS.index(image.error_correction) >= LEVELS.index(level)
            assert image.module_px == size // (17 + 4 * image.version + 8)
            sizes["least size" if image.module_px == 1 else "larger"] += 1
    print(f"{sizes.total()} PNGs read, one pixel a module: {sizes['least size']}")  # noqa: T201


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=thorough)])
def test_every_svg_is_read_back_from_a_raster(count: int) -> None:
    for texts, level, rnd in _chunks(count, "svg"):
        images = render_chunk(texts, RenderOptions("svg", 400, level))
        for text, image in zip(texts, images, strict=True):
            assert image.module_px is None
            assert read(svg_pixels(image.data, rnd.choice((2, 3, 5)))) == [text]


LAYOUTS = [
    RenderOptions("png", 400),
    RenderOptions("png", 400, xdim_mm=0.25, dpi=600),
    RenderOptions("svg", 400),
    RenderOptions("svg", 400, xdim_mm=0.495, outlines=True),
    RenderOptions("svg", 400, outlines=True),
    RenderOptions("pdf", 400, xdim_mm=0.495),
    RenderOptions("eps", 400, xdim_mm=0.495),
]


@given(
    texts=uris,
    level=samples.levels,
    layout=st.sampled_from(LAYOUTS),
    least_version=st.sampled_from([1, 8, 15]),
)
def test_an_image_is_the_same_alone_and_among_others(
    texts: list[str], level: ErrorCorrection, layout: RenderOptions, least_version: int
) -> None:
    options = layout._replace(error_correction=level, least_version=least_version)
    together = render_chunk(texts, options)
    assert together == [render_chunk([text], options)[0] for text in texts]
    assert together == render_chunk(texts[::-1], options)[::-1]


@given(texts=uris, level=samples.levels)
def test_the_least_size_is_the_smallest_that_is_rendered(
    texts: list[str], level: ErrorCorrection
) -> None:
    for text in texts:
        size = samples.least_side([text], level)
        [image] = render_chunk([text], RenderOptions("png", size, level))
        assert image.module_px == 1
        with pytest.raises(ValueError, match=f"do not fit {size - 1} pixels"):
            render_chunk([text], RenderOptions("png", size - 1, level))


@pytest.mark.parametrize("image_format", get_args(ImageFormat))
def test_the_longest_uri_is_rendered_and_a_longer_one_refused(image_format: ImageFormat) -> None:
    options = RenderOptions(image_format, 400)
    assert render_chunk(["x" * 2331], options)[0].version == 40
    with pytest.raises(ValueError, match="2332 characters"):
        render_chunk(["short", "x" * 2332], options)
    with pytest.raises(ValueError, match="2332 characters"):
        choose_versions(["short", "x" * 2332], options)


@given(uris, st.sampled_from(LEVELS), st.integers(1, 40))
def test_the_chosen_versions_and_levels_are_those_of_the_images(
    given_uris: list[str], level: ErrorCorrection, least_version: int
) -> None:
    options = RenderOptions("svg", 400, level, least_version)
    rendered = render_chunk(given_uris, options)
    expected = [(image.version, image.error_correction) for image in rendered]
    assert choose_versions(given_uris, options) == expected


@given(uris, st.sampled_from(LEVELS), st.integers(1, 40))
def test_versions_are_raised_to_the_least_and_no_further(
    given_uris: list[str], level: ErrorCorrection, least_version: int
) -> None:
    needed = choose_versions(given_uris, RenderOptions("svg", 400, level))
    chosen = choose_versions(given_uris, RenderOptions("svg", 400, level, least_version))
    for uri, (before, _), (version, its_level) in zip(given_uris, needed, chosen, strict=True):
        assert version >= max(before, least_version)
        if version > max(before, least_version):
            # Count indicators are wider from versions 10 and 27 on; nothing else needs more room.
            assert any(before < first <= least_version for first in (10, 27))
        if least_version <= before:
            assert (version, its_level) == (before, needed[given_uris.index(uri)][1])


def test_all_symbols_of_a_least_version_have_one_size_and_are_read_back() -> None:
    rnd = random.Random("least version")
    texts = [samples.realistic_uri(rnd) for _ in range(100)]
    images = render_chunk(texts, RenderOptions("png", 400, least_version=9))
    assert {image.version for image in render_chunk(texts, RenderOptions("png", 400))} > {3, 4}
    assert {image.version for image in images} == {9}
    assert [read(png_pixels(image.data)) for image in images] == [[text] for text in texts]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_states_the_modules_that_it_shows(layout: RenderOptions) -> None:
    rnd = random.Random("rows")
    texts = [samples.realistic_uri(rnd) for _ in range(20)]
    plain = render_chunk(texts, RenderOptions("png", MAX_SIZE))
    images = render_chunk(texts, layout)
    for image, expected in zip(images, plain, strict=True):
        assert expected.module_px
        pixels = png_pixels(expected.data)
        margin = (MAX_SIZE - expected.module_px * (17 + 4 * image.version)) // 2
        grid = pixels[margin :: expected.module_px, margin :: expected.module_px] == 0
        side = 17 + 4 * image.version
        np.testing.assert_array_equal(rows_matrix(image), grid[:side, :side])
        assert image.rows == expected.rows


#: SHA-256 of all images of the texts below, as release 0.2.0 writes them with isal 1.9 on x86-64.
RELEASE_0_2_0 = {
    ("png", 400): "949b3633c301e13d54da9993c7f8ec07b469bc825daa8834061adf66e2e11307",
    ("png", 2000): "6332ca976871d612b0eaa89e750e92f1f5c40446705a5066f9d4e9625fb57dbe",
    ("svg", 400): "10237790a1c401db45226a39c433348c5482003ba815ca1dc84cc8b9a4f5458c",
}


@pytest.mark.parametrize(("image_format", "size"), RELEASE_0_2_0)
def test_without_new_options_images_have_the_bytes_of_release_0_2_0(
    image_format: ImageFormat, size: int
) -> None:
    rnd = random.Random("0.2.0")
    texts = [samples.realistic_uri(rnd) for _ in range(200)]
    texts += [samples.text_of_runs(rnd, length) for length in range(1, 2300, 230)]
    digest = hashlib.sha256()
    for image in render_chunk(texts, RenderOptions(image_format, size)):
        digest.update(image.data)
    assert digest.hexdigest() == RELEASE_0_2_0[image_format, size]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_process_makes_the_same_bytes(layout: RenderOptions) -> None:
    texts = [f"https://id.gs1.org/01/09506000134352/21/{n}" for n in range(30)]
    script = (
        "import hashlib, sys; from render.chunk import render_chunk; "
        "from render.image import RenderOptions; "
        f"images = render_chunk({texts!r}, {layout!r}); "
        "print(hashlib.sha256(b''.join(image.data for image in images)).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    images = render_chunk(texts, layout)
    digest = hashlib.sha256(b"".join(image.data for image in images)).hexdigest()
    assert done.stdout.strip() == digest


def test_text_outside_ascii_is_refused() -> None:
    with pytest.raises(ValueError, match="ascii"):
        render_chunk(["https://id.gs1.org/01/٠٩٥"], RenderOptions("svg", 400))


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(get_args(ImageFormat))


def test_no_uri_gives_no_image() -> None:
    assert choose_versions([], RenderOptions("svg", 400)) == []
    assert render_chunk([], RenderOptions("png", 400)) == []


@pytest.mark.parametrize("image_format", get_args(ImageFormat))
def test_data_go_into_files_archives_and_digests(image_format: ImageFormat, tmp_path: Path) -> None:
    [image] = render_chunk(
        ["https://id.gs1.org/01/09506000134352"], RenderOptions(image_format, 99)
    )
    digest = hashlib.sha256(image.data).hexdigest()
    (tmp_path / "image").write_bytes(image.data)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("image", image.data)
    with zipfile.ZipFile(archive) as reader:
        stored = reader.read("image")
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == digest
    assert hashlib.sha256(stored).hexdigest() == digest


def test_importing_the_renderer_builds_no_tables() -> None:
    script = (
        "import gc, functools, render.chunk; "
        "kind = type(functools.cache(len)); "
        "print(sum(f.cache_info().currsize for f in gc.get_objects() "
        "if isinstance(f, kind) and f.__module__.startswith('render.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "0"
