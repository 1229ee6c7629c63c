"""Gives parameters names that every MicroPython knows already, so that a board need not keep their own.

A board keeps the names of a function's parameters, because a caller may use them, and of no other local name; a
traceback shows neither. A parameter that no call in the package names is renamed, in its function only; functions that
are called from outside the package keep theirs.
"""

import ast

from .firmware_folding import replaced
from .firmware_pruning import DOORS

# Interned by the interpreter itself on every port, in its own tables.
KNOWN = (
    "key",
    "value",
    "index",
    "args",
    "values",
    "end",
    "find",
    "send",
    "copy",
    "update",
    "remove",
    "insert",
    "extend",
)


def rename(sources: dict[str, str]) -> dict[str, str]:
    """Return the sources, by the modules' dotted names, with the parameters renamed that no call names."""
    trees = {name: ast.parse(source) for name, source in sources.items()}
    called = {
        node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg
    }
    return {
        name: source if name in DOORS else _renamed(source, trees[name], called) for name, source in sources.items()
    }


def _renamed(source: str, tree: ast.Module, called: set[str]) -> str:
    taken = {part.attr for part in ast.walk(tree) if isinstance(part, ast.Attribute)}
    cuts: list[tuple[ast.AST, str]] = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_left(function):
            cuts += _cuts(function, called | taken)
    return replaced(source, cuts)


def _is_left(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function stays as it is: it holds others, whose names may be its own, or it is machine code."""
    inner = [part for part in ast.walk(function) if part is not function]
    holds = any(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Global) for part in inner)
    return holds or any("micropython" in ast.unparse(each) for each in function.decorator_list)


def _cuts(function: ast.FunctionDef | ast.AsyncFunctionDef, left: set[str]) -> list[tuple[ast.AST, str]]:
    names = [part for part in ast.walk(function) if isinstance(part, ast.Name)]
    bound = {part.id for part in names} | {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    handled = {each.name for each in ast.walk(function) if isinstance(each, ast.ExceptHandler) and each.name}
    # The value of a parameter that is left out is looked up outside the function.
    outside = {part.id for each in function.args.defaults for part in ast.walk(each) if isinstance(part, ast.Name)}
    left = left | handled | outside | set(KNOWN) | {"self"}
    free = [name for name in KNOWN if name not in bound]
    cuts: list[tuple[ast.AST, str]] = []
    for parameter in function.args.args:
        name = parameter.arg
        if name in left or not free:
            continue
        known = free.pop(0)
        cuts.append((parameter, known))
        cuts += [(part, known) for part in names if part.id == name]
    return cuts
