"""Human-readable interpretation (HRI) of the data in a symbol.

Source: GS1 General Specifications, section 4.14 (HRI rules: each application identifier in
parentheses, followed by its value; the parentheses are not part of the encoded data).
"""

from collections.abc import Sequence

from render.gs1.ai import OTHER_DATE_AIS


def human_readable(  # noqa: PLR0917 - one per application identifier
    gtin14: str,
    lot: str | None = None,
    serial: str | None = None,
    expiry: str | None = None,
    other_dates: Sequence[str | None] = (),
    variant: str | None = None,
) -> str:
    """Return the HRI of a symbol, such as ``(01)09506000134352(10)LOT-7(21)A0001(17)271231``.

    The application identifiers are in the order of the Digital Link URI.

    Args:
        gtin14: GTIN of 14 digits.
        lot: batch or lot number (AI 10), or None.
        serial: serial number (AI 21), or None.
        expiry: expiration date (AI 17) as YYMMDD, or None.
        other_dates: the dates of :data:`OTHER_DATE_AIS` as YYMMDD, each or None; may be empty.
        variant: consumer product variant (AI 22), or None.
    """
    dates = zip(OTHER_DATE_AIS, other_dates, strict=False)
    present = (("22", variant), ("10", lot), ("21", serial), *dates, ("17", expiry))
    values = (f"({ai}){value}" for ai, value in present if value is not None)
    return f"(01){gtin14}{''.join(values)}"
