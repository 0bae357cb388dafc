"""The version is written in pyproject.toml and in no other file."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
#: The changelog has the versions of all releases, and the pins those of other packages.
_EXEMPT = {"pyproject.toml", "CHANGELOG.md", "constraints.txt"}


def tracked_files() -> list[str]:
    """Return the names of the files under version control."""
    command = ["git", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_other_file_has_the_version() -> None:
    release = re.match(r"[\d.]*\d", VERSION)
    assert release
    # Neither within an IP address nor within a longer number.
    version = re.compile(rf"(?<![\d.]){re.escape(release[0])}(?!\d|\.\d)".encode())
    files = [name for name in tracked_files() if name not in _EXEMPT]
    assert [name for name in files if version.search((ROOT / name).read_bytes())] == []


def test_the_overlay_for_production_leaves_the_release_to_the_operator() -> None:
    overlay = ROOT / "deploy" / "kubernetes" / "overlays" / "production" / "kustomization.yaml"
    (tag,) = re.findall(r"newTag: ([\w.]+)", overlay.read_text("utf-8"))
    assert tag == "RELEASE"
