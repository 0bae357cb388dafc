"""The chart of a run: how long a job of 5000 takes, beside the replaced design, as SVG.

The axis is logarithmic. Colours follow the reader's light or dark scheme.
"""

import math
from typing import Any
from xml.sax.saxutils import escape

_ITEMS = 5000
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 820, 110, 180, 66, 58
_BAR = 20
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.note, .tick { fill: #57606a; font-size: 11px }
.line { stroke: #d0d7de }
.ours { fill: #0969da }
.theirs { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note, .tick { fill: #9198a1 }
  .line { stroke: #3d444d }
  .ours { fill: #4493f8 }
  .theirs { fill: #6e7681 }
}"""


def draw(figures: dict[str, Any]) -> str:
    """Return the chart of ``figures``, a run's report that has the part ``job``."""
    rows = [row for row in figures["job"] if row["items"] == _ITEMS]
    most = max(row["reference_seconds"] for row in rows)
    least = min(row["seconds"] for row in rows)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    scale = (_WIDTH - _LEFT - _RIGHT) / (high - low)
    height = _TOP + _ROW * len(rows) + 40
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 22, "A job of 5000 items, POST to completed (seconds)", "title"),
        _text(_LEFT, 42, _note(figures), "note"),
    ]
    for power in range(low, high + 1):
        x = _LEFT + (power - low) * scale
        bottom = height - 28
        pieces.append(f'<path class="line" d="M{x:.0f} {_TOP - 12}V{bottom}"/>')
        pieces.append(_text(x, bottom + 16, f"{10.0**power:g}", "tick", "middle"))
    for number, row in enumerate(rows):
        pieces += _bars(row, _TOP + number * _ROW, lambda s: (math.log10(s) - low) * scale)
    return "\n".join([*pieces, "</svg>\n"])


def _bars(row: dict[str, Any], top: float, length: Any) -> list[str]:  # noqa: ANN401 - a function
    label = "SVG" if row["format"] == "svg" else f"PNG {row['size']}"
    ours, theirs = row["seconds"], row["reference_seconds"]
    told = f"{ours:.2f} s: {row['ratio']:.0f} times as fast"
    return [
        _text(_LEFT - 12, top + _BAR + 5, label, "", "end"),
        *_bar("ours", top, length(ours), told),
        *_bar("theirs", top + _BAR + 2, length(theirs), f"{theirs:.1f} s"),
    ]


def _bar(kind: str, y: float, length: float, told: str) -> list[str]:
    return [
        f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>',
        _text(_LEFT + length + 6, y + _BAR - 5, told, ""),
    ]


def _note(figures: dict[str, Any]) -> str:
    return (
        f"blue: qrmill; grey: one Celery task, segno, zipfile, one upload. "
        f"{figures['machine']}, {figures['begun'][:10]}"
        f"{', few repetitions' if figures['quick'] else ''}"
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{css} text-anchor="{anchor}">{escape(text)}</text>'
