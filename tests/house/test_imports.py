"""Who may import whom. Rooms meet over the protocol only; the house's plan is in README.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("protocol", "paillier", "firmware", "gateway", "mdms", "scripts", "hardware")
MAY = {
    "protocol": set(),
    "paillier": set(),
    "firmware": {"protocol"},
    "gateway": {"protocol", "paillier"},
    "mdms": {"protocol", "paillier"},
    "scripts": {"protocol", "paillier", "gateway", "mdms"},
    "hardware": set(),
}
PRIVATE_HALF = "paillier.private"
BOTH_INTERPRETERS = ("wire.py", "keychain.py")


def modules(tree, package):
    """Yield every module that a file imports, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*parts, *((node.module,) if node.module else ())))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def trespasses(room, path, text):
    """Return what a file of a room imports and may not."""
    inside = path.relative_to(ROOT).parts[:-1]
    return [name for name in modules(ast.parse(text), inside) if is_trespass(room, inside, name)]


def is_trespass(room, inside, name):
    other = name.split(".")[0]
    if other == "tests" or (other in ROOMS and other != room and other not in MAY[room]):
        return True
    if room == "firmware" and other == "protocol":
        return name.split(".")[1:2] not in ([], ["wire"], ["keychain"])
    return room != "paillier" and name.startswith(PRIVATE_HALF) and not may_decrypt(inside)


def may_decrypt(inside):
    return inside[:2] == ("mdms", "keyholder") or inside[:1] == ("scripts",)


def files():
    return [(room, path) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        assert not trespasses(room, path, path.read_text()), path


def test_the_rooms_are_there():
    assert {room for room, _ in files()} == set(ROOMS)


def test_only_board_files_touch_the_machine():
    for path in (ROOT / "firmware").rglob("*.py"):
        if "board" not in path.parts:
            names = set(modules(ast.parse(path.read_text()), ()))
            assert not names & {"machine", "network", "esp32", "rp2"}, path


def test_no_room_has_a_drawer_for_anything():
    for _, path in files():
        assert path.name not in ("utils.py", "util.py", "helpers.py", "common.py", "misc.py"), path


def test_a_planted_trespass_is_found():
    gateway = ROOT / "gateway" / "planted.py"
    assert trespasses("gateway", gateway, "import mdms.store") == ["mdms.store"]
    assert trespasses("gateway", gateway, "from paillier import private")
    assert trespasses("gateway", gateway, "from firmware.meter import seal")
    assert trespasses("mdms", ROOT / "mdms" / "store.py", "from paillier.private.key import PrivateKey")
    assert trespasses("protocol", ROOT / "protocol" / "x.py", "import gateway")
    assert trespasses("firmware", ROOT / "firmware" / "meter" / "x.py", "from protocol import reports")
    assert trespasses("hardware", ROOT / "hardware" / "planted.py", "from firmware.meter import registers")
    gate = ROOT / "mdms" / "keyholder" / "gate.py"
    assert not trespasses("mdms", gate, "from paillier.private.decryption import Decryptor")
    assert not trespasses("protocol", ROOT / "protocol" / "x.py", "from .documents import sign")
