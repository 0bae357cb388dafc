import hashlib
import io
import random
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.chunk import choose_versions, least_sizes, render_chunk
from render.image import MAX_SIZE, ErrorCorrection, ImageFormat, RenderOptions
from render.qr.versions import LEVELS
from tests.unit.render import samples
from tests.unit.render.oracles import png_pixels, read, svg_pixels

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
        least = max(least_sizes(texts, RenderOptions("png", MAX_SIZE, level)))
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


@given(texts=uris, level=samples.levels, image_format=st.sampled_from(["svg", "png"]))
def test_an_image_is_the_same_alone_and_among_others(
    texts: list[str], level: ErrorCorrection, image_format: ImageFormat
) -> None:
    options = RenderOptions(image_format, 400, level)
    together = render_chunk(texts, options)
    assert together == [render_chunk([text], options)[0] for text in texts]
    assert together == render_chunk(texts[::-1], options)[::-1]


@given(texts=uris, level=samples.levels)
def test_the_least_size_is_the_smallest_that_is_rendered(
    texts: list[str], level: ErrorCorrection
) -> None:
    sizes = least_sizes(texts, RenderOptions("png", MAX_SIZE, level))
    for text, size in zip(texts, sizes, strict=True):
        [image] = render_chunk([text], RenderOptions("png", size, level))
        assert image.module_px == 1
        with pytest.raises(ValueError, match=f"do not fit {size - 1} pixels"):
            render_chunk([text], RenderOptions("png", size - 1, level))


@pytest.mark.parametrize("image_format", ["svg", "png"])
def test_the_longest_uri_is_rendered_and_a_longer_one_refused(image_format: ImageFormat) -> None:
    options = RenderOptions(image_format, 400)
    assert render_chunk(["x" * 2331], options)[0].version == 40
    with pytest.raises(ValueError, match="2332 characters"):
        render_chunk(["short", "x" * 2332], options)
    with pytest.raises(ValueError, match="2332 characters"):
        least_sizes(["short", "x" * 2332], options)


@given(uris, st.sampled_from(LEVELS))
def test_the_chosen_versions_and_levels_are_those_of_the_images(
    given_uris: list[str], level: ErrorCorrection
) -> None:
    options = RenderOptions("svg", 400, level)
    rendered = render_chunk(given_uris, options)
    expected = [(image.version, image.error_correction) for image in rendered]
    assert choose_versions(given_uris, options) == expected


def test_text_outside_ascii_is_refused() -> None:
    with pytest.raises(ValueError, match="ascii"):
        render_chunk(["https://id.gs1.org/01/٠٩٥"], RenderOptions("svg", 400))


def test_no_uri_gives_no_image() -> None:
    assert choose_versions([], RenderOptions("svg", 400)) == []
    assert render_chunk([], RenderOptions("png", 400)) == []
    assert least_sizes([], RenderOptions("png", 400)) == []


@pytest.mark.parametrize("image_format", ["svg", "png"])
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
