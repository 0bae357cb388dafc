"""Vector images as other programs render them: exact size, black ink only, no gaps, readable."""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from render.chunk import render_chunk
from render.dimensions import points, vector_width
from render.image import QUIET_ZONE, Image, ImageFormat, RenderOptions
from render.qr.versions import LEVELS
from tests.unit.render import renderers, samples
from tests.unit.render.oracles import Matrix, read, rows_matrix
from tests.unit.render.renderers import (
    Pixels,
    needs_chromium,
    needs_ghostscript,
    needs_librsvg,
)

thorough = [pytest.mark.thorough, pytest.mark.timeout(3600)]
counts = pytest.mark.parametrize("count", [40, pytest.param(2000, marks=thorough)])
_CHUNK = 20


def _rendered(
    count: int, image_format: ImageFormat, least_xdim: float
) -> Iterator[tuple[str, Image, float]]:
    """Yield URI, image and X-dimension of ``count`` images, realistic and hostile ones."""
    rnd = random.Random(f"{image_format} {count}")
    for _ in range(count // _CHUNK):
        uris = [
            samples.realistic_uri(rnd) if rnd.random() < 0.8 else samples.hostile_text(rnd, 250)
            for _ in range(_CHUNK)
        ]
        xdim = round(rnd.uniform(least_xdim, 1.0), rnd.randint(1, 4))
        options = RenderOptions(
            image_format,
            400,
            rnd.choice(LEVELS),
            least_version=rnd.choice((1, 1, 7)),
            xdim_mm=xdim,
            outlines=True,
        )
        for uri, image in zip(uris, render_chunk(uris, options), strict=True):
            yield uri, image, xdim


def _unzip(rendered: Iterator[tuple[str, Image, float]]) -> tuple[list[str], list[Image]]:
    uris, images, _ = zip(*rendered, strict=True)
    return list(uris), list(images)


def _check_all_read(uris: Sequence[str], pages: Iterator[Pixels], name: str) -> None:
    read_back = 0
    for uri, pixels in zip(uris, pages, strict=True):
        assert read(pixels) == [uri]
        read_back += 1
    print(f"{read_back} read back from {name}")  # noqa: T201


@counts
@pytest.mark.parametrize("dpi", [300, 600])
@pytest.mark.parametrize("image_format", ["pdf", "eps"])
@needs_ghostscript
def test_ghostscript_renders_every_page_and_each_reads_back(
    image_format: ImageFormat, dpi: int, count: int, tmp_path: Path
) -> None:
    uris, images = _unzip(_rendered(count, image_format, least_xdim=0.3))
    files = [image.data for image in images]
    pages = renderers.ghostscript(files, image_format, tmp_path, dpi)
    _check_all_read(uris, pages, f"{image_format} at {dpi} dpi by Ghostscript")


@counts
@pytest.mark.parametrize("image_format", ["pdf", "eps"])
@needs_ghostscript
def test_ink_is_black_only(image_format: ImageFormat, count: int, tmp_path: Path) -> None:
    _, images = _unzip(_rendered(count, image_format, least_xdim=0.3))
    files = [image.data for image in images]
    coverage = renderers.ink_coverage(files, image_format, tmp_path)
    assert coverage.shape == (count, 4)
    assert not coverage[:, :3].any()
    dark = [np.pad(rows_matrix(image), QUIET_ZONE).mean() for image in images]
    # Ghostscript paints every pixel that an area touches.
    assert (coverage[:, 3] >= np.array(dark) - 0.01).all()
    assert (coverage[:, 3] <= np.array(dark) + 0.2).all()


@counts
@pytest.mark.parametrize("dpi", [300, 600])
def test_pdfium_renders_every_page_and_each_reads_back(dpi: int, count: int) -> None:
    uris, images = _unzip(_rendered(count, "pdf", least_xdim=0.3))
    pages = renderers.pdfium([image.data for image in images], dpi)
    _check_all_read(uris, pages, f"pdf at {dpi} dpi by pdfium")


@counts
def test_resvg_renders_every_svg_and_each_reads_back(count: int) -> None:
    uris, images = _unzip(_rendered(count, "svg", least_xdim=0.1))
    pages = renderers.resvg([image.data for image in images], 331)
    _check_all_read(uris, pages, "svg by resvg")


@counts
@needs_librsvg
def test_librsvg_renders_every_svg_and_each_reads_back(count: int) -> None:
    uris, images = _unzip(_rendered(count, "svg", least_xdim=0.1))
    pages = renderers.librsvg([image.data for image in images], 331)
    _check_all_read(uris, pages, "svg by librsvg")


@counts
@needs_chromium
def test_chromium_renders_every_svg_and_each_reads_back(browser: Browser, count: int) -> None:
    uris, images = _unzip(_rendered(count, "svg", least_xdim=0.1))
    pages = renderers.chromium(browser, [image.data for image in images], 331)
    _check_all_read(uris, pages, "svg by Chromium")


@needs_ghostscript
@pytest.mark.parametrize("image_format", ["pdf", "eps"])
def test_the_page_has_the_exact_size_for_ghostscript(
    image_format: ImageFormat, tmp_path: Path
) -> None:
    dots = 2880
    images = [image for _, image, _ in _rendered(20, image_format, least_xdim=0.3)]
    files = [image.data for image in images]
    pages = renderers.ghostscript(files, image_format, tmp_path, dots)
    for image, pixels in zip(images, pages, strict=True):
        assert image.width_mm is not None
        assert pixels.shape == pytest.approx([image.width_mm * dots / 25.4] * 2, abs=1)


@needs_chromium
def test_the_layout_of_a_browser_has_the_width_in_millimetres(browser: Browser) -> None:
    images = [image for _, image, _ in _rendered(40, "svg", least_xdim=0.1)]
    widths = renderers.layout_widths(browser, [image.data for image in images])
    # Chromium lays out in 1/64 CSS pixels.
    expected = [(image.width_mm or 0) * 96 / 25.4 for image in images]
    assert widths == pytest.approx(expected, abs=1 / 64)


def _check_no_gaps(matrix: Matrix, pixels: Pixels) -> int:
    """Check that pixels inside dark areas are black and those inside light areas are white.

    Grey is allowed up to 1.1 pixels from a border of dark and light, because renderers round the
    size of the whole image to pixels.

    Args:
        matrix: the modules with quiet zone.
        pixels: the rendered image.

    Returns:
        The number of pixels that were checked on borders between two dark modules.
    """
    scale, margin = len(pixels) / len(matrix), 1.1
    place = np.arange(len(pixels))
    first = np.clip(np.floor((place - margin) / scale).astype(int), 0, len(matrix) - 1)
    last = np.clip(np.floor((place + 1 + margin) / scale).astype(int), 0, len(matrix) - 1)
    corners = [matrix[np.ix_(y, x)] for y in (first, last) for x in (first, last)]
    middle = np.clip(((place + 0.5) / scale).astype(int), 0, len(matrix) - 1)
    corners += [matrix[np.ix_(middle, x)] for x in (first, middle, last)]
    corners += [matrix[np.ix_(y, middle)] for y in (first, last)]
    dark, light = np.all(corners, axis=0), ~np.any(corners, axis=0)
    # pdfium shows K at 100 % as the dark grey that it prints as.
    assert pixels[dark].max() == pixels.min() <= 40
    assert pixels[light].min() == 255
    between = (first != last)[:, None] | (first != last)
    return int(np.count_nonzero(dark & between))


def _hairline_samples(image_format: ImageFormat) -> tuple[list[bytes], list[Matrix]]:
    images = [image for _, image, _ in _rendered(20, image_format, least_xdim=0.5)]
    matrices = [np.pad(rows_matrix(image), QUIET_ZONE) for image in images]
    return [image.data for image in images], matrices


@pytest.mark.parametrize("width", [331, 509, 877])
@pytest.mark.parametrize("program", ["resvg", "librsvg", "chromium"])
def test_no_svg_renderer_shows_a_hairline(
    program: str, width: int, request: pytest.FixtureRequest
) -> None:
    svgs, matrices = _hairline_samples("svg")
    if program == "resvg":
        pages = renderers.resvg(svgs, width)
    elif program == "librsvg":
        if not renderers.LIBRSVG:
            pytest.skip("no rsvg-convert; `make debian-packages` installs it")
        pages = renderers.librsvg(svgs, width)
    else:
        if not renderers.CHROMIUM:
            pytest.skip("no chromium; `make debian-packages` installs it")
        pages = renderers.chromium(request.getfixturevalue("browser"), svgs, width)
    between = sum(
        _check_no_gaps(matrix, pixels) for matrix, pixels in zip(matrices, pages, strict=True)
    )
    assert between > 1000


@pytest.mark.parametrize("dpi", [211, 307, 599])
@pytest.mark.parametrize("program", ["pdfium", "pdf", "eps"])
def test_no_page_renderer_shows_a_hairline(program: str, dpi: int, tmp_path: Path) -> None:
    image_format: ImageFormat = "eps" if program == "eps" else "pdf"
    files, matrices = _hairline_samples(image_format)
    if program == "pdfium":
        pages = renderers.pdfium(files, dpi)
    elif renderers.GHOSTSCRIPT:
        # Anti-aliased, which shows gaps that the default hides, as it paints all that it touches.
        smooth = "-dGraphicsAlphaBits=4"
        pages = renderers.ghostscript(files, image_format, tmp_path, dpi, smooth)
    else:
        pytest.skip("no gs; `make debian-packages` installs it")
    between = 0
    for matrix, pixels in zip(matrices, pages, strict=True):
        between += _check_no_gaps(matrix, pixels)
    assert between > 1000


def test_an_explicit_width_is_in_points() -> None:
    options = RenderOptions("pdf", 400)
    assert points(vector_width(4, options)) == Decimal(400)
    [image] = render_chunk(["https://id.gs1.org/01/09506000134352"], options)
    [page] = renderers.pdfium([image.data], 72)
    assert page.shape == (400, 400)
