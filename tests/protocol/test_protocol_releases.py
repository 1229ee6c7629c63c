"""Release batches: what is signed is what is proved, and the specification says the same as the code."""

import re
from pathlib import Path

import msgspec
import pytest

from protocol import releases
from protocol.documents import DocumentError, canonical_json, generate_signing_key, sign
from protocol.releases import BILLS, LOADS, ReleaseBatch, ReleasedBill, ReleasedLoad

TEXT = (Path(__file__).resolve().parents[2] / "protocol" / "README.md").read_text()
KEY = generate_signing_key()
LOAD = ReleasedLoad(900, "0" * 64, 1, 2, "root")
BILL = ReleasedBill("A" * 22, 0, 86_400, ["1" * 64, "2" * 64], 3, 4, "root")
BATCH = ReleaseBatch("town", "north", "A" * 43, LOADS, 10, [], [LOAD], "R")


def changed(**changes):
    return msgspec.structs.replace(BATCH, **changes)


def test_a_batch_is_opened_as_it_was_signed():
    unsafe = ["unsafe_" + "x" * 57] * 16
    for batch in (BATCH, changed(kind=BILLS, items=[BILL]), changed(unsafe=unsafe)):
        assert releases.open_batch(releases.sign_batch(KEY, batch), "town", KEY) == batch


def test_a_batch_of_another_key_type_or_deployment_is_refused():
    document = releases.sign_batch(KEY, BATCH)
    with pytest.raises(DocumentError, match="signature"):
        releases.open_batch(document, "town", generate_signing_key())
    with pytest.raises(DocumentError, match="signature"):
        releases.open_batch(document, "elsewhere", KEY)
    with pytest.raises(DocumentError, match="not a release batch"):
        releases.open_batch(sign(KEY, "roster", "town", canonical_json(BATCH)), "town", KEY)
    with pytest.raises(DocumentError, match="another deployment"):
        releases.open_batch(sign(KEY, "release-batch", "town", canonical_json(changed(deployment="x"))), "town", KEY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "both"}, "says which"),
        ({"kind": BILLS}, "says which"),
        ({"items": [LOAD, BILL]}, "says which"),
        ({"items": [LOAD, LOAD]}, "twice"),
        ({"kind": BILLS, "items": [BILL, msgspec.structs.replace(BILL, import_mwh=0)]}, "twice"),
        ({"items": []}, "length"),
        ({"items": [LOAD] * 65}, "length"),
        ({"items": [msgspec.structs.replace(LOAD, import_mwh=-1)]}, "import_mwh"),
        ({"items": [msgspec.structs.replace(LOAD, import_mwh=1 << 62)]}, "import_mwh"),
        ({"items": [msgspec.structs.replace(LOAD, document="A" * 64)]}, "document"),
        ({"kind": BILLS, "items": [msgspec.structs.replace(BILL, documents=[])]}, "documents"),
        ({"k": 0}, "k"),
        ({"unsafe": ["unsafe_x\x1b[2K"]}, "unsafe"),
        ({"unsafe": ["unsafe_x\n"]}, "unsafe"),
        ({"unsafe": ["safe"]}, "unsafe"),
        ({"unsafe": ["unsafe_" + "x" * 58]}, "unsafe"),
        ({"unsafe": ["unsafe_x"] * 17}, "unsafe"),
    ],
)
def test_a_batch_that_is_none_is_refused(changes, reason):
    with pytest.raises(DocumentError, match=reason):
        releases.parse_batch(canonical_json(changed(**changes)))


def test_the_proofs_context_is_all_that_the_batch_says_but_its_root():
    context = releases.proof_context(BATCH)
    assert context.startswith(b"hushmeter/v1/release-proof{")
    assert releases.proof_context(changed(root="another")) == context
    others = [
        changed(deployment="city"),
        changed(neighbourhood="south"),
        changed(paillier_key="E" * 43),
        changed(kind=BILLS),
        changed(k=11),
        changed(unsafe=["x"]),
        *(
            changed(items=[msgspec.structs.replace(LOAD, **{name: value})])
            for name, value in (("interval_start", 0), ("document", "f" * 64), ("import_mwh", 9), ("root", "x"))
        ),
    ]
    assert len({releases.proof_context(other) for other in [BATCH, *others]}) == 1 + len(others)


def test_the_context_of_a_keys_proof_names_both():
    contexts = {releases.key_proof_context(*both) for both in (("a", "b"), ("b", "a"), ("a\nb", "c"), ("a", "c"))}
    assert len(contexts) == 4


def test_times_are_written_to_the_minute_or_the_second():
    assert releases.moment(1_772_446_500) == "2026-03-02T10:15Z"
    assert releases.moment(1_772_446_501) == "2026-03-02T10:15:01Z"


# --- The specification --------------------------------------------------------------------------------------------


def row(first):
    (found,) = re.findall(rf"^\| `{re.escape(first)}` \| (.*) \|$", TEXT, re.M)
    return found


def fields(struct):
    return ", ".join(struct.__struct_fields__)


def test_the_members_of_the_specification_are_the_codes():
    assert row("load") == fields(ReleasedLoad)
    assert row("bill") == fields(ReleasedBill)
    said = re.search(r"Members are in `releases.py`: (.*?)\.\n", TEXT, re.S)[1]
    assert " ".join(re.sub(r" \(.*?\)", "", said).split()) == fields(ReleaseBatch)
    assert f"unsafe names at most {releases.MAX_UNSAFE} settings, each `unsafe_` and 1 to 57 small letters" in TEXT
    assert f"at most {releases.MAX_ITEMS} items and {releases.MAX_DOCUMENTS} ids" in TEXT
    assert f"1 to {releases.MAX_ITEMS} loads and bills" in TEXT
    assert f"type `{releases.RELEASE_BATCH}`" in TEXT


def test_the_files_of_the_specification_are_the_codes():
    assert row(releases.LOADS_FILE) == ", ".join(releases.LOAD_COLUMNS)
    assert row(releases.BILLS_FILE) == ", ".join(releases.BILL_COLUMNS)
    assert row(f"{releases.KEY_PROOFS_FOLDER}/*.json").startswith(fields(releases.PublishedKeyProof))
    about = re.sub(r" \(.*?\)", "", row(releases.ABOUT_FILE))
    assert about.startswith(fields(releases.Publication))
    assert f"format ({releases.FORMAT})" in row(releases.ABOUT_FILE)
    assert row(f"{releases.ROSTERS_FOLDER}/*.json")
    assert row(releases.BATCHES_FILE).startswith("signed release batches")
    assert row(releases.REPORTS_FILE).startswith("the signed reports")
