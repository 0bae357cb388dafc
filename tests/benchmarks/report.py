"""One report of a run: tables on the screen, all figures as JSON, targets met or not."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.pace import Pace


class Report:
    """What a run has measured so far.

    Attributes:
        quick: whether fewer repetitions are made than for figures that are to be published.
        figures: of each part, by its name.
        pace: of this machine while it measured.
    """

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.figures: dict[str, Any] = {}
        self.pace = Pace()
        self._targets: list[dict[str, Any]] = []
        self._console = Console(width=110)
        self._begun = datetime.now(UTC).isoformat(timespec="seconds")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; columns are figures, but for the first and for one without a name."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number and column else "left")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, str) else f"{cell:,.4g}" for cell in row))
        self._console.print()
        self._console.print(table)

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False)

    def target(
        self,
        name: str,
        measured: float,
        unit: str,
        *,
        least: float = 0.0,
        most: float = float("inf"),
    ) -> None:
        """Note a figure beside what it should be.

        One in milliseconds or a second is told at the pace of the targets' machine as well.
        """
        slowness = {"ms": self.pace.slowness, "a second": 1 / self.pace.slowness}.get(unit, 1.0)
        wanted = f"at most {most:g}" if least == 0 else f"at least {least:g}"
        self._targets.append(
            {
                "name": name,
                "wanted": f"{wanted} {unit}".strip(),
                "measured": measured,
                "met": least <= measured <= most,
                "at_their_pace": measured / slowness,
                "met_at_their_pace": least <= measured / slowness <= most,
            }
        )

    def finish(self, path: Path) -> dict[str, Any]:
        """Print the targets, write the JSON, and return it."""
        rows = [
            (
                target["name"],
                target["wanted"],
                target["measured"],
                target["at_their_pace"],
                "met"
                if target["met"]
                else "met at their pace"
                if target["met_at_their_pace"]
                else "NOT MET",
            )
            for target in self._targets
        ]
        if rows:
            columns = ("target", "wanted", "measured", "at their pace", "")
            self.table("Targets, which were set on a machine of another pace", columns, rows)
            self.say(f"Pure Python took {self.pace.slowness:.2f} times as long here as there")
        found = {
            "begun": self._begun,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}",
            "load_average": os.getloadavg(),
            "quick": self.quick,
            "slowness": self.pace.slowness,
            "targets": self._targets,
            **self.figures,
        }
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        self.say(
            f"{path}; {found['machine']}; load {os.getloadavg()[0]:.1f}"
            + ("; QUICK: few repetitions" if self.quick else "")
        )
        return found


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)
