"""The table of a run: what became of the jobs of each fault."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One fault's outcome.

    Attributes:
        jobs: accepted with 202.
        failed: ended ``failed``, with a reason.
        lost: unknown (404) after they were accepted.
        stuck: without an end by the deadline.
        duplicates: second jobs of an idempotency key, bundles with an item twice or missing, and
            bundles whose bytes differ between two downloads.
        wrong: ended otherwise than promised: a bundle that is not right, a failure without reason,
            a part that did not come back.
        in_flight: jobs open when the fault began.
        recovery: seconds from the fault's end to the end of the last job that it found open.
        notes: what there is to say besides.
    """

    fault: str
    jobs: int = 0
    completed: int = 0
    failed: int = 0
    lost: int = 0
    stuck: int = 0
    duplicates: int = 0
    wrong: int = 0
    in_flight: int = 0
    recovery: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """The promise was kept, and there were jobs to try it on."""
        return self.jobs > 0 and not (self.lost or self.stuck or self.duplicates or self.wrong)

    @property
    def sentence(self) -> str:
        figures = ", ".join(f"{getattr(self, name)} {name}" for name in _COLUMNS)
        return f"{self.fault}: {figures}: the promise was {'kept' if self.good else 'BROKEN'}"


_COLUMNS = ("jobs", "completed", "failed", "lost", "stuck", "duplicates", "wrong", "in_flight")


def print_rows(rows: list[Row], console: Console) -> None:
    """Print the table, and below it the notes."""
    table = Table()
    table.add_column("fault")
    for name in (*_COLUMNS, "recovery, s"):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        figures = [str(getattr(row, name)) for name in _COLUMNS]
        seconds = "" if row.recovery is None else f"{row.recovery:.1f}"
        table.add_row(row.fault, *figures, seconds, style=None if row.good else "bold")
    console.print(table)
    for row in rows:
        for note in row.notes:
            console.print(f"{row.fault}: {note}", markup=False, highlight=False, soft_wrap=True)
