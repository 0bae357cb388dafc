"""observability.md and runbook.md list the log events, alerts and metrics of the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.model.failure_reasons import JOB_ERROR_CODES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "deploy" / "observability.md").read_text("utf-8")
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text("utf-8")
RULES = (ROOT / "deploy" / "prometheus" / "rules.yaml").read_text("utf-8")
TESTED = (ROOT / "deploy" / "prometheus" / "rules_test.yaml").read_text("utf-8")
DASHBOARD = (ROOT / "deploy" / "grafana" / "qrmill.json").read_text("utf-8")
ALERTS = set(re.findall(r"- alert: (\w+)", RULES))
SOURCES = [path for package in ("api", "pipeline") for path in (ROOT / package).rglob("*.py")]


def logged() -> Iterator[tuple[str, str]]:
    """Yield every event in the source with its level; each event has to be a literal."""
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[event, *_]
                ):
                    assert isinstance(event, ast.Constant), f"{path}:{call.lineno}"
                    yield str(event.value), level


def section(page: str, title: str) -> str:
    """Return the text below the heading ``title``, up to the next heading of its level."""
    (found,) = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_table_of_log_events_has_every_event_with_its_level() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", section(PAGE, "Log events"), re.MULTILINE)
    assert sorted(rows) == sorted(set(logged()))


def test_the_table_of_renamed_log_events_leads_from_unused_names_to_events() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \|$", section(PAGE, "Renamed log events"), re.MULTILINE
    )
    events = {event for event, _ in logged()}
    former, new = ({row[column] for row in rows} for column in (0, 1))
    assert len(rows) == len(former) == len(new) == 29
    assert not former & events
    assert new <= events


def test_every_alert_is_tested_and_has_its_entry_in_the_runbook() -> None:
    entries = re.findall(r"^### (\w+)$", section(RUNBOOK, "Alerts"), re.MULTILINE)
    assert sorted(entries) == sorted(ALERTS)
    anchors = re.findall(r"runbook: deploy/runbook\.md#(\w+)", RULES)
    assert sorted(anchors) == sorted(alert.lower() for alert in ALERTS)
    for alert in ALERTS:
        tests = TESTED.partition(f"  - name: {alert}\n")[2].partition("  - name: ")[0]
        # Quiet, then firing, then quiet again.
        expected = re.findall(r"exp_alerts:( \[\]\}|\n)", tests)
        assert [bool(quiet.strip()) for quiet in expected] == [True, False, True], alert


def test_every_error_code_of_a_job_has_its_row_in_the_runbook() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(RUNBOOK, "A job failed"), re.MULTILINE)
    assert sorted(rows) == sorted(JOB_ERROR_CODES)


def test_every_metric_of_ours_is_on_the_page_and_every_one_queried_exists() -> None:
    source = "".join(path.read_text("utf-8") for path in SOURCES if "metrics" in path.name)
    made = set(re.findall(r'"(qrmill_[a-z0-9_]+)"', source))
    page = set(re.findall(r"`(qrmill_[a-z0-9_]+)`", PAGE))
    queried = set(re.findall(r"qrmill_[a-z0-9_]+", RULES + DASHBOARD))
    assert {name.removesuffix("_total") for name in page} == made
    assert {re.sub("_(total|bucket|count|sum)$", "", name) for name in queried} <= made
