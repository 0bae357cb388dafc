"""Wheels of this project, built as for a release."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def build_wheel(source: Path, directory: Path) -> Path:
    """Build the wheel of the project in ``source`` into an empty ``directory``; return its path."""
    alone = ("--no-deps", "--no-build-isolation")
    run(*_PIP, "wheel", *alone, "--wheel-dir", directory, source)
    (wheel,) = directory.glob("*.whl")
    return wheel


def install_into(folder: Path, wheel: Path, pins: Path) -> None:
    """Install a wheel and its dependencies, pinned by the file ``pins``, into ``folder``."""
    run(*_PIP, "install", "--constraint", pins, "--target", folder, wheel)


def run(*command: str | Path) -> None:
    """Run a command that must succeed; discard its standard output."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
