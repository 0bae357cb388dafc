"""The fields for print: what is refused, what is warned of, and what a dry run reports."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import ProblemError, Violations
from api.intake.csv_items import read_csv
from api.intake.dry_run import dry_run
from api.intake.json_items import read_json
from api.resources.symbol import parse_symbol
from api.schemas.problems import Violation
from api.schemas.tasks import DryRun
from pipeline.service import render_options
from render.chunk import render_chunk
from render.gs1.link import digital_link_uri
from render.gs1.x_dimension import MAX_RETAIL_XDIM_MM, MIN_RETAIL_XDIM_MM
from render.image import ErrorCorrection, ImageFormat, RenderOptions
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk, parse_csv

Fields = dict[str, Any]
FORMATS = get_args(ImageFormat)


def body(items: Sequence[dict[str, str]] = ({},), **fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"gtin": GTIN, "items": [*items], **fields}).encode()


def tried(sent: bytes) -> DryRun:
    violations = Violations()
    return dry_run(read_json(sent, LIMITS, violations), LIMITS, violations)


def tried_csv(query: dict[str, str], items: Sequence[dict[str, str]] = ({"lot": "A"},)) -> DryRun:
    violations = Violations()
    rows = "".join(f"{item['lot']},{item.get('serial', '')}\n" for item in items)
    sent = f"lot,serial\n{rows}".encode()
    parsed = read_csv(sent, {"gtin": GTIN, **query}, LIMITS, violations)
    return dry_run(parsed, LIMITS, violations)


def found(errors: list[Violation]) -> dict[str, str]:
    return {each.pointer: each.code for each in errors}


LIMITS_OF: dict[str, tuple[Any, Any, Any, Any]] = {  # too small, least, most, too large
    "version": (0, 1, 40, 41),
    "xdim_mm": (0.0999, 0.1, 5.0, 5.0001),
    "dpi": (71, 72, 2400, 2401),
}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("name", LIMITS_OF)
def test_a_number_has_its_limits_in_every_format_and_form(name: str, image_format: str) -> None:
    small, least, most, large = LIMITS_OF[name]
    for value in (small, large, -least, 10**4000 if name != "xdim_mm" else 1e300):
        fields: Fields = {"format": image_format, name: value}
        (error,) = tried(body(**fields)).errors
        assert (error.pointer, error.code) == (f"/{name}", "range")
        assert error.detail.startswith(f"{value}"[:50])
        assert f"Send {least} to {most}" in error.detail
        assert len(error.detail) < 200
        assert found(tried_csv({"format": image_format, name: f"{value}"}).errors) == found([error])
        single = json.dumps({"gtin": GTIN, **fields}).encode()
        with pytest.raises(ProblemError) as caught:
            parse_symbol(single, LIMITS, Violations())
        assert caught.value.violations
        assert caught.value.violations.listed == [error]
    for value in (least, most):
        fields = {"format": image_format, name: value, "size": 2000}
        if name == "xdim_mm":
            fields["dpi"] = 150
        assert parse_bulk(body(**fields)).items.count == 1
        assert tried_csv({key: str(each) for key, each in fields.items()}).would_accept


@pytest.mark.parametrize("name", ["version", "xdim_mm", "dpi"])
@pytest.mark.parametrize("value", [True, False, "7", "0.5", "", [], {}, [7]])
def test_only_a_number_is_a_number(name: str, value: object) -> None:
    fields: Fields = {name: value}
    (error,) = tried(body(**fields)).errors
    assert (error.pointer, error.code) == (f"/{name}", "type")
    assert "The value must be a" in error.detail
    assert " such as " in error.detail


@pytest.mark.parametrize("text", ["true", "", " 1", "0,5", "0x1", "1_0", "+1", "\u0661", "1 mm"])
@pytest.mark.parametrize("name", ["version", "xdim_mm", "dpi", "size"])
def test_only_a_number_is_a_number_in_a_query(name: str, text: str) -> None:
    assert found(tried_csv({name: text}).errors) == {f"/{name}": "type"}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "infinity", "NaN"])
def test_what_is_no_finite_number_is_refused_in_a_query(text: str) -> None:
    (error,) = tried_csv({"xdim_mm": text}).errors
    assert (error.pointer, error.code) == ("/xdim_mm", "range")
    assert found(tried_csv({"dpi": text}).errors) == {"/dpi": "type"}


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert parse_bulk(body(xdim_mm=1)).layout.xdim_mm == 1.0
    assert parse_bulk(body(version=7.0, dpi=3e2)).layout.least_version == 7
    assert found(tried(body(version=7.5, dpi=300.1)).errors) == {"/version": "type", "/dpi": "type"}
    assert parse_csv(b"lot\nA\n", {"gtin": GTIN, "xdim_mm": "1", "dpi": "300"}).layout.dpi == 300


@pytest.mark.parametrize("value", ["true", 1, 0, None, "yes"])
def test_datamerge_and_pages_have_their_values(value: object) -> None:
    assert found(tried(body(datamerge=value)).errors) == {"/datamerge": "type"}
    assert found(tried(body(format="pdf", pages=value)).errors) == {"/pages": "type"}


@pytest.mark.parametrize("image_format", FORMATS)
def test_one_file_of_pages_is_a_pdf_without_a_datamerge(image_format: str) -> None:
    expected = {} if image_format == "pdf" else {"/pages": "contradiction"}
    fields: Fields = {"format": image_format, "pages": "single"}
    for merged in (False, True):
        fields["datamerge"] = merged
        errors = expected | ({"/datamerge": "contradiction"} if merged else {})
        done = tried(body(**fields))
        assert found(done.errors) == errors
        assert done.symbols  # they do not depend on the files
        query = {**fields, "datamerge": json.dumps(merged)}
        assert found(tried_csv(query).errors) == errors
        for error in done.errors:
            shown = "single" if error.pointer == "/datamerge" else f"the format is {image_format}."
            assert shown in error.detail


def test_a_wrong_format_is_not_also_a_contradiction() -> None:
    assert found(tried(body(format="gif", pages="single")).errors) == {"/format": "type"}
    assert found(tried(body(pages="one", datamerge=True)).errors) == {"/pages": "type"}
    assert found(tried(body(format="pdf", pages="single", datamerge=1)).errors) == {
        "/datamerge": "type"
    }


def test_a_single_symbol_has_no_files() -> None:
    for name, value in (("pages", "each"), ("datamerge", False)):
        with pytest.raises(ProblemError) as caught:
            parse_symbol(json.dumps({"gtin": GTIN, name: value}).encode(), LIMITS, Violations())
        assert caught.value.violations
        assert found(caught.value.violations.listed) == {f"/{name}": "unknown_field"}


LONG = {"lot": "%" * 20, "serial": "%" * 20}


def test_a_version_that_fits_no_image_is_one_error_of_the_request() -> None:
    for fields, pointer, code in (
        ({"version": 40, "size": 184}, "/size", "size_too_small"),
        ({"version": 7, "size": 52}, "/size", "size_too_small"),
        ({"xdim_mm": 5, "dpi": 2400}, "/xdim_mm", "image_too_large"),
        ({"version": 40, "xdim_mm": 0.5, "dpi": 1200}, "/xdim_mm", "image_too_large"),
    ):
        done = tried(body([{}, LONG], **fields))
        assert found(done.errors) == {pointer: code}
        assert done.symbols == []
        single = json.dumps({"gtin": GTIN, **fields}).encode()
        with pytest.raises(ProblemError) as caught:
            parse_symbol(single, LIMITS, Violations())
        assert caught.value.violations
        assert caught.value.violations.listed == done.errors
        for image_format in ("svg", "pdf", "eps"):
            assert tried(body([{}, LONG], format=image_format, **fields)).would_accept
    assert tried(body(version=40, size=185)).would_accept
    assert tried(body(version=7, size=53)).would_accept


@pytest.mark.parametrize(
    ("item", "least_version", "modules"), [({}, 1, 37), ({}, 40, 185), (LONG, 1, 53), (LONG, 7, 53)]
)
def test_a_png_has_up_to_4000_pixels(
    item: dict[str, str], least_version: int, modules: int
) -> None:
    for pixels in (4000 // modules, 4000 // modules + 1):
        xdim_mm = round(pixels * 25.4 / 2400, 4)
        done = tried(body([item], version=least_version, xdim_mm=xdim_mm, dpi=2400))
        widths = [each.width_px for each in done.symbols]
        assert widths == ([pixels * modules] if pixels * modules <= 4000 else [])
        assert done.would_accept == bool(widths)


def test_a_symbol_that_is_too_large_for_its_x_dimension_is_one_error_of_its_item() -> None:
    fields: Fields = {"xdim_mm": 2.5, "dpi": 1000}  # 98 pixels per module: 40 modules
    done = tried(body([LONG, {}, LONG], **fields))
    assert found(done.errors) == dict.fromkeys(("/items/0", "/items/2"), "image_too_large")
    assert [(each.version, each.count) for each in done.symbols] == [(3, 1)]
    with pytest.raises(ProblemError) as caught:
        parse_symbol(json.dumps({"gtin": GTIN, **LONG, **fields}).encode(), LIMITS, Violations())
    assert caught.value.violations
    assert found(caught.value.violations.listed) == {"/xdim_mm": "image_too_large"}


@given(st.integers(3, 40), st.integers(72, 2400))  # an item without values needs version 3
def test_the_x_dimension_that_an_error_offers_is_accepted(version: int, dpi: int) -> None:
    done = tried(body(version=version, xdim_mm=5.0, dpi=dpi))
    if done.would_accept:
        return
    (error,) = done.errors
    offered = float(error.detail.partition("at most ")[2].partition(",")[0])
    assert tried(body(version=version, xdim_mm=offered, dpi=dpi)).would_accept
    side = tried(body(version=version, xdim_mm=offered, dpi=dpi)).symbols[0].width_px
    assert side is not None
    assert 4000 - 17 - 4 * version - 8 < side <= 4000


def warned(**fields: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON
    items = [{"serial": f"{number}"} for number in range(600)]  # several batches
    request = parse_bulk(body(items, **fields))
    assert request.warnings_total == len(request.warnings)
    for warning in request.warnings:
        assert f"{MIN_RETAIL_XDIM_MM} to {MAX_RETAIL_XDIM_MM} mm" in warning.detail
    return [(each.code, each.detail.partition(" For ")[0]) for each in request.warnings]


@pytest.mark.parametrize("image_format", ["svg", "pdf", "eps"])
def test_an_x_dimension_outside_the_range_for_retail_is_warned_of_once(image_format: str) -> None:
    assert warned(format=image_format) == []
    for xdim_mm in (MIN_RETAIL_XDIM_MM, MAX_RETAIL_XDIM_MM, 0.5):
        assert warned(format=image_format, xdim_mm=xdim_mm) == []
    small, large = MIN_RETAIL_XDIM_MM - 0.001, MAX_RETAIL_XDIM_MM + 0.001
    text = "The X-dimension is {:g} mm."
    assert warned(format=image_format, xdim_mm=small) == [("xdim_below", text.format(small))]
    assert warned(format=image_format, xdim_mm=large) == [("xdim_above", text.format(large))]


def test_the_x_dimension_of_a_png_is_judged_after_rounding_to_pixels() -> None:
    assert warned() == warned(size=200) == []  # without resolution, nothing is known
    assert warned(xdim_mm=0.39) == []  # 5 pixels at 300 dpi, 0.423 mm
    assert warned(xdim_mm=0.396, dpi=600) == [
        ("xdim_below", "The X-dimension is 0.381 mm, 9 pixels at 600 dpi.")
    ]
    assert warned(xdim_mm=0.74, dpi=150) == []
    assert warned(xdim_mm=0.743, dpi=72) == []  # 2 pixels, 0.706 mm
    assert warned(xdim_mm=0.72, dpi=100) == [
        ("xdim_above", "The X-dimension is 0.762 mm, 3 pixels at 100 dpi.")
    ]


def test_the_x_dimension_of_a_png_with_size_and_resolution_follows_from_the_version() -> None:
    assert warned(size=400, dpi=400) == []
    large = "The X-dimension of symbols of version 3 is 2.64583 mm, 10 pixels at 96 dpi."
    assert warned(size=400, dpi=96) == [("xdim_above", large)]
    short, long = {"serial": "1"}, LONG
    (warning,) = parse_bulk(body([short, long], size=400, dpi=470)).warnings
    assert (warning.pointer, warning.code) == ("/xdim_mm", "xdim_below")
    assert "of symbols of version 7 is" in warning.detail
    assert "send an xdim_mm in this range" in warning.detail
    both = parse_bulk(body([short, long], size=150, dpi=130)).warnings
    assert [(each.pointer, each.code) for each in both] == [
        ("/xdim_mm", "xdim_above"),
        ("/xdim_mm", "xdim_below"),
    ]


def test_with_strict_an_unusual_x_dimension_is_an_error_and_the_symbols_stay_known() -> None:
    done = tried(body(format="pdf", xdim_mm=1, strict=True))
    assert found(done.errors) == {"/xdim_mm": "xdim_above"}
    assert done.symbols
    for fields in ({"format": "svg", "size": 50}, {"size": 100, "dpi": 600}, {"xdim_mm": 0.1}):
        sent = json.dumps({"gtin": GTIN, "strict": True, **fields}).encode()
        with pytest.raises(ProblemError) as caught:
            parse_symbol(sent, LIMITS, Violations())
        assert caught.value.violations
        assert found(caught.value.violations.listed) == {"/xdim_mm": "xdim_below"}


def test_no_versions_are_chosen_where_every_version_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("versions were chosen")

    monkeypatch.setattr("api.intake.validation.choose_versions", fails)
    cheap: list[Fields] = [
        {},
        {"size": 185},
        {"version": 40},
        {"xdim_mm": 0.495},
        {"xdim_mm": 0.5, "dpi": 1000, "size": 50},
        *({"format": kind, "size": 50, "dpi": 72} for kind in ("svg", "pdf", "eps")),
    ]
    for fields in cheap:
        assert parse_bulk(body([{"serial": "1"}, {"serial": "2"}], **fields)).items.count == 2
    costly: list[Fields] = [{"size": 184}, {"dpi": 300}, {"xdim_mm": 0.5, "dpi": 2400}]
    for fields in costly:
        with pytest.raises(AssertionError, match="versions were chosen"):
            parse_bulk(body(**fields))


numbers = {
    "size": st.sampled_from([49, 50, 52, 53, 400, 2000, 2001]),
    "version": st.sampled_from([None, 0, 1, 3, 9, 40, 41]),
    "xdim_mm": st.sampled_from([None, 0.09, 0.1, 0.3, 0.495, 1, 2.5, 5, 5.1]),
    "dpi": st.sampled_from([None, 71, 72, 203, 300, 1200, 2400, 2401]),
    "error_correction": st.sampled_from(get_args(ErrorCorrection)),
    "pages": st.sampled_from(["each", "single"]),
    "datamerge": st.booleans(),
}
texts = st.sampled_from(["1", "A" * 20, "%" * 20])
items = st.lists(st.fixed_dictionaries({"lot": texts, "serial": texts}), min_size=1, max_size=3)


@given(st.fixed_dictionaries({"format": st.sampled_from(FORMATS)}, optional=numbers), items)
def test_a_dry_run_foretells_the_acceptance_and_the_sizes_of_the_images(
    fields: Fields, sent: list[dict[str, str]]
) -> None:
    done = tried(body(sent, **fields))
    in_csv = tried_csv({name: as_parameter(each) for name, each in fields.items()}, sent)
    assert (found(in_csv.errors), in_csv.symbols) == (found(done.errors), done.symbols)
    uris = [
        digital_link_uri("https://id.gs1.org", f"0{GTIN}", each["lot"], each["serial"], None)
        for each in sent
    ]
    assert done.would_accept == (not done.errors) == is_right(fields, uris)
    if not done.would_accept:
        with pytest.raises(ProblemError) as caught:
            parse_bulk(body(sent, **fields))
        assert caught.value.violations
        assert caught.value.violations.listed == done.errors
        return
    request = parse_bulk(body(sent, **fields))
    assert len(request.warnings) == len(done.warnings)
    options = render_options(request.format, request.size, request.error_correction, request.layout)
    drawn = Counter(
        (image.version, image.error_correction, image.width_px, image.width_mm, image.xdim_mm)
        for image in render_chunk(uris, options)
    )
    assert drawn == {
        (row.version, row.error_correction, row.width_px, row.width_mm, row.xdim_mm): row.count
        for row in done.symbols
    }


def as_parameter(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def is_right(fields: Fields, uris: list[str]) -> bool:
    """Whether a request keeps to the contract; the versions are those of an SVG of any size."""
    given = {name: each for name, each in fields.items() if each is not None}
    ranges = {"size": (50, 2000), **{name: each[1:3] for name, each in LIMITS_OF.items()}}
    for name, (least, most) in ranges.items():
        if not least <= given.get(name, least) <= most:
            return False
    if given.get("pages") == "single" and (given["format"] != "pdf" or given.get("datamerge")):
        return False
    if given["format"] != "png":
        return True
    level, version = given.get("error_correction", "M"), given.get("version", 1)
    images = render_chunk(uris, RenderOptions("svg", 400, level, version))
    modules = max(17 + 4 * image.version + 8 for image in images)
    if "xdim_mm" not in given:
        size: int = given.get("size", 400)
        return modules <= size
    pixels = max(1, math.floor(given["xdim_mm"] * given.get("dpi", 300) / 25.4 + 0.5))
    return bool(modules * pixels <= 4000)
