"""Mutations of Python files: the operators of Cosmic Ray, and one that removes a call.

Mutations that cannot change a result of correct code are left out:

- annotations, a change of which shows at the import or nowhere, and examples for the documentation;
- log calls;
- the ``strict`` of a ``zip``, and the ``frozen`` and ``kw_only`` of a class, which are assertions;
- ``@cache``, which changes only how long a result takes.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

from tests.mutants.mutation import Candidate, Mutation

REMOVE_CALL = "RemoveCall"
#: Operators that need arguments.
_NEED_ARGUMENTS = {"VariableInserter", "VariableReplacer"}
_OPERATORS = OperatorProvider()
_NAMES = [name for name in _OPERATORS if name not in _NEED_ARGUMENTS]

_Span = tuple[tuple[int, int], tuple[int, int]]


def candidates(path: str, root: Path) -> Iterator[Candidate]:
    """Yield what can be changed in a Python file."""
    source = (root / path).read_text("utf-8")
    tree = ast.parse(source)
    skipped = [*map(_span, _skipped(tree)), *_caches(tree)]
    # Elsewhere, * and / separate parameters.
    operations = [
        _span(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.AugAssign)
    ]
    nodes = [*ast_nodes(get_ast(source))]
    for name in _NAMES:
        operator = _OPERATORS[name]()
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(starts):
            if not _within(start, skipped) and (
                not name.startswith("ReplaceBinaryOperator") or _within(start, operations)
            ):
                yield Candidate(path, start[0], start[1], name, occurrence)
    for occurrence, call in enumerate(_calls(tree)):
        yield Candidate(path, call.lineno, call.col_offset, REMOVE_CALL, occurrence)


def mutate(candidate: Candidate, root: Path) -> Mutation:
    """Return the mutation of a candidate."""
    source = (root / candidate.path).read_text("utf-8")
    if candidate.operator == REMOVE_CALL:
        code = _without_call(source, candidate.occurrence)
    else:
        operator = _OPERATORS[candidate.operator]()
        code = mutate_code(source, operator, candidate.occurrence)
    return Mutation(*candidate[:4], code)


def _without_call(source: str, occurrence: int) -> str:
    call = [*_calls(ast.parse(source))][occurrence]
    lines = source.splitlines(keepends=True)
    assert call.end_lineno is not None
    lines[call.lineno - 1 : call.end_lineno] = [f"{' ' * call.col_offset}pass\n"]
    return "".join(lines)


def _calls(tree: ast.AST) -> Iterator[ast.Expr]:
    """Yield the statements that are a call, on lines of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _logs(node):
            yield node


def _logs(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("log.")


def _skipped(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        if isinstance(node, ast.ClassDef):
            yield from (each for each in node.keywords if each.arg in {"frozen", "kw_only"})
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "zip":
            yield from node.keywords
        if _logs(node) or (isinstance(node, ast.keyword) and node.arg == "examples"):
            yield node


def _caches(tree: ast.AST) -> Iterator[_Span]:
    """Yield the places of ``@cache``, which begin with the ``@``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if ast.unparse(decorator) == "cache":
                    (line, column), end = _span(decorator)
                    yield (line, column - 1), end


def _within(place: tuple[int, int], spans: list[_Span]) -> bool:
    return any(first <= place < last for first, last in spans)


def _span(node: ast.AST) -> _Span:
    start = (node.lineno, node.col_offset)  # type: ignore[attr-defined] # only nodes with a place
    return start, (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined] # the same
