"""A worker's clock that is an hour wrong, all at once, either way."""

from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.files import make_private_directory
from tests.faults.scene import Scene

_HOUR = 3600
_PLACES = ("/usr/lib", "/usr/local/lib")
_OFFSET = "clock-offset"


def libfaketime() -> Path | None:
    """Return where the preloaded library is, if `make debian-packages` has installed it."""
    found = (path for place in _PLACES for path in Path(place).glob("**/libfaketimeMT.so.1"))
    return next(found, None)


def shifted_clock(directory: Path) -> Mapping[str, str]:
    """Return the environment of a process whose clock is wrong by what a file says."""
    library = libfaketime()
    if library is None:
        raise FileNotFoundError("libfaketime is missing; `make debian-packages` installs it")
    offset = make_private_directory(directory) / _OFFSET
    offset.write_text("+0\n")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset.absolute()),
        "FAKETIME_CACHE_DURATION": "1",
        # A real step changes the time of day; what measures durations goes on.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


def clock_forward(scene: Scene) -> None:
    """One worker's clock steps an hour ahead."""
    _step(scene, _HOUR)


def clock_back(scene: Scene) -> None:
    """One worker's clock steps an hour back."""
    _step(scene, -_HOUR)


def _step(scene: Scene, seconds: int) -> None:
    offset = scene.rig.stack.data_dir.parent / _OFFSET
    with scene.busy(most=80):
        scene.begin()
        offset.write_text(f"{seconds:+}\n")
        scene.last(30)
        offset.write_text("+0\n")
