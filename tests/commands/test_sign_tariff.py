"""`scripts.sign_tariff`: what the operator's key signs is a tariff that the key holder takes, and nothing else."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mdms.rosters import RosterBook
from mdms.tariffs import load_tariffs
from protocol.documents import import_public_key
from scripts import ceremony, sign_tariff

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = (ROOT / "docs" / "how-to" / "run-an-mdms.md").read_text()
EXAMPLE = json.loads(re.search(r"```json\n(\{\"name\".*?)```", HOW_TO, re.S)[1])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    root = tmp_path_factory.mktemp("deployed")
    passphrase = root / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    options = ["--out", root / "d", "--deployment", "town", "--neighbourhood", "north", "--key-bits", "512"]
    options += ["--unsafe-small-key", "--passphrase-file", passphrase]
    made = CliRunner().invoke(ceremony.main, [str(option) for option in options])
    assert made.exit_code == 0, made.output
    return root


def sign(root, tariff):
    file = root / "tariff.json"
    file.write_text(json.dumps(tariff))
    options = ["--deployment", root / "d", "--passphrase-file", root / "passphrase", file]
    return CliRunner().invoke(sign_tariff.main, [str(option) for option in options])


def test_the_tariff_of_the_how_to_page_is_signed_and_taken(deployed):
    done = sign(deployed, EXAMPLE)
    assert done.exit_code == 0, done.output
    facts = json.loads((deployed / "d" / "public" / "deployment.json").read_text())
    folder = deployed / "d" / "public" / "tariffs"
    [found] = load_tariffs(folder, "town", import_public_key(facts["operator_key"]), RosterBook([]))
    assert (found.tariff.name, [band.name for band in found.tariff.bands]) == ("house", ["day", "night"])
    # Signed again, or as another one of the same version, it is refused and stays.
    before = (folder / "house.v1.json").read_bytes()
    assert sign(deployed, EXAMPLE).exit_code == 2
    assert sign(deployed, EXAMPLE | {"tax_ppm": 0}).exit_code == 2
    assert (folder / "house.v1.json").read_bytes() == before
    assert sign(deployed, EXAMPLE | {"version": 2}).exit_code == 2, "no later than the first"
    assert not (folder / "house.v2.json").exists()
    assert sign(deployed, EXAMPLE | {"version": 2, "valid_from": EXAMPLE["valid_from"] + 31 * 86400}).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "x", "bands": EXAMPLE["bands"][:1]}, "stands in no band"),
        ({"name": "x", "zone": "Nowhere"}, "time zone"),
        ({"name": "x", "price": 1}, "unknown field"),
    ],
)
def test_a_tariff_that_is_none_is_not_signed(deployed, changes, reason):
    done = sign(deployed, EXAMPLE | changes)
    assert done.exit_code == 2
    assert reason in done.output
    assert not (deployed / "d" / "public" / "tariffs" / "x.v1.json").exists()
