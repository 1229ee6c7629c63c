"""A publication is believed whole or not at all: whatever is changed in it is found, and called by its name."""

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

# The small deployment of the MDMS's own tests serves here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))

from publication_bench import DAY, DEPLOYMENT, LOADS, MARCH, METERS, Forger, Utility, line, public

from paillier import ENERGY_SLOTS, ciphertext
from paillier.private.proving import Prover
from paillier.proofs import Claim, root_from_base64url, root_to_base64url
from protocol import releases
from protocol.documents import generate_signing_key, key_id, sign
from scripts import verify_release

ROOT = Path(__file__).resolve().parents[2]
FIRST_LOAD = "load 2026-03-01T00:00Z of north"
SECOND_LOAD = "load 2026-03-01T00:15Z of north"
NORTHS, SOUTHS, BILLS = range(3)


@pytest.fixture(scope="module")
def utility(tmp_path_factory):
    utility = Utility(tmp_path_factory.mktemp("utility"))
    yield utility
    utility.close()


@pytest.fixture(scope="module")
def published(utility, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "2026-03-01"
    done = utility.publish(out)
    assert (done.loads, done.bills, done.batches, done.rosters, done.unproved) == (2 * LOADS, METERS, 3, 2, 0)
    return out


@pytest.fixture
def forger(published, utility, tmp_path):
    return Forger(published, tmp_path / "forged", utility.bench)


@pytest.fixture
def verify(utility, capsys):
    def verify(folder, *more, operator=None):
        key = operator or public(utility.bench.operator)
        arguments = [str(folder), "--operator-key", key, "--unsafe-small-key", *more]
        status = verify_release.main(arguments)
        said = capsys.readouterr()
        return status, said.out + said.err

    return verify


def wrong(verdict, *names):
    """Assert that something was found wrong, and that it was called by its name."""
    status, said = verdict
    assert (status, said.count("\n")) == (1, 1), said
    assert all(name in said for name in names), said


# --- What is right ------------------------------------------------------------------------------------------------


def test_a_published_day_is_what_its_reports_add_up_to(published, verify, utility):
    status, said = verify(published)
    assert status == 0, said
    assert f"deployment {DEPLOYMENT}: {2 * LOADS} loads and {METERS} bills follow" in said
    assert "no load is of fewer than 10 meters" in said
    assert "released under unsafe_short_periods" in said
    assert "no --log-key" in said
    assert "no proof of the Paillier key of north" in said
    log_key = utility.bench.log_key
    for key in (public(log_key), key_id(log_key)):
        status, said = verify(published, "--log-key", key, "--every-root", operator=key_id(utility.bench.operator))
        assert status == 0, said
        assert "no --log-key" not in said


def test_loads_and_bills_are_published_apart_as_well(utility, verify, tmp_path):
    for name, chosen, lines in (
        ("loads", {"bills_of": None}, f"{2 * LOADS} loads and 0 bills"),
        ("bills", {"day": None}, f"0 loads and {METERS} bills"),
    ):
        utility.publish(tmp_path / name, **chosen)
        status, said = verify(tmp_path / name)
        assert status == 0, said
        assert lines in said


def test_it_needs_nothing_but_the_library_and_the_agreement():
    tree = ast.parse((ROOT / "scripts" / "verify_release.py").read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    rooms = {name.split(".")[0] for name in named}
    assert rooms - set(sys.stdlib_module_names) == {"paillier", "protocol"}
    assert not {"paillier.private.key", "paillier.private.decryption", "paillier.private.proving"} & named
    code = (
        "import sys, scripts.verify_release;"
        "assert not {'mdms', 'gateway', 'click', 'paillier.private.key', 'paillier.private.proving'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_command_line_says_so_with_its_exit_status(published, utility, tmp_path):
    command = [sys.executable, "-m", "scripts.verify_release", "--unsafe-small-key"]
    key = ["--operator-key", public(utility.bench.operator)]
    for folder, arguments, status in (
        (published, key, 0),
        (tmp_path / "nothing", key, 2),
        (published, [], 2),
        (published, ["--operator-key", public(generate_signing_key())], 2),
        (published, [*key, "--log-key", public(generate_signing_key())], 2),
    ):
        done = subprocess.run([*command, str(folder), *arguments], cwd=ROOT, capture_output=True, timeout=60)
        assert done.returncode == status, (arguments, done.stderr)
        assert b"Traceback" not in done.stderr
        assert b"\r" not in done.stderr, "no progress where nobody watches"


# --- What is wrong in the tables ----------------------------------------------------------------------------------


def test_one_milliwatt_hour_more_in_the_loads_is_found(forger, verify):
    forger.change_table("loads.csv", 2, 4, lambda mwh: mwh + 1)
    wrong(verify(forger.folder), SECOND_LOAD, "loads.csv", "import_mwh")


def test_one_milliwatt_hour_more_in_the_bills_is_found(forger, verify):
    rows = forger.table("bills.csv")
    forger.change_table("bills.csv", 1, 4, lambda mwh: mwh + 1)
    wrong(verify(forger.folder), f"bill of {rows[1][1]} from 2026-03-01T00:00Z", "bills.csv", "import_mwh")


def test_the_number_of_meters_is_the_reports_own(forger, verify):
    for column in (2, 3):
        forger.change_table("loads.csv", 1, column, lambda number: number + 1)
        wrong(verify(forger.folder), FIRST_LOAD)
        forger.change_table("loads.csv", 1, column, lambda number: number - 1)
    assert verify(forger.folder)[0] == 0


def test_a_line_that_is_missing_is_named(forger, verify):
    for name, called in (("loads.csv", FIRST_LOAD), ("bills.csv", "bill of ")):
        rows = forger.table(name)
        forger.write_table(name, [rows[0], *rows[2:]])
        wrong(verify(forger.folder), called, f"not in {name}")
        forger.write_table(name, rows)


def test_a_line_too_many_is_named(forger, verify):
    for name in ("loads.csv", "bills.csv"):
        rows = forger.table(name)
        forger.write_table(name, [*rows, rows[-1]])
        wrong(verify(forger.folder), "two lines")
        forger.write_table(name, [*rows, ["north", *["9"] * (len(rows[0]) - 1)]])
        wrong(verify(forger.folder), f"{name}, line {len(rows) + 1}")
        forger.write_table(name, [*rows, []])
        wrong(verify(forger.folder), f"{name}, line {len(rows) + 1}")
        forger.write_table(name, rows)


# --- What is wrong although the log's key signed it ---------------------------------------------------------------


def test_a_sum_that_the_key_holder_lies_about_is_found(forger, verify):
    lie = forger.batches()[NORTHS].items[1].import_mwh + 1
    forger.change_item(NORTHS, 1, import_mwh=lie)
    wrong(verify(forger.folder), SECOND_LOAD)
    # Both sides tell the same lie.
    forger.change_table("loads.csv", 2, 4, lambda mwh: lie)
    wrong(verify(forger.folder), SECOND_LOAD, "does not follow from its ciphertexts")


def test_a_bill_that_the_key_holder_lies_about_is_found(forger, verify):
    item = forger.batches()[BILLS].items[2]
    forger.change_item(BILLS, 2, export_mwh=item.export_mwh + 1)
    at = [row[1] for row in forger.table("bills.csv")].index(item.pseudonym)
    forger.change_table("bills.csv", at, 5, lambda mwh: mwh + 1)
    wrong(verify(forger.folder), f"bill of {item.pseudonym}", "does not follow from its ciphertexts")


def swapped(batch):
    items = list(batch.items)
    items[1], items[2] = (
        msgspec.structs.replace(items[1], root=items[2].root),
        msgspec.structs.replace(items[2], root=items[1].root),
    )
    return msgspec.structs.replace(batch, items=items)


def test_roots_that_are_swapped_are_found(forger, verify):
    forger.change_batch(NORTHS, swapped)
    wrong(verify(forger.folder), SECOND_LOAD, "does not follow from its ciphertexts")


def test_roots_that_are_swapped_under_a_good_batch_root_are_found(forger, verify, utility):
    forger.change_batch(NORTHS, lambda batch: proved_anew(swapped(batch), utility))
    wrong(verify(forger.folder), SECOND_LOAD, "does not follow from its ciphertexts")


def claims_of(batch, utility):
    documents = dict(utility.store.reports_named([item.document for item in batch.items]))
    claims = []
    for item in batch.items:
        report = msgspec.json.decode(documents[item.document].content_bytes())
        c = ciphertext.from_base64url(utility.bench.north.public, report["ciphertext"])
        claims.append(Claim(c, ENERGY_SLOTS.pack((item.import_mwh, item.export_mwh))))
    return claims


def proved_anew(batch, utility):
    """Prove a batch whatever its items' own roots are."""
    street = utility.bench.north
    root = Prover(street.private).prove(claims_of(batch, utility), releases.proof_context(batch))
    return msgspec.structs.replace(batch, root=root_to_base64url(street.public, root))


def test_a_lie_whose_roots_fit_each_other_is_found(forger, verify, utility):
    key = utility.bench.north.public
    lie = forger.batches()[NORTHS].items[1].import_mwh + 1
    forger.change_item(NORTHS, 1, import_mwh=lie)
    forger.change_table("loads.csv", 2, 4, lambda mwh: lie)

    def joined(batch):
        roots = [root_from_base64url(key, item.root) for item in batch.items]
        context = releases.proof_context(batch)
        root = verify_release.joined_root(key, claims_of(batch, utility), roots, context)
        return msgspec.structs.replace(batch, root=root_to_base64url(key, root))

    forger.change_batch(NORTHS, joined)
    wrong(verify(forger.folder), SECOND_LOAD, "does not follow from its ciphertexts")


def test_a_batch_root_of_another_batch_is_found(forger, verify):
    batches = forger.batches()
    other = msgspec.structs.replace(batches[NORTHS], root=batches[NORTHS].items[0].root)
    forger.write_batches([other, *batches[1:]])
    wrong(verify(forger.folder), "release batch", f"does not prove its {LOADS} loads")
    longer = msgspec.structs.replace(batches[NORTHS], root=batches[NORTHS].root + "AA")
    forger.write_batches([longer, *batches[1:]])
    wrong(verify(forger.folder), "release batch")


def test_a_context_that_is_another_is_found(forger, verify):
    # The same items under a milder policy: their own roots prove them, the batch's does not.
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, unsafe=[]))
    wrong(verify(forger.folder), "release batch", "does not prove")


def test_a_batch_of_another_key_is_found(forger, verify, utility):
    south = utility.bench.south.public.fingerprint
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, paillier_key=south))
    wrong(verify(forger.folder), FIRST_LOAD, "another Paillier key")
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, paillier_key="A" * 43))
    wrong(verify(forger.folder), FIRST_LOAD, "no roster names")


def test_a_batch_of_another_street_or_deployment_is_found(forger, verify):
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, neighbourhood="south"))
    wrong(verify(forger.folder), "load 2026-03-01T00:00Z of south", "another load")
    batches = forger.batches()
    other = sign(forger.bench.log_key, releases.RELEASE_BATCH, "elsewhere", batches[SOUTHS].items[0].root.encode())
    (forger.folder / releases.BATCHES_FILE).write_bytes(line(other))
    wrong(verify(forger.folder), "release batch 1", "bad signature")


def test_a_batch_that_the_logs_key_did_not_sign_is_found(forger, verify):
    batches = forger.batches()
    document = releases.sign_batch(generate_signing_key(), batches[NORTHS])
    (forger.folder / releases.BATCHES_FILE).write_bytes(line(document))
    wrong(verify(forger.folder), "release batch 1", "bad signature")


def test_a_sum_of_fewer_meters_than_k_is_found(forger, verify):
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, k=13))
    wrong(verify(forger.folder), FIRST_LOAD, "fewer than 13 meters")


def test_a_sum_that_is_released_twice_is_found(forger, verify):
    batches = forger.batches()
    forger.write_batches([*batches, batches[NORTHS]])
    wrong(verify(forger.folder), "release batch 4", "twice")
    forger.write_batches([*batches, msgspec.structs.replace(batches[NORTHS], k=9)])
    wrong(verify(forger.folder), FIRST_LOAD, "released twice")
    bills = batches[BILLS]
    later = msgspec.structs.replace(bills.items[0], period_start=bills.items[0].period_start + DAY)
    forger.write_batches([*batches[:2], msgspec.structs.replace(bills, items=[*bills.items, later])])
    wrong(verify(forger.folder), f"bill of {later.pseudonym} from 2026-03-02T00:00Z", "another sum")


def test_a_window_that_counts_twice_is_found(forger, verify):
    item = forger.batches()[BILLS].items[0]
    for documents in ([*item.documents, item.documents[-1]], item.documents[::-1]):
        forger.change_item(BILLS, 0, documents=documents)
        wrong(verify(forger.folder), f"bill of {item.pseudonym}", "counts twice")


# --- What is wrong in the reports and rosters ---------------------------------------------------------------------


def test_a_report_that_is_replaced_is_missed(forger, verify, utility):
    # Another one that the concentrator signed for the same thing: it is not the one that was opened.
    first = next(item for item in forger.batches()[NORTHS].items if item.interval_start == MARCH)
    wanted = dict(utility.store.reports_named([first.document]))[first.document]
    lines = forger.reports()
    lines[lines.index(line(wanted))] = line(utility.bench.north.load(MARCH))
    forger.write_reports(lines)
    wrong(verify(forger.folder), FIRST_LOAD, "its report is not there")


def test_a_report_of_another_load_is_no_proof(forger, verify, utility):
    items = forger.batches()[NORTHS].items
    forger.change_item(NORTHS, 0, document=items[1].document)
    wrong(verify(forger.folder), FIRST_LOAD, "another load")
    forger.change_item(NORTHS, 0, document=forger.batches()[BILLS].items[0].documents[0])
    wrong(verify(forger.folder), FIRST_LOAD, "its report is not there")


def test_a_window_of_another_meter_is_no_proof(forger, verify):
    first, second, *_ = forger.batches()[BILLS].items
    forger.change_item(BILLS, 0, documents=[*first.documents[:-1], second.documents[-1]])
    wrong(verify(forger.folder), f"bill of {first.pseudonym}", "another meter's")
    forger.change_item(BILLS, 0, documents=[*first.documents[:-1], "0" * 64])
    wrong(verify(forger.folder), f"bill of {first.pseudonym}", "number 7 is not there")


def test_a_report_that_nobody_signed_is_found(forger, verify, utility):
    lines = forger.reports()
    bench = utility.bench
    cases = {
        "no roster names": bench.north.load(key=generate_signing_key()),
        "does not speak for north": bench.north.load(key=bench.south.key),
        "neither a load": bench.north.segment([b"x" * 90]),
        "not UTF-8": bench.north.sign("interval-load", b'{"\xff": 1}'),
    }
    for reason, document in cases.items():
        forger.write_reports([*lines, line(document)])
        wrong(verify(forger.folder), f"report {len(lines) + 1}", reason)
    forger.write_reports([lines[0].replace(b'"signature":"', b'"signature":"AAAA', 1), *lines[1:]])
    wrong(verify(forger.folder), "report 1")
    forger.write_reports([b"[" * 100_000, *lines[1:]])
    wrong(verify(forger.folder), "report 1")


def test_a_roster_that_the_operator_did_not_sign_is_found(forger, verify, utility):
    north = utility.bench.north
    forger.write_roster(north.make_roster(1, MARCH, north.members, rating_w=1), key=generate_signing_key())
    wrong(verify(forger.folder), "roster north.json", "bad signature")
    (forger.folder / "rosters" / "north.json").write_text("{}")
    wrong(verify(forger.folder), "roster north.json")
    for path in (forger.folder / "rosters").iterdir():
        path.unlink()
    wrong(verify(forger.folder), "no roster")


def test_a_key_that_is_none_is_found(forger, verify, utility):
    north, south = utility.bench.north, utility.bench.south
    members = north.members
    forger.write_roster(north.make_roster(1, MARCH, members, paillier_n=south.public.to_jwk()["n"]))
    wrong(verify(forger.folder), "Paillier key of north", "not the key that it names")
    theirs = {"paillier_key": south.public.fingerprint, "paillier_n": south.public.to_jwk()["n"]}
    forger.write_roster(north.make_roster(1, MARCH, members, **theirs))
    wrong(verify(forger.folder), "Paillier key of south", "also the key of north")


def test_a_short_key_is_refused_unless_asked_for(published, utility, capsys):
    assert verify_release.main([str(published), "--operator-key", public(utility.bench.operator)]) == 1
    assert "shorter than 2048 bits" in capsys.readouterr().err


def test_a_proof_of_the_key_is_checked_where_there_is_one(utility, verify, tmp_path):
    proofs = tmp_path / "proofs"
    proofs.mkdir()
    for street in (utility.bench.north, utility.bench.south):
        context = releases.key_proof_context(DEPLOYMENT, street.name)
        roots = Prover(street.private).prove_key(context).to_json()["roots"]
        proof = releases.PublishedKeyProof(street.name, street.public.fingerprint, roots)
        (proofs / f"{street.name}.json").write_bytes(msgspec.json.encode(proof))
    assert utility.publish(tmp_path / "out", key_proofs=proofs).key_proofs == 2
    status, said = verify(tmp_path / "out")
    assert status == 0, said
    assert "no proof of the Paillier key" not in said
    path = tmp_path / "out" / "key-proofs" / "north.json"
    proof = msgspec.json.decode(path.read_bytes(), type=releases.PublishedKeyProof)
    for changes, reason in (
        ({"roots": [*proof.roots[1:], proof.roots[0]]}, "root"),
        ({"roots": []}, "root"),
        ({"neighbourhood": "south"}, "no roster of south"),
    ):
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(proof, **changes)))
        wrong(verify(tmp_path / "out"), "key proof north.json", reason)


def test_an_empty_publication_proves_nothing(forger, verify):
    for name in ("loads.csv", "bills.csv"):
        forger.write_table(name, forger.table(name)[:1])
    (forger.folder / releases.BATCHES_FILE).write_bytes(b"")
    assert verify(forger.folder)[0] == 2


def test_a_file_that_is_missing_is_no_publication(forger, verify):
    for name in ("loads.csv", "bills.csv", "release-batches.jsonl", "reports.jsonl", "publication.json"):
        path = forger.folder / name
        kept = path.read_bytes()
        path.unlink()
        status, said = verify(forger.folder)
        assert (status, name in said) == (2, True), said
        path.write_bytes(kept)
    assert verify(forger.folder)[0] == 0


# --- The tests of the tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "instead", "test"),
    [
        ("verify_decryptions", lambda *_: None, test_a_lie_whose_roots_fit_each_other_is_found),
        ("hold_together", lambda *_: True, test_roots_that_are_swapped_under_a_good_batch_root_are_found),
        ("check_proof", lambda *_: None, test_a_context_that_is_another_is_found),
        ("_compare", lambda *_: None, test_one_milliwatt_hour_more_in_the_loads_is_found),
        ("_check_windows", lambda *_: None, test_a_window_that_counts_twice_is_found),
        ("check_nothing_twice", lambda *_: None, test_a_sum_that_is_released_twice_is_found),
    ],
)
def test_a_check_that_is_left_out_turns_a_test_red(
    name, instead, test, published, forger, verify, utility, monkeypatch
):
    monkeypatch.setattr(verify_release, name, instead)
    given = {"forger": forger, "verify": verify, "utility": utility, "published": published}
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    with pytest.raises(AssertionError):
        test(**{argument: given[argument] for argument in wanted})


def test_a_short_cut_that_fails_accuses_nobody(published, verify, monkeypatch):
    monkeypatch.setattr(verify_release, "hold_together", lambda *_: False)
    assert verify(published)[0] == 0


def test_a_root_without_its_sign_is_found_alone(forger, verify, utility):
    key = utility.bench.north.public
    batch = forger.batches()[NORTHS]
    items = [
        msgspec.structs.replace(item, root=root_to_base64url(key, key.n - root_from_base64url(key, item.root)))
        for item in batch.items
    ]
    forger.change_batch(NORTHS, lambda batch: msgspec.structs.replace(batch, items=items))
    wrong(verify(forger.folder, "--every-root"), FIRST_LOAD)
