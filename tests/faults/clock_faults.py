"""A worker's clock that is an hour wrong, all at once, either way."""

from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.files import make_private_directory
from tests.faults.scene import Scene

_HOUR = 3600
_OFFSET = "clock-offset"


def shifted_clock(directory: Path) -> Mapping[str, str]:
    """Return the environment of a Python whose clock is wrong by the seconds that a file says."""
    offset = make_private_directory(directory) / _OFFSET
    offset.write_text("0")
    path = str(Path(__file__).with_name("clock"))
    return {"PYTHONPATH": path, "FAULTS_CLOCK_OFFSET": str(offset.absolute())}


def clock_forward(scene: Scene) -> None:
    """One worker's clock steps an hour ahead, and back again."""
    _step(scene, _HOUR)


def clock_back(scene: Scene) -> None:
    """One worker's clock steps an hour back, and ahead again."""
    _step(scene, -_HOUR)


def _step(scene: Scene, seconds: int) -> None:
    offset = scene.rig.stack.data_dir.parent / _OFFSET
    with scene.busy(most=80):
        scene.begin()
        _write(offset, seconds)
        scene.last(30)
        _write(offset, 0)


def _write(offset: Path, seconds: int) -> None:
    whole = offset.with_suffix(".new")  # a reader sees the old one or the new one
    whole.write_text(str(seconds))
    whole.replace(offset)
