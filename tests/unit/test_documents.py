"""The pages for those who change the code name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = re.compile(r"`((?:api|pipeline|render|deploy|tests)/[\w./-]*)`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = set(_PATH.findall((ROOT / page).read_text("utf-8")))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_architecture_names_every_package_and_module_of_the_top() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for room in ("api", "pipeline", "render"):
        for path in (ROOT / room).iterdir():
            if path.name.startswith("_") or (path.is_file() and path.suffix != ".py"):
                continue
            name = path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")
            assert f"`{name}`" in text, name
