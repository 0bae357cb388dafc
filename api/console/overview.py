"""``/ops/``: overview of backlog, throughput, queues, workers and dependencies."""

from collections.abc import Sequence
from typing import NamedTuple

import falcon

from api.console.pages import Pages
from api.console.sessions import RequiresSession
from pipeline.service import Health, Overview, OverviewReader

#: Height of a chart and width of a minute, in the user units of overview.html's SVG.
CHART_HEIGHT, MINUTE_WIDTH = 64, 10


class Bar(NamedTuple):
    """A bar of a chart, for one minute: left edge, top and height in SVG user units, and label."""

    x: int
    y: float
    height: float
    label: str


class Chart(NamedTuple):
    """A chart of the last hour.

    Attributes:
        title: heading.
        total: sum of all minutes.
        most: largest value of a minute.
        bars: one per minute whose value is not 0.
        kind: CSS class that sets the colour of the bars.
    """

    title: str
    total: int
    most: int
    bars: list[Bar]
    kind: str


class OverviewPage(RequiresSession):
    """``GET /ops/``."""

    def __init__(self, overview: OverviewReader, health: Health, pages: Pages) -> None:
        super().__init__(pages)
        self._overview = overview
        self._health = health

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show backlog, workers, dependencies and charts of the last hour."""
        overview = self._overview.read()
        self.pages.respond(
            req,
            resp,
            "overview.html",
            overview=overview,
            charts=charts(overview),
            health=self._health.latest(),
        )

    on_head = on_get


def charts(overview: Overview) -> list[Chart]:
    """Return charts of the last hour: items rendered, jobs completed, jobs failed."""
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
