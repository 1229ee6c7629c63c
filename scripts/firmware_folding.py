"""Writes constants where they are used, so that a board need not keep their names.

Each name of a module costs a board about 14 bytes of heap for ever: its place in the module, and its place among the
interned names. Lines keep their numbers: a traceback names those of the source.
Rule 1: a constant is a name in capitals that its module binds once, at its top level, to an integer, a text or bytes
that are known before it runs.
Rule 2: what cannot be folded stays as it is. Nothing is folded that anything rebinds, in whatever scope. What a test
sets from outside must therefore be no module's constant.
"""

import ast
import operator
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Value = int | str | bytes

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_OPERATORS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}


class Unknown(Exception):
    """A value that is not known before its module runs."""


@dataclass
class Module:
    """A module's source, the constants that it binds, and what its names stand for in others."""

    source: str
    tree: ast.Module
    constants: dict[str, Value] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)  # a name here -> the module that it is
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)  # a name here -> (module, its name there)


def fold(sources: dict[str, str]) -> dict[str, str]:
    """Return the sources, by the modules' dotted names, with their constants written out."""
    modules = {name: Module(source, ast.parse(source)) for name, source in sources.items()}
    for module in modules.values():
        _resolve_imports(module, modules)
    while any([_find_constants(module, modules) for module in modules.values()]):
        pass  # a constant may be made of others
    return {name: _written(module, modules) for name, module in modules.items()}


def _resolve_imports(module: Module, modules: dict[str, Module]) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name, whole = alias.asname or alias.name, f"{node.module}.{alias.name}"
                if whole in modules:
                    module.modules[name] = whole
                elif node.module in modules:
                    module.imported[name] = (node.module, alias.name)


def _find_constants(module: Module, modules: dict[str, Module]) -> bool:
    """Find constants that were not known yet; returns whether there were any."""
    bound = _bindings(module.tree)
    known = len(module.constants)
    for name, value in _assignments(module.tree):
        if name in module.constants or bound[name] != 1:
            continue
        try:
            module.constants[name] = _value(value, module, modules)
        except Unknown:
            continue
    return len(module.constants) > known


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield (name, expression) of the top level's assignments to names in capitals."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                pairs = [(target, node.value)]
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))  # type: ignore[arg-type]
            else:
                continue
            for name, value in pairs:
                if isinstance(name, ast.Name) and _CONSTANT.fullmatch(name.id):
                    yield name.id, value


def _bindings(tree: ast.Module) -> Counter[str]:
    """Count in how many places each name is bound, in whatever scope and by whatever statement."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.arg):
            found[node.arg] += 1
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] += 1
        elif isinstance(node, ast.alias):
            found[node.asname or node.name] += 1
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found[node.name] += 1
    return found


def _value(node: ast.expr, module: Module, modules: dict[str, Module]) -> Value:
    """Return what an expression is; raises Unknown."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, str, bytes):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        one, other = _value(node.left, module, modules), _value(node.right, module, modules)
        return _OPERATORS[type(node.op)](one, other)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, module, modules))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "struct.calcsize":
        layout = _value(node.args[0], module, modules)
        if isinstance(layout, str) and layout.startswith(">"):  # of the same size on every machine
            return struct.calcsize(layout)
    if isinstance(node, ast.Name | ast.Attribute):
        found = _constant(node, module, modules)
        if found is not None:
            return found
    raise Unknown


def _constant(node: ast.expr, module: Module, modules: dict[str, Module]) -> Value | None:
    """Return the constant that a name, or a module's attribute, stands for."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in module.constants:
            return module.constants[node.id]
        if node.id in module.imported:
            other, name = module.imported[node.id]
            return modules[other].constants.get(name)
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
        other = module.modules.get(node.value.id, "")
        if other:
            return modules[other].constants.get(node.attr)
    return None


def _written(module: Module, modules: dict[str, Module]) -> str:
    """Return the source with its constants written out and their own lines emptied."""
    cuts: list[tuple[ast.AST, str]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr):
            raise ValueError(f"line {node.lineno}: the firmware formats with %, an f-string cannot be folded into")
        if isinstance(node, ast.expr):
            found = _constant(node, module, modules)
            if found is not None:
                cuts.append((node, f"({found!r})" if isinstance(found, int) and found < 0 else repr(found)))
        elif isinstance(node, ast.ImportFrom):
            cuts += _import_without_constants(node, modules)
    cuts += [(node, "pass") for node in module.tree.body if _binds_constants_only(node, module)]
    return replaced(module.source, cuts)


def _import_without_constants(node: ast.ImportFrom, modules: dict[str, Module]) -> list[tuple[ast.AST, str]]:
    if node.module not in modules:
        return []
    constants = modules[node.module].constants
    kept = [alias for alias in node.names if alias.name not in constants]
    if len(kept) == len(node.names):
        return []
    return [(node, ast.unparse(ast.ImportFrom(node.module, kept, 0)) if kept else "pass")]


def _binds_constants_only(node: ast.stmt, module: Module) -> bool:
    names = [target.id for target in ast.walk(node) if isinstance(target, ast.Name) and _stores(target)]
    return isinstance(node, ast.Assign) and bool(names) and all(name in module.constants for name in names)


def _stores(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def replaced(source: str, cuts: list[tuple[ast.AST, str]]) -> str:
    """Return the source with texts in the places of nodes; of nodes in one another the outermost counts."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    behind = (len(lines) + 1, 0)
    starts: list[tuple[tuple[int, int], tuple[int, int], str]] = sorted(
        (((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text) for node, text in cuts),  # type: ignore[attr-defined]
        key=lambda cut: (cut[0], (-cut[1][0], -cut[1][1])),
    )
    outermost = []
    reached = (0, 0)
    for start, end, text in starts:
        if start >= reached:
            outermost.append((start, end, text))
            reached = end
    for (line, column), (last, until), text in reversed(outermost):
        assert (last, until) < behind
        rest = lines[last - 1][until:]
        lines[line - 1] = lines[line - 1][:column] + text.encode() + (b"\n" * (last - line) + rest)
        for number in range(line, last):
            lines[number] = b""
    return b"".join(lines).decode()
