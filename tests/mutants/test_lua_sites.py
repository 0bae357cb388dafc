"""Each mutation of a script is a script of its own, and a seed always draws the same ones."""

from itertools import islice
from pathlib import Path

import pytest
import redis

from pipeline.ledger.scripts import _constants
from tests.mutants.lua_sites import candidates, mutate
from tests.mutants.mutation import Candidate, draw

ROOT = Path(__file__).parents[2]
LUA = ROOT / "pipeline" / "ledger" / "lua"
NAMES = sorted(file.name for file in LUA.glob("*.lua"))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_script_of_its_own(name: str, redis_url: str) -> None:
    path = str((LUA / name).relative_to(ROOT))
    original = (LUA / name).read_text("utf-8")
    before = _constants() + ("" if name == "prelude.lua" else (LUA / "prelude.lua").read_text())
    found = [mutate(each, ROOT) for each in candidates(path, ROOT)]
    assert found
    assert len({mutation.code for mutation in found} - {original}) == len(found)
    with redis.Redis.from_url(redis_url) as client:
        for mutation in found:
            client.script_load(before + mutation.code)  # refused if it cannot be compiled


def test_what_is_changed_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.lua").write_text(
        "if a == 1 and not b then -- or 2\n"
        '    redis.call("HSET", KEYS[1], "a < 3",\n        f(ARGV[2]))\nend\n'
    )
    operators = [each.operator for each in candidates("a.lua", tmp_path)]
    assert operators == [
        "== -> ~=",
        "1 -> 2",
        "1 -> 0",
        "and -> or",
        "not -> nothing",
        "remove call",
    ]
    removed = mutate([*candidates("a.lua", tmp_path)][-1], tmp_path)
    assert removed.code == "if a == 1 and not b then -- or 2\n\nend\n"


def test_a_seed_draws_the_same_and_each_place_once() -> None:
    found = [Candidate("a", line, 0, str(op), 0) for line in range(50) for op in range(line)]
    first, again, other = ([*islice(draw(found, seed), 20)] for seed in (1, 1, 2))
    assert first == again != other
    assert len({each.line for each in first}) == 20
    assert {each.line for each in draw(found, 3)} == set(range(1, 50))
