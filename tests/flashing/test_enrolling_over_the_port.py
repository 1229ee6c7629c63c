"""`enrol --port`: the keys go into the meter and into no file, the records to those who need them, a label beside."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner
from Crypto.PublicKey import ECC
from raw_repl import StandIn, piece

from protocol import keychain
from protocol.documents import Document, import_public_key, parse, verify
from protocol.envelopes import Envelope, fingerprint, open_root
from scripts import ceremony, enrol, label
from scripts.deployment import Deployment
from scripts.flash import board
from scripts.flash.port import Port, PortError

SMALL = ("--key-bits", "512", "--unsafe-small-key")
TITLE = "48534d0102030405"
OTHER = "48534d0a0b0c0d0e"
SINCE = 1451606400


@pytest.fixture(scope="module")
def ceremonial(tmp_path_factory):
    """A deployment without meters, its passphrase's file and a customer's key."""
    root = tmp_path_factory.mktemp("ceremonial")
    (root / "passphrase").write_text("correct horse battery staple\n")
    arguments = ["--out", root / "d", "--deployment", "town", "--neighbourhood", "north", *SMALL]
    arguments += ["--passphrase-file", root / "passphrase"]
    made = CliRunner().invoke(ceremony.main, list(map(str, arguments)))
    assert made.exit_code == 0, made.output
    key = ECC.generate(curve="curve25519")
    (root / "ada.pub").write_text(key.public_key().export_key(format="PEM"))
    return root, key


@pytest.fixture
def deployed(ceremonial, tmp_path):
    root, key = ceremonial
    shutil.copytree(root, tmp_path / "town")
    return tmp_path / "town", key


@pytest.fixture
def flashed(folder, typed):
    """A board with the firmware and without an enrolment."""
    with StandIn(folder) as stand_in:
        code, said = typed(stand_in.path)
        assert code == 0, said
        yield stand_in


def enrolled(root, *options, title=TITLE):
    arguments = {
        "--deployment": root / "d",
        "--neighbourhood": "north",
        "--title": title,
        "--customer-key": root / "ada.pub",
        "--since": SINCE,
        "--passphrase-file": root / "passphrase",
    }
    pairs = [str(part) for pair in arguments.items() for part in pair]
    result = CliRunner().invoke(enrol.main, [*pairs, *map(str, options)], catch_exceptions=False)
    return result.exit_code, result.output


def files_below(root):
    return [path for path in Path(root).rglob("*") if path.is_file()]


def test_the_meter_the_concentrator_and_the_customer_hold_matching_keys_and_no_file_holds_the_meters(deployed, flashed):
    root, customer = deployed
    code, said = enrolled(root, "--port", flashed.path)
    assert code == 0, said
    assert f"meter {TITLE} runs firmware" in said
    keys = piece(flashed.folder, "keys")
    record = json.loads((root / "d/gateways/gateway-1/enrolment" / f"{TITLE}.json").read_bytes())
    for shared in ("system_title", "hop_chain", "hello_key", "time_key"):
        assert bytes.fromhex(record[shared]) in keys, shared
    (path,) = (root / "d/public/envelopes").glob("*.json")
    operator = import_public_key(ceremony.read_facts(Deployment(root / "d")).operator_key)
    document = parse(path.read_bytes(), Document)
    envelope = parse(verify(document, "town", operator), Envelope)
    chain = keychain.first_chain(open_root(customer, envelope, bytes.fromhex(TITLE)))
    assert chain in keys
    # The meter's secrets that nobody shares: the customer's chain and the salt's secret, the record's last 32 bytes.
    for secret in (chain, keys[-36:-4]):
        for file in files_below(root):
            data = file.read_bytes()
            assert secret not in data and secret.hex().encode() not in data, file
        assert secret.hex() not in said
    assert not (root / "d/meters").exists() or not files_below(root / "d/meters")


def test_no_key_is_in_an_argument_of_any_process(deployed, flashed, monkeypatch):
    root, _ = deployed
    seen = []
    real = board.enrol

    def watched(port, provisioning, replace):
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append((process.read_bytes(), provisioning["hop_chain"]))
            except OSError:
                continue
        return real(port, provisioning, replace)

    monkeypatch.setattr(board, "enrol", watched)
    assert enrolled(root, "--port", flashed.path)[0] == 0
    assert len(seen) > 1
    assert not [line for line, key in seen if key.encode() in line or bytes.fromhex(key) in line]
    assert f"/{os.getpid()}/"  # this process's own arguments were among them


def test_an_enrolled_meter_is_not_enrolled_anew_and_nothing_is_written(deployed, flashed):
    root, _ = deployed
    assert enrolled(root, "--port", flashed.path)[0] == 0
    before, keys = sorted(files_below(root / "d")), piece(flashed.folder, "keys")
    code, said = enrolled(root, "--port", flashed.path, title=OTHER)
    assert code == 2
    assert TITLE in said and "would lose" in said and "--replace-enrolment" in said
    assert sorted(files_below(root / "d")) == before
    assert piece(flashed.folder, "keys") == keys
    code, said = enrolled(root, "--port", flashed.path, "--replace-enrolment", title=OTHER)
    assert code == 0, said
    assert bytes.fromhex(OTHER) in piece(flashed.folder, "keys")


def test_a_meter_that_fails_while_it_is_given_its_keys_leaves_no_record(deployed, flashed, monkeypatch):
    root, _ = deployed

    def unplugged(*_):
        raise PortError("the board stopped answering")

    monkeypatch.setattr(board, "enrol", unplugged)
    before = sorted(files_below(root / "d"))
    code, said = enrolled(root, "--port", flashed.path)
    assert code == 2 and "stopped answering" in said
    assert sorted(files_below(root / "d")) == before


def test_records_that_cannot_be_written_behind_the_keys_are_told(deployed, flashed, monkeypatch):
    root, _ = deployed

    def full(path, data):
        raise enrol.DeploymentError("no space left")

    monkeypatch.setattr(enrol, "write_private", full)
    code, said = enrolled(root, "--port", flashed.path)
    assert code == 2
    assert "keys that nobody else has" in said and "--replace-enrolment" in said


def test_a_board_without_firmware_is_told_to_be_flashed_first(deployed, stand_in):
    root, _ = deployed
    code, said = enrolled(root, "--port", stand_in.path)
    assert code == 2 and "make flash first" in said


# --- The label ----------------------------------------------------------------------------------------------------


def test_a_label_names_the_meter_and_the_customers_key_and_nothing_secret(deployed, tmp_path):
    root, customer = deployed
    path = tmp_path / "label.svg"
    code, said = enrolled(root, "--label", path)
    assert code == 0, said
    text = path.read_text()
    print_of = fingerprint(customer.public_key())
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert f"meter {TITLE}" in drawn
    assert print_of in "".join(drawn)
    code_alone = segno.make(label.content(TITLE, print_of), error="m", micro=False)
    assert re.search(r' d="([^"]+)"', text)[1] == re.search(r' d="([^"]+)"', code_alone.svg_inline())[1]
    device = json.loads((root / "d/meters" / f"{TITLE}.json").read_bytes())
    pseudonym = json.loads((root / "d/gateways/gateway-1/enrolment" / f"{TITLE}.json").read_bytes())["pseudonym"]
    for hidden in (pseudonym, *(value for name, value in device.items() if name.endswith(("chain", "key", "secret")))):
        assert hidden not in text
    assert enrolled(root, "--label", path, title=OTHER)[0] == 2  # not overwritten


def test_a_label_of_another_kind_is_refused_before_anything_is_written(deployed, tmp_path):
    root, _ = deployed
    code, said = enrolled(root, "--label", tmp_path / "label.pdf")
    assert code == 2 and ".svg" in said
    assert not list((root / "d/public").glob("rosters/*"))


def test_a_png_is_the_code_alone(tmp_path):
    label.write_label(tmp_path / "code.png", TITLE, "A" * 43, "0.1.0")
    assert (tmp_path / "code.png").read_bytes().startswith(b"\x89PNG")


def test_a_running_meters_console_gives_no_key(deployed, flashed):
    root, _ = deployed
    assert enrolled(root, "--port", flashed.path)[0] == 0
    with Port(flashed.path) as port:
        said = json.dumps(port.ask("status", 20))
    keys = piece(flashed.folder, "keys")
    assert TITLE in said
    for place in range(0, len(keys) - 32):
        assert keys[place : place + 32].hex() not in said
