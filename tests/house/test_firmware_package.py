"""What a board receives is what there is, and every place that says the version says the same."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = json.loads((ROOT / "firmware" / "package.json").read_text())


def test_a_board_receives_every_file_of_the_meter():
    received = {target for target, _ in PACKAGE["urls"]}
    assert {f"firmware/meter/{path.name}" for path in (ROOT / "firmware" / "meter").glob("*.py")} <= received
    for _, source in PACKAGE["urls"]:
        assert (ROOT / "firmware" / source).is_file(), source


# What only the unix port runs: no chip gets it.
OFF_BOARD = {"firmware/board/unix.py", "firmware/board/waveform.py"}


def imported(text):
    """Yield the files of ours that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("firmware", "protocol"):
                place = name.replace(".", "/")
                yield from (each for each in (f"{place}.py", f"{place}/__init__.py") if (ROOT / each).is_file())


def needed(start):
    """Return every file that a board loads from its start on; a board's own files are loaded by their platform."""
    boards = {str(path.relative_to(ROOT)) for path in (ROOT / "firmware" / "board").glob("*.py")}
    waiting, found = [*start, *sorted(boards - OFF_BOARD)], set()
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting += imported((ROOT / place).read_text())
    return found | {str(Path(place).parent / "__init__.py") for place in found}


def test_a_board_receives_everything_that_it_imports():
    start = list(imported((ROOT / "firmware" / "starter.py").read_text()))
    assert "firmware/start.py" in start
    files = needed(start)
    assert {"firmware/console.py", "firmware/board/rp2.py", "firmware/meter/seal.py", "protocol/wire.py"} <= files
    assert files <= {target for target, _ in PACKAGE["urls"]}
    assert not OFF_BOARD & files


def test_every_file_lands_where_the_interpreter_looks_for_it():
    for target, source in PACKAGE["urls"]:
        assert (ROOT / "firmware" / source).resolve() == ROOT / target


def test_a_file_that_is_left_out_is_seen(monkeypatch):
    for missing in ("firmware/board/carrier.py", "firmware/status.py", "protocol/keychain.py"):
        urls = [pair for pair in PACKAGE["urls"] if pair[0] != missing]
        assert len(urls) == len(PACKAGE["urls"]) - 1
        monkeypatch.setitem(PACKAGE, "urls", urls)
        with pytest.raises(AssertionError):
            test_a_board_receives_everything_that_it_imports()
        monkeypatch.undo()


def test_the_version_that_a_meter_reports_is_the_packages():
    said = re.search(r'^VERSION = "(.*)"$', (ROOT / "firmware" / "main.py").read_text(), re.M).group(1)
    assert said == PACKAGE["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
