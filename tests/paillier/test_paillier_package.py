"""The package as a whole: its walls, its README, its manners."""

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import paillier
from paillier import errors

PACKAGE = Path(paillier.__file__).parent
PUBLIC_HALF = sorted(PACKAGE.glob("*.py"))
PRIVATE_HALF = sorted((PACKAGE / "private").glob("*.py"))
ALLOWED_FROM_OUTSIDE = {"gmpy2", "phe", "Crypto"}  # Crypto: Shamir's shares


def imported_by(path: Path) -> set[str]:
    """The modules that a file imports: '.name' for the package's own, the top-level name for others."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names |= {"." + (node.module or alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_the_public_half_does_not_import_the_private_half():
    assert len(PUBLIC_HALF) > 5 and len(PRIVATE_HALF) > 3
    for path in PUBLIC_HALF:
        assert not any(name.startswith((".private", "paillier")) for name in imported_by(path)), path.name


def test_the_package_imports_only_itself_the_standard_library_gmpy2_and_phe():
    for path in (*PUBLIC_HALF, *PRIVATE_HALF):
        outside = {name for name in imported_by(path) if not name.startswith(".")}
        assert outside <= ALLOWED_FROM_OUTSIDE | sys.stdlib_module_names


def test_importing_the_package_loads_neither_private_keys_nor_phe():
    program = (
        "import sys, paillier; paillier.Encryptor; "
        "print([m for m in sys.modules if m.startswith('paillier.private') or m in ('phe', 'Crypto')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert run.stdout.strip() == "[]"


def test_randomness_comes_from_the_operating_system_alone():
    for path in (*PUBLIC_HALF, *PRIVATE_HALF):
        assert "random" not in imported_by(path)
        for node in ast.walk(ast.parse(path.read_text())):
            attribute = node.attr if isinstance(node, ast.Attribute) else ""
            assert not attribute.startswith(("mpz_random", "mpz_urandom", "mpz_rrandom", "random_state"))


def test_the_readme_does_what_it_says():
    result = doctest.testfile(str(PACKAGE / "README.md"), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


def test_every_public_name_exists_and_every_error_is_exported():
    assert all(hasattr(paillier, name) for name in paillier.__all__)
    defined = {name for name, thing in vars(errors).items() if isinstance(thing, type)}
    assert defined <= set(paillier.__all__)
    assert all(issubclass(getattr(errors, name), errors.PaillierError) for name in defined)


def test_every_public_thing_has_a_docstring():
    for path in (*PUBLIC_HALF, *PRIVATE_HALF):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path.name
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
