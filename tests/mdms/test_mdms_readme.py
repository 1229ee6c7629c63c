"""The room's README names every setting and every command; the code has no other."""

import dataclasses
import subprocess
import sys
from pathlib import Path

from mdms.__main__ import cli
from mdms.config import KeyholderConfig, MdmsConfig

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "mdms" / "README.md").read_text()


def test_every_setting_is_in_the_readme():
    for config in (MdmsConfig, KeyholderConfig):
        for field in dataclasses.fields(config):
            # A conductor is what the two keys of a simulated clock make together.
            for key in {"conductor": ("clock", "unsafe_simulated_clock")}.get(field.name, (field.name,)):
                assert f"`{key}`" in README, key


def test_every_command_is_in_the_readme():
    for name, command in cli.commands.items():
        configured = " --config" if any(option.name == "path" for option in command.params) else ""
        assert f"python -m mdms {name}{configured}" in README, name


def test_billing_and_forecasting_are_pure():
    loaded = "import sys, mdms.billing, mdms.forecast.calendar"
    code = f"{loaded}; assert not {{'flask', 'sqlalchemy', 'Crypto'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
