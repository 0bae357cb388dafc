"""Warnings about a request: values that are valid but probably not intended."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from api.http.problems import Findings, Violations
from api.intake.item_batch import Location
from api.schemas.problems import Violation
from pipeline.service import RequestWarning
from render.errors import shown
from render.gs1.gtin import is_restricted, is_restricted_gtin8

_Place = TypeVar("_Place")


class Warnings:
    """The warnings about a request. With ``strict``, each is a violation instead.

    Args:
        violations: the invalid values of the request, which receive the warnings if ``strict``.
        strict: the field ``strict`` of the request.

    Attributes:
        found: the warnings; empty if ``strict``.
    """

    def __init__(self, violations: Violations, *, strict: bool) -> None:
        self.found: Findings[RequestWarning] = Findings()
        self._violations = violations if strict else None

    def add(self, code: str, where: Location, detail: str) -> None:
        """Add a warning about the value at a location."""
        if self._violations is None:
            self.found.append(RequestWarning(where.pointer, code, detail, where.line, where.column))
        else:
            self._violations.append(
                Violation(where.pointer, code, detail, where.line, where.column)
            )

    def add_each(
        self,
        code: str,
        number: int,
        places: Iterable[_Place],
        describe: Callable[[_Place], tuple[Location, str]],
    ) -> None:
        """Add a warning per place; call ``describe`` only for warnings that fit the list.

        Args:
            code: name of the warning.
            number: number of places.
            places: the places, of any type; not all of them are read.
            describe: returns the location and the detail of a place.
        """
        findings: Findings[RequestWarning] | Violations = self.found
        if self._violations is not None:
            findings = self._violations
        listed = min(number, findings.room)
        for place in islice(places, listed):
            self.add(code, *describe(place))
        findings.count(number - listed)


def warn_about_gtin(text: str, gtin14: str, warnings: Warnings) -> None:
    """Add a warning to a request whose GTIN is valid only inside a company or a region."""
    found = gtin_warning(text, gtin14)
    if found is not None:
        code, detail = found
        warnings.add(code, Location("/gtin"), detail)


def gtin_warning(text: str, gtin14: str) -> tuple[str, str] | None:
    """Return code and detail of the warning about a GTIN; None without one.

    ``gtin8_restricted``: eight digits of which the first is 0 or 2. ``gtin_restricted``: 12 to 14
    digits with a GS1 prefix for restricted circulation.

    Args:
        text: the GTIN as it was sent.
        gtin14: the GTIN with 14 digits.
    """
    if is_restricted_gtin8(text):
        detail = (
            f"{shown(text)} has eight digits and begins with {gtin14[6]}, like numbers for "
            "internal use. It is probably a UPC-E, a short form of a GTIN-12: send the twelve "
            "digits."
        )
        return "gtin8_restricted", detail
    if gtin14.startswith("000000") and is_restricted(gtin14):
        detail = (
            f"{shown(text)} is the GTIN-8 {gtin14[6:]}, which begins with {gtin14[6]}, like "
            "numbers for internal use. If it is a UPC-E, a short form of a GTIN-12, send the "
            "twelve digits."
        )
        return "gtin_restricted", detail
    if is_restricted(gtin14):
        detail = (
            f"{shown(text)} has a GS1 prefix for restricted circulation (02, 04, 20 to 29), so "
            "other companies may use the same number. Send the GTIN that the brand owner assigned."
        )
        return "gtin_restricted", detail
    return None
