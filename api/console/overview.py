"""``/ops/``: how the service is doing, at a glance."""

from collections.abc import Sequence
from typing import NamedTuple

import falcon

from api.console.pages import Pages
from api.console.sessions import RequiresSession
from pipeline.service import Health, Overview, OverviewReader

#: The charts' height and the width of a minute, as overview.html draws them.
CHART_HEIGHT, MINUTE_WIDTH = 64, 10


class Bar(NamedTuple):
    """One minute's bar: its left edge, top and height, and what it says."""

    x: int
    y: float
    height: float
    label: str


class Chart(NamedTuple):
    """A chart of the last hour.

    Attributes:
        total, most: of all minutes, and of the one with the most.
        kind: which of the style sheet's colours its bars have.
    """

    title: str
    total: int
    most: int
    bars: list[Bar]
    kind: str


class OverviewPage(RequiresSession):
    """``GET /ops/``."""

    def __init__(self, overview: OverviewReader, health: Health, pages: Pages) -> None:
        self._overview = overview
        self._health = health
        self._pages = pages

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show backlog, workers, health and the last hour."""
        overview = self._overview.read()
        self._pages.respond(
            req,
            resp,
            "overview.html",
            overview=overview,
            charts=charts(overview),
            health=self._health.look(),
        )

    on_head = on_get


def charts(overview: Overview) -> list[Chart]:
    """Return the last hour as charts: items staged, jobs completed, jobs failed."""
    hour = overview.hour
    begins = [minute.begins_at for minute in hour]
    return [
        _chart("Items rendered", "items", begins, [minute.items for minute in hour]),
        _chart("Jobs completed", "completed", begins, [minute.completed for minute in hour]),
        _chart("Jobs failed", "failed", begins, [minute.failed for minute in hour]),
    ]


def _chart(title: str, kind: str, begins: Sequence[int], counts: Sequence[int]) -> Chart:
    most = max(counts)
    bars = []
    for index, (begin, count) in enumerate(zip(begins, counts, strict=True)):
        height = round(CHART_HEIGHT * count / most, 1) if most else 0.0
        clock = f"{begin // 3600 % 24:02}:{begin // 60 % 60:02}"
        bars.append(
            Bar(index * MINUTE_WIDTH, CHART_HEIGHT - height, height, f"{clock} UTC: {count}")
        )
    return Chart(title, sum(counts), most, [bar for bar in bars if bar.height], kind)
