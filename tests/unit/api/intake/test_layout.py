"""What a request asks for, with its defaults: the layout of a job, its meaning, its version."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Violations
from api.resources.symbol import parse_symbol
from pipeline.model.layout import FIRST_LAYOUT
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.service import JobRequest, Layout
from render.image import RenderOptions
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk, parse_csv

VECTORS = ("svg", "pdf", "eps")


def sent(**fields: Any) -> JobRequest:  # noqa: ANN401 - any JSON
    """A request of one item, which is the same one whether it is sent as JSON or as CSV."""
    body = {"gtin": GTIN, "items": [{"lot": "A", "serial": "1"}], **fields}
    request = parse_bulk(json.dumps(body).encode())
    query = {
        name: each if isinstance(each, str) else json.dumps(each) for name, each in fields.items()
    }
    in_csv = parse_csv(b"lot,serial\nA,1\n", {"gtin": GTIN, **query})
    assert in_csv.layout == request.layout
    assert in_csv.meaning_sha256() == request.meaning_sha256()
    return request


def schema_version(request: JobRequest) -> int:
    return encode_head(request, Acceptance("t", "k", 0, None, "name"))[0].version


@pytest.mark.parametrize(
    ("fields", "layout"),
    [
        ({}, FIRST_LAYOUT),
        ({"size": 200, "error_correction": "H"}, FIRST_LAYOUT),
        ({"version": 1}, FIRST_LAYOUT),
        ({"pages": "each", "datamerge": False}, FIRST_LAYOUT),
        ({"version": 7}, Layout(least_version=7)),
        ({"dpi": 600}, Layout(dpi=600)),
        ({"xdim_mm": 0.5}, Layout(xdim_mm=0.5, dpi=300)),
        ({"xdim_mm": 1, "dpi": 203}, Layout(xdim_mm=1.0, dpi=203)),
        ({"datamerge": True}, Layout(datamerge=True)),
        ({"format": "svg"}, Layout(xdim_mm=0.495, outlines=True)),
        ({"format": "svg", "size": 99, "dpi": 600}, Layout(xdim_mm=0.495, outlines=True)),
        ({"format": "pdf"}, Layout(xdim_mm=0.495)),
        ({"format": "pdf", "pages": "single"}, Layout(xdim_mm=0.495, pages="single")),
        ({"format": "eps", "xdim_mm": 0.3, "version": 40}, Layout(least_version=40, xdim_mm=0.3)),
    ],
)
def test_a_bulk_request_gets_its_layout_and_the_lowest_schema_version(
    fields: dict[str, Any], layout: Layout
) -> None:
    request = sent(**fields)
    assert request.layout == layout
    assert schema_version(request) == (1 if layout == FIRST_LAYOUT else 2)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({}, {"version": 1, "pages": "each", "datamerge": False}),
        ({"xdim_mm": 0.5}, {"xdim_mm": 0.5, "dpi": 300}),
        ({"xdim_mm": 0.5}, {"xdim_mm": 0.50, "dpi": 300.0, "version": 1.0}),
        ({"xdim_mm": 1}, {"xdim_mm": 1.0}),
        *(({"format": kind}, {"format": kind, "xdim_mm": 0.495}) for kind in VECTORS),
        # The resolution is ignored for these formats.
        *(({"format": kind}, {"format": kind, "dpi": 600}) for kind in VECTORS),
    ],
)
def test_defaults_that_are_written_out_do_not_count(
    short: dict[str, Any], long: dict[str, Any]
) -> None:
    assert sent(**short).meaning_sha256() == sent(**long).meaning_sha256()
    nulls = dict.fromkeys(("version", "xdim_mm", "dpi"))
    assert sent(**nulls | short).meaning_sha256() == sent(**short).meaning_sha256()


def test_what_decides_an_image_or_a_file_is_part_of_the_meaning() -> None:
    different: list[dict[str, Any]] = [
        {},
        {"version": 7},
        {"dpi": 300},
        {"dpi": 600},
        {"xdim_mm": 0.5},
        {"xdim_mm": 0.5, "dpi": 600},
        {"xdim_mm": 0.495},
        {"datamerge": True},
        *({"format": kind} for kind in VECTORS),
        {"format": "pdf", "xdim_mm": 0.5},
        {"format": "pdf", "pages": "single"},
        {"format": "pdf", "datamerge": True},
    ]
    assert len({sent(**fields).meaning_sha256() for fields in different}) == len(different)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, RenderOptions("png", 400)),
        ({"size": 200}, RenderOptions("png", 200)),
        ({"size": 200, "dpi": 600}, RenderOptions("png", 200, dpi=600)),
        ({"xdim_mm": 0.5, "size": 50}, RenderOptions("png", 50, xdim_mm=0.5, dpi=300)),
        ({"format": "svg"}, RenderOptions("svg", 400, xdim_mm=0.495, outlines=True)),
        ({"format": "svg", "size": 400}, RenderOptions("svg", 400, outlines=True)),
        ({"format": "eps", "size": 72, "dpi": 72}, RenderOptions("eps", 72)),
        ({"format": "pdf", "size": 72, "xdim_mm": 2}, RenderOptions("pdf", 72, xdim_mm=2.0)),
        ({"format": "pdf", "version": 9}, RenderOptions("pdf", 400, "M", 9, 0.495)),
    ],
)
def test_the_size_of_a_single_vector_image_is_its_width_unless_it_is_left_out(
    fields: dict[str, Any], options: RenderOptions
) -> None:
    body = json.dumps({"gtin": GTIN, **fields}).encode()
    assert parse_symbol(body, LIMITS, Violations())[0] == options


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "format": st.sampled_from(("png", *VECTORS)),
            "version": st.integers(1, 40),
            "xdim_mm": st.floats(0.1, 0.6),
            "dpi": st.integers(72, 700),
            "datamerge": st.booleans(),
        },
    )
)
def test_only_a_png_that_release_0_2_0_renders_alike_has_schema_version_1(
    fields: dict[str, Any],
) -> None:
    new = {"xdim_mm", "dpi"} & fields.keys() or fields.get("datamerge")
    is_old = fields.get("format", "png") == "png" and fields.get("version", 1) == 1 and not new
    assert schema_version(sent(**fields)) == (1 if is_old else 2)
