"""Leaves out what no module of a board's firmware names: the functions that only the other end of the line needs.

`protocol/` is the same file at both ends; a function costs a board about 90 bytes of heap, whether it is called or not.
Rule: a function or a constant at a module's top level goes only where its name appears nowhere else in the package, in
whatever meaning, not even in a text. What tools call by the raw REPL stays: all of the modules in DOORS.
Lines keep their numbers.
"""

import ast
import re
from collections import Counter

# What a person's tools, a test or the boot calls by name.
DOORS = (
    "firmware.board.esp32",
    "firmware.board.rp2",
    "firmware.console",
    "firmware.main",
    "firmware.meter.bench",
    "firmware.meter.calibration",
    "firmware.start",
)
_WORD = re.compile(r"\w+")


def prune(sources: dict[str, str]) -> dict[str, str]:
    """Return the sources, by the modules' dotted names, without what nothing in them names."""
    while True:
        pruned = _once(sources)
        if pruned == sources:
            return sources
        sources = pruned


def _once(sources: dict[str, str]) -> dict[str, str]:
    trees = {name: ast.parse(source) for name, source in sources.items()}
    named: Counter[str] = Counter()
    for tree in trees.values():
        named.update(_names(tree))
    return {name: source if name in DOORS else _without(source, trees[name], named) for name, source in sources.items()}


def _names(node: ast.AST) -> Counter[str]:
    """Count what a piece of source names: in names, attributes, imports, arguments and texts."""
    found: Counter[str] = Counter()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found[part.id] += 1
        elif isinstance(part, ast.Attribute):
            found[part.attr] += 1
        elif isinstance(part, ast.alias):
            found.update(_WORD.findall(part.name))
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.update(_WORD.findall(part.value))
    for part in ast.walk(node):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str):
            found.subtract(_WORD.findall(part.value.value))  # a docstring is for readers
    return found


def _without(source: str, tree: ast.Module, named: Counter[str]) -> str:
    lines = source.splitlines(keepends=True)
    for node in tree.body:
        name = _bound(node)
        if name and not named[name] - _names(node)[name]:
            assert node.end_lineno is not None, "every node of a parsed source has one"
            for number in range(_first_line(node) - 1, node.end_lineno):
                lines[number] = "\n"
    return "".join(lines)


def _bound(node: ast.stmt) -> str:
    """Return the name of a function, or of a constant in capitals; empty for whatever else."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id if node.targets[0].id.isupper() and not _calls(node.value) else ""
    return ""


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    return min([node.lineno, *(each.lineno for each in decorators)])


def _calls(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))
