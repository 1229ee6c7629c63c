"""What a board receives is what there is, and every place that says the version says the same."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = json.loads((ROOT / "firmware" / "package.json").read_text())


def test_a_board_receives_every_file_of_the_meter():
    received = {target for target, _ in PACKAGE["urls"]}
    assert {f"firmware/meter/{path.name}" for path in (ROOT / "firmware" / "meter").glob("*.py")} <= received
    for _, source in PACKAGE["urls"]:
        assert (ROOT / "firmware" / source).is_file(), source


def test_the_version_that_a_meter_reports_is_the_packages():
    said = re.search(r'^VERSION = "(.*)"$', (ROOT / "firmware" / "main.py").read_text(), re.M).group(1)
    assert said == PACKAGE["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
