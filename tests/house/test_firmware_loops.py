"""The loops in machine code are the plain ones, word for word: only the decorator and the types differ."""

import ast
from pathlib import Path

METER = Path(__file__).resolve().parents[2] / "firmware" / "meter"


def bodies(name):
    tree = ast.parse((METER / name).read_text())
    return {f.name: ast.dump(ast.Module(f.body, [])) for f in tree.body if isinstance(f, ast.FunctionDef)}


def test_both_loops_have_the_same_bodies():
    plain = bodies("loops.py")
    assert set(plain) == {"one", "two"}
    assert plain == bodies("loops_viper.py") | bodies("loops_viper_two.py")
