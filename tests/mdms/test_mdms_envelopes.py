"""Customer envelopes: the operator's signed files are taken over at the web server's start."""

import msgspec
import pytest
from Crypto.PublicKey import ECC
from mdms_bench import DEPLOYMENT, pseudonym

from mdms import create_app
from mdms.config import load_mdms_config
from mdms.errors import CannotStart
from mdms.records.sealed import envelope_of
from protocol.documents import canonical_json, sign
from protocol.envelopes import ENVELOPE, seal_root

ME = pseudonym("north", 0)
CUSTOMER = ECC.generate(curve="Curve25519")


@pytest.fixture
def files(bench, tmp_path):
    mdms, _ = bench.write(tmp_path)
    with mdms.open("a") as file:
        file.write('envelopes = "envelopes"\n')
    (tmp_path / "envelopes").mkdir()
    return mdms, tmp_path / "envelopes"


def signed(operator, kind=ENVELOPE, name=ME):
    envelope = seal_root(CUSTOMER, bytes(32), b"METER--1", name, 20_000)
    return sign(operator, kind, DEPLOYMENT, canonical_json(envelope))


def test_an_envelope_is_found_by_its_pseudonym(bench, files):
    mdms, folder = files
    document = signed(bench.operator)
    (folder / "one.json").write_bytes(msgspec.json.encode(document))
    (folder / "readme.txt").write_text("not an envelope")
    for _ in range(2):
        store = create_app(load_mdms_config(mdms)).extensions["hushmeter_store"]
        assert envelope_of(store, ME) == document
        assert envelope_of(store, pseudonym("north", 1)) is None
        store.close()


def test_an_envelope_that_the_operator_did_not_sign_is_refused(bench, files):
    mdms, folder = files
    path = folder / "one.json"
    for wrong in (signed(bench.north.key), signed(bench.operator, kind="roster")):
        path.write_bytes(msgspec.json.encode(wrong))
        with pytest.raises(CannotStart, match=r"one\.json"):
            create_app(load_mdms_config(mdms))
    path.write_bytes(b"[]")
    with pytest.raises(CannotStart, match=r"one\.json"):
        create_app(load_mdms_config(mdms))


def test_two_envelopes_of_one_tenancy_are_refused(bench, files):
    mdms, folder = files
    for name in ("one.json", "two.json"):
        (folder / name).write_bytes(msgspec.json.encode(signed(bench.operator)))
    with pytest.raises(CannotStart, match="second"):
        create_app(load_mdms_config(mdms))


def test_a_missing_folder_is_refused(bench, files):
    mdms, folder = files
    folder.rmdir()
    with pytest.raises(CannotStart, match="envelopes"):
        create_app(load_mdms_config(mdms))
