"""What is served of others' code is exactly what the lock file's versions give."""

import filecmp
import json
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "mdms" / "static" / "vendor"


def test_the_vendored_files_equal_a_rebuild(tmp_path):
    assert (ROOT / "node_modules" / "esbuild").is_dir(), "node_modules is missing: npm ci"
    node = shutil.which("node")
    assert node, "node is not installed"
    subprocess.run([node, "scripts/vendor.mjs", str(tmp_path / "out")], cwd=ROOT, check=True, timeout=120)
    rebuilt = {path.name for path in (tmp_path / "out").iterdir()}
    assert rebuilt == {path.name for path in VENDOR.iterdir()}
    assert filecmp.cmpfiles(VENDOR, tmp_path / "out", sorted(rebuilt), shallow=False)[0] == sorted(rebuilt)


def test_versions_are_exact_and_the_lock_names_no_registry():
    package = json.loads((ROOT / "package.json").read_text())
    for versions in (package["dependencies"], package["devDependencies"]):
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert not [name for name, facts in lock["packages"].items() if "resolved" in facts]
