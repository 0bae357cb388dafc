"""The make targets that pages, hooks and continuous integration name exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
HELP = dict(re.findall(r"^([a-z][a-z-]*):.*?## (.*)$", MAKEFILE, re.MULTILINE))
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
CHECK_JSONSCHEMA = Path(sys.executable).with_name("check-jsonschema")
#: A command of make: words up to the end of the command or of the line.
_COMMAND = re.compile(r"^\s*(?:[A-Z_]+=\S+\s+)*make\s+([^\n#&|;>]+)", re.MULTILINE)
_CODE = re.compile(r"```.*?\n(.*?)```|`([^`]+)`", re.DOTALL)


def targets(commands: str) -> set[str]:
    """Return the targets of all make commands, without their variables (``NAME=value``)."""
    words = [re.sub(r'[A-Z_]+=("[^"]*"|\S*)', "", line) for line in _COMMAND.findall(commands)]
    return {word for line in words for word in line.split() if not word.startswith("-")}


def steps() -> list[str]:
    """Return every command of the workflow, with the values of its matrix filled in."""
    jobs: dict[str, dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    found = []
    for job in jobs.values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for command in (step["run"] for step in job["steps"] if "run" in step):
            filled = [command]
            for name, values in matrix.items():
                variable = f"${{{{ matrix.{name} }}}}"
                filled = [line.replace(variable, str(value)) for line in filled for value in values]
            found += filled
    return found


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "SECURITY.md"])
def test_every_target_that_a_page_names_exists(page: str) -> None:
    code = _CODE.findall((ROOT / page).read_text("utf-8"))
    named = targets("\n".join(block or span.replace("\n", " ") for block, span in code))
    assert named
    assert named <= TARGETS


def test_every_target_of_ci_and_of_the_hooks_exists() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    for commands in ("\n".join(entries), script, "\n".join(steps())):
        named = targets(commands)
        assert named
        assert named <= TARGETS


def test_the_workflow_runs_every_target_of_the_script() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert targets(script) <= targets("\n".join(steps()))


def test_the_workflow_runs_nothing_but_make_and_git() -> None:
    assert {command.split()[0] for command in steps()} == {"make", "git"}


def test_the_workflow_may_only_read_and_every_job_has_a_time_limit() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert all(0 < job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


def test_every_action_is_pinned_to_a_commit() -> None:
    used = re.findall(r"uses: (\S+)", WORKFLOW.read_text("utf-8"))
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []


@pytest.mark.skipif(
    not CHECK_JSONSCHEMA.exists(), reason="no check-jsonschema; `make deploy-tools` installs it"
)
@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("custom.github-workflows-require-timeout", "workflows/*.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_the_files_for_github_fit_their_schemas(schema: str, pattern: str) -> None:
    files = [*(ROOT / ".github").glob(pattern)]
    assert files
    command = [str(CHECK_JSONSCHEMA), "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_alone_lists_every_target_with_its_summary() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^  ([a-z-]+) +(.*)$", done.stdout, re.MULTILINE))
    assert listed == HELP
    assert set(listed) == TARGETS


def test_every_target_is_phony() -> None:
    phony = MAKEFILE.replace("\\\n", " ").partition(".PHONY:")[2].partition("\n")[0]
    assert set(phony.split()) == TARGETS
