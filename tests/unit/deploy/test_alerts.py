"""The alerts as Prometheus understands them: each is quiet, fires and clears in its test."""

import shutil
import subprocess
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parents[3] / "deploy" / "prometheus"

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool; `make debian-packages` installs it"
)


def promtool(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yaml"),
        ("check", "config", "compose.yaml"),
        ("check", "config", "kubernetes.yaml"),
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules_test.yaml"),
    ],
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    done = promtool(DIRECTORY, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", ["> 0.05", "== 0"])
def test_a_threshold_that_never_holds_is_noticed(tmp_path: Path, number: str) -> None:
    rules = (DIRECTORY / "rules.yaml").read_text("utf-8")
    assert number in rules
    shutil.copy(DIRECTORY / "rules_test.yaml", tmp_path)
    (tmp_path / "rules.yaml").write_text(rules.replace(number, "> 1e9"), encoding="utf-8")
    assert promtool(tmp_path, "test", "rules", "rules_test.yaml").returncode != 0
