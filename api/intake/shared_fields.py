"""Checks of the fields that all items of a request share, except its GTIN."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec import UNSET

from api.intake.item_batch import Location, violation
from api.schemas.problems import Violation
from api.schemas.tasks import BulkRequest, SymbolRequest
from pipeline.service import CallbackRules, parse_callback_url
from render.errors import InvalidValueError, shown
from render.gs1.link_base import shown_base
from render.image import (
    MAX_DPI,
    MAX_SIZE,
    MAX_VERSION,
    MAX_XDIM_MM,
    MIN_DPI,
    MIN_SIZE,
    MIN_XDIM_MM,
)


class _Range(NamedTuple):
    """Range of a number: its limits, and what the number is."""

    least: float
    most: float
    meaning: str


_RANGES = {
    "size": _Range(MIN_SIZE, MAX_SIZE, "the width of the image"),
    "version": _Range(1, MAX_VERSION, "the minimum version of the symbols"),
    "xdim_mm": _Range(MIN_XDIM_MM, MAX_XDIM_MM, "the width of a module in millimetres"),
    "dpi": _Range(MIN_DPI, MAX_DPI, "the resolution of a PNG in pixels per inch"),
}


def wrong_numbers(head: BulkRequest | SymbolRequest) -> Iterator[Violation]:
    """Yield a violation for each number that is out of range, NaN included."""
    for name, (least, most, meaning) in _RANGES.items():
        value = getattr(head, name)
        if value is not None and value is not UNSET and not least <= value <= most:
            detail = f"{shown(value)} is not a valid {name}. Send {least} to {most}, {meaning}."
            yield Violation(f"/{name}", "range", detail)


def wrong_files(head: BulkRequest) -> Iterator[Violation]:
    """Yield a violation for each field that contradicts another one about the bundle's files."""
    if head.pages != "single":
        return
    if head.format != "pdf":
        detail = (
            f"The pages of one file need the format pdf, but the format is {head.format}. Send the "
            "format pdf, or the pages each."
        )
        yield Violation("/pages", "contradiction", detail)
    if head.datamerge:
        detail = (
            "A datamerge.csv needs one file per symbol, but the pages are single. Send the pages "
            "each, or leave datamerge out."
        )
        yield Violation("/datamerge", "contradiction", detail)


def wrong_link_base(base: str, allowed: Sequence[str]) -> Iterator[Violation]:
    """Yield a violation if ``base`` is none of the bases that the API key may use."""
    if base not in allowed:
        detail = (
            f"{shown_base(base)} is not a link base that this API key may use. Send one of "
            f"{', '.join(allowed)}, exactly as it is written here, or leave link_base out."
        )
        yield Violation("/link_base", "link_base", detail)


def wrong_callback_url(url: str, callbacks: CallbackRules) -> Iterator[Violation]:
    """Yield a violation if a callback URL breaks the service's rules."""

    def check(value: str) -> None:
        parse_callback_url(value, callbacks)

    return broken_rule(check, url, Location("/callback_url"))


def broken_rule(rule: Callable[[str], object], value: str, where: Location) -> Iterator[Violation]:
    """Yield the violation of a value for which ``rule`` raises :class:`InvalidValueError`."""
    try:
        rule(value)
    except InvalidValueError as error:
        yield violation(where, error.code, error.detail)
