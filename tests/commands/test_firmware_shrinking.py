"""What a board receives has fewer names than its source, the same lines, and does the same."""

import ast
import json
import types

import pytest

from protocol import wire
from scripts.firmware_folding import fold
from scripts.firmware_package import PACKAGE, dotted, shrunk
from scripts.firmware_parameters import KNOWN, rename
from scripts.firmware_pruning import DOORS, prune

ONE = '''"""A module."""
import struct
PLAIN = 3
MADE = PLAIN << 2 | 1
_LAYOUT = ">BH"
BYTES = struct.calcsize(_LAYOUT)
LOW, HIGH = -5, 7
TABLE = (PLAIN, MADE)
TWICE = 1
TWICE = 2
HIDDEN = 4
UNKNOWN = len(TABLE)

def f(HIDDEN):
    return HIDDEN + MADE - LOW
'''
OTHER = """from package import one
from package.one import (
    BYTES,
    MADE as MINE,
    f,
)
from package.one import PLAIN

def g(one_):
    return f(one.MADE), BYTES, MINE, one_.MADE, one.TWICE, PLAIN
"""


def run(source, **names):
    scope = dict(names)
    exec(source, scope)
    return scope


def test_constants_are_written_where_they_are_used_and_their_names_are_gone():
    found = fold({"package.one": ONE, "package.other": OTHER})
    one = run(found["package.one"])
    assert not {"PLAIN", "MADE", "_LAYOUT", "BYTES", "LOW", "HIGH"} & set(one)
    assert (one["TABLE"], one["TWICE"], one["HIDDEN"], one["UNKNOWN"]) == ((3, 13), 2, 4, 2)
    assert one["f"](1) == 1 + 13 + 5
    assert "return f(13), 3, 13, one_.MADE, one.TWICE, 3" in found["package.other"]
    assert "from package.one import f" in found["package.other"]


def test_lines_keep_their_numbers():
    for name, source in fold({"package.one": ONE, "package.other": OTHER}).items():
        before, after = ast.parse({"package.one": ONE, "package.other": OTHER}[name]), ast.parse(source)
        assert [node.lineno for node in before.body] == [node.lineno for node in after.body], name
        assert source.count("\n") == (ONE if name.endswith("one") else OTHER).count("\n")


def test_what_cannot_be_folded_is_said():
    with pytest.raises(ValueError, match="line 2"):
        fold({"one": 'A = 1\nB = f"{A}"\n'})


def test_what_nothing_names_is_left_out_and_what_a_text_names_stays():
    sources = {
        "one": "".join(
            f"def {name}():\n    return {body}\n\n"
            for name, body in (("used", 1), ("chain", 2), ("unused", "chain()"), ("told", 3))
        ),
        "other": "from one import used\nNAMES = {'x': 'told'}\nprint(used, NAMES)\n",
        DOORS[0]: "def asked_by_a_person():\n    pass\n",
    }
    found = prune(sources)
    assert {name for name in run(found["one"]) if not name.startswith("__")} == {"used", "told"}
    assert found[DOORS[0]] == sources[DOORS[0]]
    assert found["one"].count("\n") == sources["one"].count("\n")


def test_parameters_get_known_names_unless_a_call_names_them():
    source = (
        "import math\n"
        "x = 2\n"
        "def f(a_long_name, kept=1, *, only=3):\n"
        "    return sum(a_long_name + each for each in (kept, only))\n"
        "def g(number, key, math=math):\n"
        "    value = number\n"
        "    return value + key + f(number, kept=x)\n"
    )
    found = rename({"one": source})["one"]
    assert "def f(key, kept=1, *, only=3):" in found
    assert "def g(index, key, math=math):" in found
    assert run(found)["g"](5, 6) == run(source)["g"](5, 6)
    assert all(name.isidentifier() for name in KNOWN)


def module(name, source):
    made = types.ModuleType(name)
    exec(compile(source, name, "exec"), made.__dict__)
    return made


def test_the_shrunk_agreement_packs_and_parses_as_its_source_does():
    small = module("wire", shrunk()["protocol.wire"])
    header = wire.Header(wire.READING, b"HSMhil01", 20514, b"salt", 123456)
    reading = wire.Reading(1, 1969425, 1969426 * 900, 900, 512345, 0, 123456789012, 234567890, wire.APPARENT_ONLY)
    detail = wire.Detail(1772482500, 60, 1, 2, 3, 4, 2300, 800, -900, 0)
    event = wire.Event(wire.FIRMWARE_VERSION, 1772482500, 1, "0.1.0")
    for packs, given in (("pack_header", header), ("pack_reading", reading), ("pack_detail", detail)):
        assert getattr(small, packs)(given) == getattr(wire, packs)(given)
    assert small.pack_event(event) == wire.pack_event(event)
    line = wire.encode_link(wire.pack_header(header) + bytes(range(200)))
    assert small.encode_link(wire.pack_header(header) + bytes(range(200))) == line
    ranges = [wire.Range(b"salt", 5, 2, wire.STORED)]
    assert small.parse_ack(wire.pack_ack(ranges)) == ranges
    config = wire.Config(900, 60, 1772482500)
    assert small.parse_config(wire.pack_config(config)) == config
    with pytest.raises(ValueError, match="import energy"):
        small.pack_reading(reading._replace(import_mwh=1 << 32))
    assert not hasattr(small, "READING") and not hasattr(small, "open_row")


def test_every_file_of_the_package_is_shrunk_and_keeps_its_lines():
    urls = json.loads(PACKAGE.read_text())["urls"]
    sources, found = {dotted(name): (PACKAGE.parent / source).read_text() for name, source in urls}, shrunk()
    assert set(found) == set(sources)
    names = [
        {node.id for node in ast.walk(ast.parse(each["protocol.wire"])) if isinstance(node, ast.Name)}
        for each in (sources, found)
    ]
    assert len(names[1]) < len(names[0]) - 60
    for name, source in found.items():
        assert source.count("\n") == sources[name].count("\n"), name
