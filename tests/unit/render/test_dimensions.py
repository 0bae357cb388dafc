"""The arithmetic of physical sizes, over every resolution and X-dimension that is allowed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.chunk import render_chunk
from render.dimensions import dimensions, largest_version, points, vector_width
from render.image import MAX_SIDE_PX, MAX_SIZE, MIN_SIZE, ImageFormat, RenderOptions
from tests.unit.render.oracles import png_image

URI = "https://id.gs1.org/01/09506000134352"
INCH = 25.4

versions = st.integers(1, 40)
resolutions = st.integers(72, 2400) | st.sampled_from([72, 96, 203, 300, 600, 1200, 2400])
xdims = st.floats(0.1, 5.0) | st.decimals("0.1", "5", places=3).map(float)
vectors: st.SearchStrategy[ImageFormat] = st.sampled_from(["svg", "pdf", "eps"])


def _png(xdim_mm: float | None, dpi: int | None, size: int = MAX_SIZE) -> RenderOptions:
    return RenderOptions("png", size, xdim_mm=xdim_mm, dpi=dpi)


@given(version=versions, dpi=resolutions, xdim_mm=xdims)
def test_a_module_is_the_nearest_whole_number_of_pixels(
    version: int, dpi: int, xdim_mm: float
) -> None:
    options = _png(xdim_mm, dpi)
    whole = 17 + 4 * version + 8
    if version > largest_version(options):
        with pytest.raises(ValueError, match=f"do not fit {MAX_SIDE_PX} pixels"):
            dimensions(version, options)
        return
    size = dimensions(version, options)
    assert size.module_px is not None
    assert size.width_px is not None
    assert size.width_mm is not None
    assert size.xdim_mm is not None
    dot = INCH / dpi
    assert size.module_px >= 1
    # Within half a dot, unless the X-dimension is less than that.
    assert abs(size.xdim_mm - xdim_mm) <= dot / 2 + 1e-6 or size.module_px == 1
    assert size.width_px == size.module_px * whole <= MAX_SIDE_PX
    assert size.xdim_mm == pytest.approx(size.module_px * dot, abs=1e-6)
    assert size.width_mm == pytest.approx(size.width_px * dot, abs=1e-6)


@given(dpi=resolutions, xdim_mm=xdims)
def test_the_largest_version_is_the_last_that_fits_4000_pixels(dpi: int, xdim_mm: float) -> None:
    module = max(1, round(xdim_mm * dpi / INCH))
    fitting = [version for version in range(1, 41) if module * (25 + 4 * version) <= 4000]
    assert largest_version(_png(xdim_mm, dpi)) == len(fitting)


@given(size=st.integers(MIN_SIZE, MAX_SIZE), dpi=st.none() | resolutions)
def test_the_largest_version_of_a_size_has_a_pixel_per_module(size: int, dpi: int | None) -> None:
    options = _png(None, dpi, size)
    largest = largest_version(options)
    assert dimensions(largest, options).module_px in range(1, size)
    if largest < 40:
        with pytest.raises(ValueError, match=f"do not fit {size} pixels"):
            dimensions(largest + 1, options)


@given(version=st.integers(1, 12), dpi=resolutions, xdim_mm=st.floats(0.1, 1.0))
def test_a_png_has_the_size_and_resolution_that_are_computed(
    version: int, dpi: int, xdim_mm: float
) -> None:
    options = _png(xdim_mm, dpi)._replace(least_version=version)
    if max(version, 3) > largest_version(options):
        return
    [image] = render_chunk([URI], options)
    assert image[3:7] == dimensions(image.version, options)
    with png_image(image.data) as read:
        assert read.size == (image.width_px, image.width_px)
        # pHYs has whole pixels per metre.
        assert read.info["dpi"] == pytest.approx((dpi, dpi), abs=0.0254 / 2)


@given(version=versions, xdim_mm=xdims, image_format=vectors)
def test_vector_images_have_the_exact_x_dimension(
    version: int, xdim_mm: float, image_format: ImageFormat
) -> None:
    options = RenderOptions(image_format, 400, xdim_mm=xdim_mm, outlines=True)
    width = vector_width(version, options)
    assert width == Decimal(str(xdim_mm)) * (25 + 4 * version)
    assert abs(points(width) - width * 72 / Decimal("25.4")) <= Decimal("0.000005")
    size = dimensions(version, options)
    assert size[:2] == (None, None)
    assert size[2:] == pytest.approx((float(width), xdim_mm), abs=1e-6)
    assert largest_version(options) == 40


@given(version=versions, size=st.integers(MIN_SIZE, MAX_SIZE))
def test_without_x_dimension_the_size_is_the_width_in_units(version: int, size: int) -> None:
    in_units = {
        image_format: vector_width(version, RenderOptions(image_format, size, outlines=True))
        for image_format in ("svg", "pdf", "eps")
    }
    assert in_units["svg"] * 96 / Decimal("25.4") == pytest.approx(size)
    assert points(in_units["pdf"]) == points(in_units["eps"]) == size


def test_the_figures_of_the_contract() -> None:
    assert dimensions(4, RenderOptions("svg", 400)) == (None, None, 10.847917, 0.264583)
    vector = RenderOptions("svg", 400, xdim_mm=0.495, outlines=True)
    assert dimensions(4, vector) == (None, None, 20.295, 0.495)
    assert dimensions(4, _png(0.495, 300)) == (6, 246, 20.828, 0.508)
    assert dimensions(4, _png(None, None, 400)) == (9, 400, None, None)
    assert dimensions(4, _png(None, 300, 400)) == (9, 400, 33.866667, 0.762)


def test_a_png_with_an_x_dimension_needs_a_resolution() -> None:
    for function in (lambda options: dimensions(1, options), largest_version):
        with pytest.raises(ValueError, match=r"X-dimension of 0\.5 mm needs a resolution"):
            function(_png(0.5, None))
