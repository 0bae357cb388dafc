"""Checks of the sizes of a request's symbols: whether they fit their images, and X-dimensions."""

from collections.abc import Iterator, Sequence

from api.http.problems import Violations
from api.intake.item_batch import ItemBatch, Location, violation
from api.intake.warnings import Warnings
from api.schemas.problems import Violation
from api.schemas.tasks import DEFAULT_DPI
from render.dimensions import dimensions, largest_version
from render.gs1.x_dimension import MAX_RETAIL_XDIM_MM, MIN_RETAIL_XDIM_MM
from render.image import MAX_SIDE_PX, MAX_VERSION, QUIET_ZONE, RenderOptions, symbol_side

_XDIM = Location("/xdim_mm")


class SymbolSizes:
    """Checks the sizes of the symbols of a request, batch by batch.

    The version of a symbol follows from its item. Two checks need it: a PNG may be too small for a
    version, and the X-dimension depends on the version if the width of the images is given. Where
    neither is the case, the versions need not be chosen.

    Args:
        options: options of the request, whose least version fits.
        violations: receives a violation for each symbol that does not fit.
        warnings: receives ``xdim_below`` and ``xdim_above``, each at most once.

    Attributes:
        depend_on_version: whether :meth:`check` needs the versions of the symbols.
    """

    def __init__(self, options: RenderOptions, violations: Violations, warnings: Warnings) -> None:
        self._options = options
        self._violations = violations
        self._warnings = warnings
        self._largest = largest_version(options)
        least = dimensions(options.least_version, options).xdim_mm
        self._judge_xdim = options.xdim_mm is None and least is not None
        self.depend_on_version = self._judge_xdim or self._largest < MAX_VERSION
        self._warned: set[str] = set()
        if options.xdim_mm is not None:
            self._warn([options.least_version])

    def check(self, batch: ItemBatch, versions: Sequence[int]) -> set[int]:
        """Return the positions of the items whose symbol does not fit, and record violations.

        Args:
            batch: the items, with their locations.
            versions: the version of each item's symbol.
        """
        unfit = {place for place, version in enumerate(versions) if version > self._largest}
        for place in sorted(unfit):
            where = batch.locate(batch.indices[place], None)
            code, detail = _misfit("The symbol of this item", versions[place], self._options)
            self._violations.append(violation(where, code, detail))
        if self._judge_xdim:
            self._warn(sorted({*versions} - {versions[place] for place in unfit}))
        return unfit

    def _warn(self, versions: Sequence[int]) -> None:
        """Add a warning about the first of some versions whose X-dimension is out of range."""
        for version in versions:
            xdim_mm = dimensions(version, self._options).xdim_mm or 0
            code = "xdim_below" if xdim_mm < MIN_RETAIL_XDIM_MM else "xdim_above"
            is_in_range = MIN_RETAIL_XDIM_MM <= xdim_mm <= MAX_RETAIL_XDIM_MM
            if not is_in_range and code not in self._warned:
                self._warned.add(code)
                self._warnings.add(code, _XDIM, _outside(version, self._options))


def wrong_least_version(options: RenderOptions) -> Iterator[Violation]:
    """Yield a violation if no symbol of a request fits its image."""
    if options.least_version > largest_version(options):
        pointer = "/size" if options.xdim_mm is None else "/xdim_mm"
        subject = f"A symbol of version {options.least_version}"
        yield Violation(pointer, *_misfit(subject, options.least_version, options))


def _misfit(subject: str, version: int, options: RenderOptions) -> tuple[str, str]:
    """Return code and detail of a symbol that does not fit a PNG."""
    modules = symbol_side(version) + 2 * QUIET_ZONE
    if options.xdim_mm is None:
        return "size_too_small", (
            f"{subject} needs a size of at least {modules} pixels, one per module, but the size of "
            f"the request is {options.size}. Send a larger size."
        )
    return "image_too_large", (
        f"{subject} has {modules} modules per side, quiet zone included. With an xdim_mm of "
        f"{options.xdim_mm} at {options.dpi} dpi, its image would have more than {MAX_SIDE_PX} "
        f"pixels per side. Send an xdim_mm of at most {_largest_xdim(modules, options.dpi)}, or a "
        "smaller dpi."
    )


def _largest_xdim(modules: int, dpi: int | None) -> float:
    """Return the X-dimension in millimetres at which so many modules just fit a PNG.

    A micrometre is less than a tenth of a pixel at any resolution, so the rounding is harmless.
    """
    return round(MAX_SIDE_PX // modules * 25.4 / (dpi or DEFAULT_DPI), 3)


def _outside(version: int, options: RenderOptions) -> str:
    """Return the detail of an X-dimension that is out of range."""
    module_px, _, _, xdim_mm = dimensions(version, options)
    is_given = options.xdim_mm is not None
    symbols = "" if is_given else f" of symbols of version {version}"
    pixels = f", {module_px} pixels at {options.dpi} dpi" if module_px else ""
    larger = "larger" if (xdim_mm or 0) < MIN_RETAIL_XDIM_MM else "smaller"
    return (
        f"The X-dimension{symbols} is {xdim_mm:g} mm{pixels}. For retail point of sale, it should "
        f"be {MIN_RETAIL_XDIM_MM} to {MAX_RETAIL_XDIM_MM} mm. If the symbols are scanned there, "
        f"send {f'a {larger} xdim_mm' if is_given else 'an xdim_mm in this range'}."
    )
