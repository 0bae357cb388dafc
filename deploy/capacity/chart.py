"""SVG charts of a job's time against the load, with logarithmic axes.

Colours follow the reader's light or dark scheme. Lines of one colour belong to one deployment: p50
is solid, p99 dashed.
"""

import math
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 820, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 70, 52
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.note, .tick { fill: #57606a; font-size: 11px }
.line { stroke: #d0d7de }
.curve { fill: none; stroke-width: 2 }
.p99 { stroke-dasharray: 5 4 }
.c0 { stroke: #0969da } .c1 { stroke: #bf3989 } .c2 { stroke: #1a7f37 }
.t0 { fill: #0969da } .t1 { fill: #bf3989 } .t2 { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note, .tick { fill: #9198a1 }
  .line { stroke: #3d444d }
  .c0 { stroke: #4493f8 } .c1 { stroke: #db61a2 } .c2 { stroke: #3fb950 }
  .t0 { fill: #4493f8 } .t1 { fill: #db61a2 } .t2 { fill: #3fb950 }
}"""


class Curve(NamedTuple):
    """The name of a deployment, and (jobs per minute, p50, p99) at each load; times in seconds."""

    name: str
    points: list[tuple[float, float, float]]


class _Scale(NamedTuple):
    """A logarithmic axis from ``low`` to ``high``, drawn from ``begin`` to ``end`` (pixels)."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Return 1, 2 and 5 times the powers of ten within the axis."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in found if self.low <= value <= self.high]


def draw(title: str, note: str, curves: list[Curve]) -> str:
    """Return an SVG chart of ``curves``."""
    loads = [load for curve in curves for load, _, _ in curve.points]
    times = [time for curve in curves for _, p50, p99 in curve.points for time in (p50, p99)]
    across = _Scale(min(loads), max(loads), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(_floor(min(times)), _ceiling(max(times)), _HEIGHT - _BOTTOM, _TOP)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        _text(_LEFT, 24, title, "title"),
        _text(_LEFT, 44, note, "note"),
        *_grid(across, up),
        _text(middle, _HEIGHT - 12, "jobs of 500 SVG per minute", "note", "middle"),
        _text(_LEFT, _TOP - 8, "seconds, POST to completed", "note"),
    ]
    for number, curve in enumerate(curves):
        pieces += _curve(curve, number, across, up)
    return "\n".join([*pieces, "</svg>\n"])


def _grid(across: _Scale, up: _Scale) -> list[str]:
    pieces = []
    for value in across.ticks():
        x = across.at(value)
        pieces.append(f'<path class="line" d="M{x:.1f} {up.end:.0f}V{up.begin:.0f}"/>')
        pieces.append(_text(x, up.begin + 16, f"{value:,.0f}", "tick", "middle"))
    for value in up.ticks():
        y = up.at(value)
        pieces.append(f'<path class="line" d="M{across.begin:.0f} {y:.1f}H{across.end:.0f}"/>')
        pieces.append(_text(across.begin - 8, y + 4, f"{value:g}", "tick", "end"))
    return pieces


def _curve(curve: Curve, number: int, across: _Scale, up: _Scale) -> list[str]:
    pieces = []
    for place, kind in ((1, "p50"), (2, "p99")):
        path = "L".join(
            f"{across.at(point[0]):.1f} {up.at(point[place]):.1f}" for point in curve.points
        )
        pieces.append(f'<path class="curve {kind} c{number}" d="M{path}"/>')
    y = _TOP + 14 + 48 * number
    x = _WIDTH - _RIGHT + 14
    pieces.append(_text(x, y, curve.name, f"t{number}"))
    for kind, offset in (("p50", 13), ("p99", 28)):
        line = f"M{x} {y + offset - 4}h26"
        pieces.append(f'<path class="curve {kind} c{number}" d="{line}"/>')
        pieces.append(_text(x + 32, y + offset, kind, "tick"))
    return pieces


def _floor(value: float) -> float:
    return max(step for step in _steps(value) if step <= value)


def _ceiling(value: float) -> float:
    return min(step for step in _steps(value) if step > value)


def _steps(value: float) -> list[float]:
    power = math.floor(math.log10(value))
    return [digit * 10.0**exponent for exponent in (power, power + 1) for digit in (1, 2, 5)]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    where = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"'
    return f'<text {where} class="{kind}">{escape(text)}</text>'
