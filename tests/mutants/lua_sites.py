"""Mutations of Lua scripts: comparisons, logic, numbers, and whole calls of a command.

Numbers of keys and arguments are left out, because every use of the script shows such a change.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.mutation import Candidate, Mutation

_REPLACEMENTS = {
    "==": ("~=",),
    "~=": ("==",),
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    ">": (">=", "<"),
    ">=": (">", "<"),
    "and": ("or",),
    "or": ("and",),
    "not": ("",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "true": ("false",),
    "false": ("true",),
}
_CALL = "remove call"
_MASKED = re.compile(r'--[^\n]*|"(?:\\.|[^"\\])*"|(?:KEYS|ARGV)\[[^\]]*\]')
_TOKEN = re.compile(r"\b(?:and|or|not|true|false)\b|==|~=|<=|>=|<|>|[+*]|-(?= )|\b\d+(?:\.\d+)?\b")
_STATEMENT = re.compile(r"^[ \t]*(?:redis\.call|call_back|recall|count_end|count)\(", re.MULTILINE)

_Change = tuple[int, int, str, str]  # start, end, replacement, operator


def candidates(path: str, root: Path) -> Iterator[Candidate]:
    """Yield what can be changed in a Lua file."""
    source = (root / path).read_text("utf-8")
    for occurrence, (start, _, _, operator) in enumerate(_changes(source)):
        line = source.count("\n", 0, start) + 1
        column = start - source.rfind("\n", 0, start) - 1
        yield Candidate(path, line, column, operator, occurrence)


def mutate(candidate: Candidate, root: Path) -> Mutation:
    """Return the mutation of a candidate."""
    source = (root / candidate.path).read_text("utf-8")
    start, end, replacement, _ = [*_changes(source)][candidate.occurrence]
    return Mutation(*candidate[:4], source[:start] + replacement + source[end:])


def _changes(source: str) -> Iterator[_Change]:
    code = _MASKED.sub(lambda found: "x" * len(found[0]), source)
    for found in _TOKEN.finditer(code):
        token = found[0]
        for replacement in _REPLACEMENTS.get(token) or _near(token):
            yield found.start(), found.end(), replacement, f"{token} -> {replacement or 'nothing'}"
    for found in _STATEMENT.finditer(code):
        start = found.end() - 1
        yield found.start(), _closing(code, start), "", _CALL


def _near(number: str) -> tuple[str, ...]:
    value = float(number) if "." in number else int(number)
    return (str(value + 1),) if value == 0 else (str(value + 1), str(value - 1))


def _closing(code: str, opening: int) -> int:
    """Return the offset behind the parenthesis that closes the one at ``opening``."""
    depth = 0
    for offset in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[offset], 0)
        if depth == 0:
            return offset + 1
    raise ValueError("a parenthesis is not closed")
