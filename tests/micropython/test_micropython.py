"""The same tests and the official vectors under MicroPython itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
sys.path.insert(0, str(ROOT / "tests" / "firmware" / "shim"))
sys.path.insert(0, str(Path(__file__).parent))

import run  # noqa: E402 - the path has to be set first
import vectors  # noqa: E402

from firmware.meter.seal import Ccm  # noqa: E402
from protocol import keychain  # noqa: E402


def micropython(*arguments, directory=ROOT):
    return subprocess.run(
        [MICROPYTHON, "-X", "heapsize=32M", *map(str, arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def shared_vectors():
    places = [Path(os.environ["HUSHMETER_SHARED"])] if "HUSHMETER_SHARED" in os.environ else []
    for place in [*places, ROOT.parent / "shared"]:
        if (place / "vectors").is_dir():
            return place / "vectors"
    pytest.skip("no official vectors: neither $HUSHMETER_SHARED/vectors nor ../shared/vectors exists")


def collected_by_pytest():
    files = [
        str(path)
        for folder in ("firmware", "protocol_both")
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
        if path.stem in run.MODULES
    ]
    assert len(files) == len(run.MODULES)
    listing = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-o", "addopts=-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return sum("::test_" in line for line in listing.stdout.splitlines())


def test_micropython_passes_as_many_tests_as_cpython_collects():
    result = micropython("tests/micropython/run.py")
    expected = collected_by_pytest()
    assert expected > 100
    assert result.stdout.splitlines()[-1] == f"{expected} passed, 0 failed", result.stdout[-3000:] + result.stderr


def test_the_runner_fails_for_a_failing_test_a_missing_and_an_empty_module(tmp_path):
    (tmp_path / "tests" / "firmware").mkdir(parents=True)
    (tmp_path / "tests" / "micropython").mkdir()
    runner = tmp_path / "tests" / "micropython" / "run.py"
    runner.write_text((ROOT / "tests" / "micropython" / "run.py").read_text())
    modules = tmp_path / "tests" / "firmware"
    (modules / "test_good.py").write_text("def test_a():\n    pass\n")
    (modules / "test_bad.py").write_text("def test_a():\n    assert 1 == 2\ndef test_b():\n    pass\n")
    (modules / "test_empty.py").write_text("")
    for name, line, code in (
        ("test_good", "1 passed, 0 failed", 0),
        ("test_bad", "1 passed, 1 failed", 1),
        ("test_empty", "0 passed, 1 failed", 1),
        ("test_missing", "0 passed, 1 failed", 1),
    ):
        result = micropython("tests/micropython/run.py", name, directory=tmp_path)
        assert (result.stdout.splitlines()[-1], result.returncode) == (line, code)


def test_every_official_vector_is_right_under_micropython():
    result = micropython("tests/micropython/vectors.py", shared_vectors())
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines() == [
        "wycheproof/aes_ccm_test.json: 368 right, 184 refused (192-bit), 0 wrong ",
        "ccm_nist/aes_ccm_nist_rfc3610.json: 243 right, 104 refused (192-bit), 0 wrong ",
        "wycheproof/hmac_sha256_test.json: 174 right, 0 refused (192-bit), 0 wrong ",
    ]


def test_every_official_vector_is_right_under_cpython():
    directory = str(shared_vectors())
    for tally in (vectors.run_wycheproof(directory), vectors.run_nist(directory), vectors.run_hmac(directory)):
        assert tally.right > 100
        assert tally.wrong == []


def test_the_vectors_notice_a_tag_whose_last_byte_is_ignored(monkeypatch):
    directory = str(shared_vectors())
    monkeypatch.setattr("firmware.meter.seal.equal", lambda a, b: keychain.equal(a[:-1], b[:-1]))
    assert len(vectors.run_wycheproof(directory, Ccm).wrong) > 5


def test_the_vectors_notice_a_ccm_that_takes_any_tag_length(monkeypatch):
    class Lax(Ccm):
        def __init__(self, tag_bytes):
            self._tag_bytes = tag_bytes

    directory = str(shared_vectors())
    assert vectors.run_nist(directory, Lax).wrong
