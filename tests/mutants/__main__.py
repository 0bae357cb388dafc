"""``python -m tests.mutants``: put small faults into the code, one at a time, and run its tests.

A sample is drawn by its seed from all places of the code. Each result is kept, so that the next
call goes on where this one ends. The code is changed in a copy of the repository only.
"""

import argparse
import difflib
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import lua_sites, python_sites
from tests.mutants.baseline import Baseline, record
from tests.mutants.mutation import Candidate, Mutation, draw
from tests.mutants.trial import Trial, try_mutation

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "test-output" / "mutants"
_CODE = ("api", "pipeline", "render")
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".*_cache", "__pycache__", "test-output", "demo-out", "dist", "node_modules"
)
_SIDE_BY_SIDE = 2
#: Share of the mutations that are to be found, time-outs apart.
_WANTED = 0.95


def main() -> int:
    """Run a batch; exit status 1 if fewer mutations than wanted were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws the sample")
    parser.add_argument("--sample", type=int, default=200, help="size of the sample")
    parser.add_argument("--batch", type=int, default=200, help="mutations to try in this call")
    parser.add_argument("--only", default="", help="begin of the paths to draw from")
    chosen = parser.parse_args()
    # A shell starts what runs in the background with SIGINT ignored, and so would be the processes
    # that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory = OUTPUT / (chosen.only.strip("/").replace("/", "-") or "all")
    trees = [_copy(directory / str(number) / "tree") for number in range(_SIDE_BY_SIDE)]
    if not (OUTPUT / "baseline" / "coverage").exists():
        record(OUTPUT / "baseline", trees[0])
    baseline = Baseline(OUTPUT / "baseline")
    results = directory / f"seed-{chosen.seed}.jsonl"
    done = _results(results)
    sample = [*islice(draw(_candidates(chosen.only), chosen.seed), chosen.sample)]
    waiting = (each for each in map(_mutate, sample) if each.name not in done)
    for mutation, trial in _try_each([*islice(waiting, chosen.batch)], baseline, trees):
        row = {"name": mutation.name, **trial._asdict(), "diff": _diff(mutation)}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        done[mutation.name] = row
        print(f"{len(done):4} {trial.verdict:<9} {mutation.name}", flush=True)
    return _report(done, len(sample))


def _try_each(
    mutations: list[Mutation], baseline: Baseline, trees: list[Path]
) -> Iterator[tuple[Mutation, Trial]]:
    """Try mutations side by side, one in each tree, and yield each when its trial has ended."""
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def attempt(mutation: Mutation) -> tuple[Mutation, Trial]:
        tree = free.get()
        try:
            return mutation, try_mutation(mutation, baseline, tree)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        for ended in as_completed([pool.submit(attempt, mutation) for mutation in mutations]):
            yield ended.result()


def _copy(tree: Path) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=_LEFT_OUT, symlinks=True)
    return tree


def _candidates(only: str) -> Iterator[Candidate]:
    for folder in _CODE:
        for file in sorted((ROOT / folder).rglob("*")):
            path = str(file.relative_to(ROOT))
            if path.startswith(only):
                if file.suffix == ".py":
                    yield from python_sites.candidates(path, ROOT)
                elif file.suffix == ".lua":
                    yield from lua_sites.candidates(path, ROOT)


def _mutate(candidate: Candidate) -> Mutation:
    if candidate.path.endswith(".lua"):
        return lua_sites.mutate(candidate, ROOT)
    return python_sites.mutate(candidate, ROOT)


def _results(file: Path) -> dict[str, dict[str, object]]:
    if not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return {row["name"]: row for row in rows}


def _diff(mutation: Mutation) -> str:
    before = (ROOT / mutation.path).read_text("utf-8").splitlines()
    lines = difflib.unified_diff(before, mutation.code.splitlines(), lineterm="", n=1)
    return "\n".join([*lines][2:])


def _report(done: dict[str, dict[str, object]], size: int) -> int:
    counts = Counter(str(row["verdict"]) for row in done.values())
    judged = len(done) - counts["timeout"]
    share = 1 - counts["survived"] / judged if judged else 1.0
    for row in done.values():
        if row["verdict"] == "survived":
            print(f"\nnot found by {row['tests']} tests: {row['name']}\n{row['diff']}")
    print(
        f"\n{len(done)} of {size} tried: {counts['unit']} found by unit tests, "
        f"{counts['other']} by contract and integration tests, {counts['e2e']} by tests of whole "
        f"processes, {counts['survived']} not found, {counts['timeout']} timed out; "
        f"found {share:.1%}"
    )
    return int(share < _WANTED)


if __name__ == "__main__":
    sys.exit(main())
