"""What the operators' page says of log lines, alerts and metrics is what the source has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "deploy" / "README.md").read_text("utf-8")
RULES = (ROOT / "deploy" / "prometheus" / "rules.yaml").read_text("utf-8")
TESTED = (ROOT / "deploy" / "prometheus" / "rules_test.yaml").read_text("utf-8")
DASHBOARD = (ROOT / "deploy" / "grafana" / "qrmill.json").read_text("utf-8")
ALERTS = set(re.findall(r"- alert: (\w+)", RULES))
SOURCES = [path for room in ("api", "pipeline") for path in (ROOT / room).rglob("*.py")]


def logged() -> Iterator[tuple[str, str]]:
    """Every event in the source, and its level; one that is no literal has no place on a page."""
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[event, *_]
                ):
                    assert isinstance(event, ast.Constant), f"{path}:{call.lineno}"
                    yield str(event.value), level


def test_the_table_of_log_lines_has_every_event_with_its_level() -> None:
    logs = PAGE.partition("## Logs")[2].partition("## Metrics")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", logs, re.MULTILINE)
    assert sorted(rows) == sorted(set(logged()))


def test_every_alert_is_tested_and_has_its_entry_in_the_runbook() -> None:
    entries = re.findall(r"^### (\w+)$", PAGE.partition("## Runbook")[2], re.MULTILINE)
    assert sorted(entries) == sorted(ALERTS)
    anchors = re.findall(r"runbook: deploy/README\.md#(\w+)", RULES)
    assert sorted(anchors) == sorted(alert.lower() for alert in ALERTS)
    for alert in ALERTS:
        tests = TESTED.partition(f"  - name: {alert}\n")[2].partition("  - name: ")[0]
        # Quiet, then firing, then quiet again.
        expected = re.findall(r"exp_alerts:( \[\]\}|\n)", tests)
        assert [bool(quiet.strip()) for quiet in expected] == [True, False, True], alert


def test_every_metric_of_ours_is_on_the_page_and_every_one_asked_for_exists() -> None:
    source = "".join(path.read_text("utf-8") for path in SOURCES if "metrics" in path.name)
    made = set(re.findall(r'"(qrmill_[a-z0-9_]+)"', source))
    page = set(re.findall(r"`(qrmill_[a-z0-9_]+)`", PAGE))
    asked = set(re.findall(r"qrmill_[a-z0-9_]+", RULES + DASHBOARD))
    assert {name.removesuffix("_total") for name in page} == made
    assert {re.sub("_(total|bucket|count|sum)$", "", name) for name in asked} <= made
