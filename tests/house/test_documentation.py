"""The documentation says what there is: every setting, command and option is in it, and what it names exists."""

import argparse
import ast
import importlib
import re
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path

import click
import pytest

from gateway.config import Config

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {"node_modules", ".venv", ".git", ".pytest_cache", ".hypothesis", "out", "build"}
FOLDERS = ("protocol", "paillier", "firmware", "gateway", "mdms", "scripts", "tests", "docs", "hardware", ".ci")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?\Z")
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)\Z")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


@cache
def pages():
    found = [path for path in ROOT.rglob("*.md") if not OUTSIDE & set(path.relative_to(ROOT).parts)]
    return {path: path.read_text() for path in sorted(found)}


def prose(text):
    return FENCE.sub("", text)


def named(path):
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", list(pages()), ids=named)

# --- Links and names --------------------------------------------------------------------------------------------


def anchors(text):
    """Return the anchors of a page's headings, as code hosting sites make them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page, text):
    broken = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    return broken


def names_without_file(page, text):
    """Return what a page names in code style as a file of the repository, and is none."""
    missing = []
    for code in CODE.findall(prose(text)):
        test = TEST.match(code)
        if test:
            file = ROOT / test[1]
            if not file.exists() or not re.search(rf"^(async )?def {test[2]}\(", file.read_text(), re.M):
                missing.append(code)
        elif PLACE.match(code) and is_ours(page, code) and not is_there(page, code):
            missing.append(code)
    return missing


def is_ours(page, code):
    if code.startswith("../shared"):
        return False  # beside the repository, and not everybody has it
    first, slash, _ = code.partition("/")
    inside = page.parent != ROOT and first and (page.parent / first).is_dir()
    return bool(slash) and (first in FOLDERS or bool(inside))


def is_there(page, code):
    return any(next(place.glob(code.rstrip("/")), None) for place in (ROOT, page.parent))


@every_page
def test_every_relative_link_resolves(page):
    assert broken_links(page, pages()[page]) == []


@every_page
def test_every_file_and_test_that_is_named_exists(page):
    assert names_without_file(page, pages()[page]) == []


def test_the_planted_names_are_found():
    page = ROOT / "docs" / "planted.md"
    assert broken_links(page, "[a](none.md) [b](README.md#no-such-heading) [c](README.md)") == [
        "none.md",
        "README.md#no-such-heading",
    ]
    text = "`gateway/none.py`, `tests/house/test_imports.py::test_none`, `gateway/ledger.py`, `run/street/x.csv`"
    assert names_without_file(page, text) == ["gateway/none.py", "tests/house/test_imports.py::test_none"]


# --- Tables -----------------------------------------------------------------------------------------------------


def sections(page):
    """Return {heading: its text up to the next heading} of a page."""
    parts = re.split(r"^#+ (.*)\n", pages()[page], flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text):
    """Return {what stands in code style in a table's first column: the second column}."""
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]*?) \|", text, re.M))


def difference(documented, real):
    return {"not documented": sorted(set(real) - set(documented)), "not there": sorted(set(documented) - set(real))}


NOTHING = {"not documented": [], "not there": []}

# --- Settings ---------------------------------------------------------------------------------------------------

CONFIGURATION = ROOT / "docs" / "reference" / "configuration.md"
TAKES = ("take", "text", "place", "optional_place", "key")
READERS = ("load_mdms_config", "conductor", "regions")


def keys_read_by(*functions):
    """Return the keys that functions of mdms/config.py take from their TOML table."""
    tree = ast.parse((ROOT / "mdms" / "config.py").read_text())
    wanted = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    assert len(wanted) >= len(functions)
    return {
        call.args[0].value
        for function in wanted
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in TAKES
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_key_of_the_gateway_is_documented():
    documented = rows(sections(CONFIGURATION)["gateway.toml"])
    assert difference(documented, [field.name for field in fields(Config)]) == NOTHING


@pytest.mark.parametrize(
    ("heading", "functions"),
    [
        ("mdms.toml", READERS),
        ("keyholder.toml", ("load_keyholder_config", "conductor")),
    ],
)
def test_every_key_of_the_mdms_is_documented(heading, functions):
    keys = keys_read_by(*functions)
    assert len(keys) > 7
    assert difference(rows(sections(CONFIGURATION)[heading]), keys) == NOTHING


def test_the_gateways_defaults_are_the_documented_ones():
    for line in re.findall(r"^\| `.*$", sections(CONFIGURATION)["gateway.toml"], re.M):
        name, _, default = (cell.strip().strip("`").strip('"') for cell in line.split("|")[1:4])
        (field,) = (field for field in fields(Config) if field.name == name)
        value = list(field.default) if isinstance(field.default, tuple) else field.default
        real = "required" if value is MISSING else str(value)
        assert default == (real.lower() if isinstance(field.default, bool) else real), name


def test_the_page_that_the_command_names_has_every_key_too():
    text = pages()[ROOT / "docs" / "how-to" / "run-a-concentrator.md"]
    for field in fields(Config):
        assert re.search(rf"^(# )?{field.name} = ", text, re.M), field.name


# --- Commands ---------------------------------------------------------------------------------------------------

COMMANDS = ROOT / "docs" / "reference" / "commands.md"


def command_modules():
    """Yield (module, how it is called) of everything that a person can run with `python -m`."""
    for path in sorted((ROOT / "scripts").glob("*.py")):
        if 'if __name__ == "__main__"' in path.read_text():
            yield f"scripts.{path.stem}", f"python -m scripts.{path.stem}"
    for path in sorted(ROOT.glob("*/__main__.py")) + sorted((ROOT / "scripts").glob("*/__main__.py")):
        package = ".".join(path.relative_to(ROOT).parts[:-1])
        yield f"{package}.__main__", f"python -m {package}"


def click_commands():
    """Yield (how it is called, click command or argparse parser) of every command and subcommand."""
    for module, called in command_modules():
        names = vars(importlib.import_module(module))
        if "make_parser" in names:  # argparse: what has to run without click
            yield called, names["make_parser"]()
            continue
        (root,) = groups_or_commands(list(names.values()))
        yield called, root
        if isinstance(root, click.Group):
            yield from ((f"{called} {name}", command) for name, command in root.commands.items())


def groups_or_commands(values):
    groups = [value for value in values if isinstance(value, click.Group)]
    return groups or [value for value in values if isinstance(value, click.Command)]


def parameters(command):
    if isinstance(command, argparse.ArgumentParser):
        names = [name for action in command._actions for name in action.option_strings or [action.dest]]
        return [name for name in names if name not in ("-h", "--help")]
    found = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            found.append(parameter.make_metavar(click.Context(command)).strip("[]."))
        else:
            found += [name for name in parameter.opts if name.startswith("--") and name != "--help"]
    return found


@pytest.mark.parametrize(("called", "command"), list(click_commands()))
def test_every_command_and_option_is_documented(called, command):
    assert called in sections(COMMANDS)
    assert difference(rows(sections(COMMANDS)[called]), parameters(command)) == NOTHING


def test_no_command_is_documented_that_is_not_there():
    documented = {heading for heading in sections(COMMANDS) if heading.startswith("python -m")}
    assert documented == {called for called, _ in click_commands()}


def make_targets():
    return set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))


def test_every_make_target_is_documented():
    documented = rows_of_one_column(sections(COMMANDS)["make"])
    assert difference(documented, {f"make {target}" for target in make_targets()}) == NOTHING


def rows_of_one_column(text):
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.M))


def typed(text):
    """Return every line of a page's shell blocks, and everything in code style."""
    blocks = [body for kind, body in FENCE.findall(text) if kind == "sh"]
    return "\n".join([*blocks, *CODE.findall(prose(text))])


@every_page
def test_every_make_target_that_is_named_exists(page):
    named_targets = set(re.findall(r"^(?:\$ )?make ([a-z][a-z0-9-]*)\b", typed(pages()[page]), re.M))
    assert named_targets <= make_targets()


@every_page
def test_every_module_that_is_run_exists(page):
    for module in re.findall(
        r"python -m ((?:scripts|gateway|mdms|paillier|protocol|hardware)[\w.]*)", typed(pages()[page])
    ):
        if not module.endswith("NAME"):
            place = ROOT.joinpath(*module.split("."))
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


@every_page
def test_every_option_in_a_shell_block_exists(page):
    known = {called: set(parameters(command)) for called, command in click_commands()}
    blocks = "\n".join(body for kind, body in FENCE.findall(pages()[page]) if kind == "sh")
    for line in blocks.replace("\\\n", " ").splitlines():
        line = line.replace("make replay ", "python -m scripts.replay ").split("#")[0]
        called = max((name for name in known if f"{name} " in f"{line} "), key=len, default=None)
        if called:
            used = set(re.findall(r"(--[a-z][a-z-]*)", line.split(called, 1)[1])) - {"--help"}
            assert used <= known[called], line


# --- Manners ----------------------------------------------------------------------------------------------------


@every_page
def test_no_page_names_a_place_on_somebodys_machine(page):
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|home|root)/", pages()[page])


def test_there_is_a_page_for_every_room_and_the_readme_names_it():
    readme = pages()[ROOT / "README.md"]
    for folder in FOLDERS:
        if not folder.startswith("."):
            assert f"]({folder}/README.md)" in readme, folder


def test_every_key_of_a_meter_is_documented_with_its_default():
    tree = ast.parse((ROOT / "firmware" / "configuration.py").read_text())
    (keys,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "KEYS")
    real = {key: default for key, (default, _) in ast.literal_eval(keys).items()}
    documented = rows(sections(CONFIGURATION)["meter.toml"])
    assert difference(documented, real) == NOTHING
    for line in re.findall(r"^\| `.*$", sections(CONFIGURATION)["meter.toml"], re.M):
        name, _, default = (cell.strip().strip("`") for cell in line.split("|")[1:4])
        assert default.replace("empty", "") == str(real[name]), name
