"""SVG of a matrix of modules: one path, one horizontal run of dark modules after another."""

from itertools import groupby

from render.image import QUIET_ZONE


def write_svg(matrix: list[bytes]) -> bytes:
    """Return an SVG document of ``matrix`` with its quiet zone, one user unit a module.

    Args:
        matrix: one ``bytes`` a row, one byte a module, 1 for dark and 0 for light; square.
    """
    side = len(matrix) + 2 * QUIET_ZONE
    runs = "".join(
        f"M{x} {y}h{length}" for y, row in enumerate(matrix) for x, length in _dark_runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" '
        f'viewBox="-{QUIET_ZONE} -{QUIET_ZONE}.5 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M-{QUIET_ZONE}-{QUIET_ZONE}.5h{side}v{side}h-{side}z"/>'
        f'<path stroke="#000" d="{runs}"/></svg>'
    ).encode("ascii")


def _dark_runs(row: bytes) -> list[tuple[int, int]]:
    """Return (column, length) of each run of dark modules in ``row``."""
    runs: list[tuple[int, int]] = []
    column = 0
    for dark, group in groupby(row):
        length = sum(1 for _ in group)
        if dark:
            runs.append((column, length))
        column += length
    return runs
