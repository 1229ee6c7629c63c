"""A publication is believed whole or not at all: whatever is changed in it is found, and called by its name."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

# The small deployment of the MDMS's own tests serves here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))

from mdms_bench import INTERVAL, RATING_W, energy
from publication_bench import DAY, DEPLOYMENT, LOADS, MARCH, METERS, Forger, Utility, line, public

from mdms.records.documents import reports_named
from paillier import ENERGY_SLOTS, ciphertext
from paillier.private.proving import Prover
from paillier.proofs import Claim, root_from_base64url, root_to_base64url
from protocol import releases
from protocol.documents import Document, canonical_json, document_id, generate_signing_key, key_id, sign
from protocol.windows import WINDOW_S
from scripts import verify_release
from scripts.verify_release import files

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
    def verify(folder, *more, operator=None, log=None):
        keys = [
            *("--operator-key", operator or public(utility.bench.operator)),
            *("--log-key", log or public(utility.bench.log_key)),
        ]
        arguments = [str(folder), *keys, "--unsafe-small-key", *more]
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
    assert "no proof of the Paillier key of north" in said
    bench = utility.bench
    status, said = verify(published, "--every-root", operator=key_id(bench.operator), log=key_id(bench.log_key))
    assert status == 0, said


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
    files = sorted((ROOT / "scripts" / "verify_release").glob("*.py"))
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    assert all(node.level <= 1 for node in nodes if isinstance(node, ast.ImportFrom))
    rooms = {name.split(".")[0] for name in named}
    assert rooms - set(sys.stdlib_module_names) == {"paillier", "protocol"}
    assert not {"paillier.private.key", "paillier.private.decryption", "paillier.private.proving"} & named
    code = (
        "import sys, scripts.verify_release.command;"
        "assert not {'mdms', 'gateway', 'click', 'paillier.private.key', 'paillier.private.proving'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_command_line_says_so_with_its_exit_status(published, utility, tmp_path):
    command = [sys.executable, "-m", "scripts.verify_release", "--unsafe-small-key"]
    operator = ["--operator-key", public(utility.bench.operator)]
    log = ["--log-key", public(utility.bench.log_key)]
    key = [*operator, *log]
    for folder, arguments, status in (
        (published, key, 0),
        (tmp_path / "nothing", key, 2),
        (published, operator, 2),
        (published, log, 2),
        (published, [*log, "--operator-key", public(generate_signing_key())], 2),
        (published, [*operator, "--log-key", public(generate_signing_key())], 2),
    ):
        done = subprocess.run([*command, str(folder), *arguments], cwd=ROOT, capture_output=True, timeout=60)
        assert done.returncode == status, (arguments, done.stderr)
        assert b"Traceback" not in done.stderr
        assert b"\r" not in done.stderr, "no progress where nobody watches"


# --- Whose word ---------------------------------------------------------------------------------------------------


def told(forger):
    """What a publication's batches are about: reports by their ids."""
    documents = [msgspec.json.decode(text, type=Document) for text in forger.reports()]
    return {document_id(one.type, DEPLOYMENT, one.content_bytes()): one.content_bytes() for one in documents}


def joined(forger, batch):
    """Make a batch's root of the roots that it holds, as anyone can; the claims are those of its reports."""
    key, documents = forger.bench.north.public, told(forger)
    claims = []
    for item in batch.items:
        reports = [json.loads(documents[name]) for name in item.documents]
        terms = [ciphertext.from_base64url(key, one.get("ciphertext") or one.get("energy")) for one in reports]
        claims.append(Claim(ciphertext.product(key, terms), ENERGY_SLOTS.pack((item.import_mwh, item.export_mwh))))
    roots = [root_from_base64url(key, item.root) for item in batch.items]
    root = verify_release.joined_root(key, claims, roots, releases.proof_context(batch))
    return msgspec.structs.replace(batch, root=root_to_base64url(key, root))


@pytest.mark.parametrize("key", ["-" * 43, "--log-key", "-h"])
def test_a_key_that_begins_with_a_hyphen_is_a_key_and_no_option(published, capsys, key):
    # One base64url text in 64 does.
    assert verify_release.main([str(published), "--operator-key", key, "--log-key", key]) == 2
    assert "usage:" not in capsys.readouterr().err


def test_what_a_stranger_says_of_true_sums_is_refused(forger, verify, utility):
    # Whoever has a publication can drop sums, write another k, flags and periods, and prove and sign it all anew.
    north, south, bills = forger.batches()
    loads = msgspec.structs.replace(north, k=2, unsafe=[], items=north.items[1:])
    called_otherwise = [msgspec.structs.replace(one, period_start=one.period_start - 3 * DAY) for one in bills.items]
    bills = msgspec.structs.replace(bills, unsafe=[], items=called_otherwise)
    stranger = generate_signing_key()
    documents = [releases.sign_batch(stranger, one) for one in (joined(forger, loads), south, joined(forger, bills))]
    (forger.folder / releases.BATCHES_FILE).write_bytes(b"".join(line(one) for one in documents))
    rows = [row for row in forger.table("loads.csv") if row[:2] != ["north", "2026-03-01T00:00Z"]]
    forger.write_table("loads.csv", [[*row[:3], "2", *row[4:]] if row[0] == "north" else row for row in rows])
    head, *rows = forger.table("bills.csv")
    forger.write_table("bills.csv", [head, *([*row[:2], "2026-02-26T00:00Z", *row[3:]] for row in rows)])
    about = forger.folder / releases.ABOUT_FILE
    facts = json.loads(about.read_text())
    wrong(verify(forger.folder), "release batch 1", "bad signature")
    about.write_text(json.dumps(facts | {"log_key": public(stranger)}))
    status, said = verify(forger.folder)
    assert (status, "its log key is not the one that was given" in said) == (2, True), said
    # Only whoever believes the folder's own word for the key believes the rest.
    assert verify(forger.folder, log=public(stranger))[0] == 0


def test_a_log_key_that_is_none_is_named(forger, verify):
    about = forger.folder / releases.ABOUT_FILE
    facts = json.loads(about.read_text())
    for name in ("log_key", "operator_key"):
        about.write_text(json.dumps(facts | {name: "no key"}))
        status, said = verify(forger.folder)
        assert (status, "publication.json: signing key is not" in said) == (2, True), said


# --- Periods, intervals and power ---------------------------------------------------------------------------------


def republish(forger, batch, documents):
    """Put one batch in place of a publication's, with its reports; the log's key signs it."""
    forger.write_reports([line(document) for document in documents])
    forger.write_batches([batch])


def load_of(forger, document, **changes):
    """A load that a key holder says it opened."""
    report = json.loads(document.content_bytes())
    sizes = {"import_mwh": 0, "export_mwh": 7, **changes}
    name = document_id(document.type, DEPLOYMENT, document.content_bytes())
    return releases.ReleasedLoad(report["interval_start"], name, root="", **sizes)


def test_a_bill_that_is_called_by_another_period_is_found(forger, verify):
    item = forger.batches()[BILLS].items[0]
    start, end = item.period_start, item.period_end
    assert (start, end) == (MARCH, MARCH + DAY)
    for changes, reason in (
        ({"period_start": start + 40 * DAY, "period_end": end + 40 * DAY}, "no window of it starts in its period"),
        ({"period_start": start - 3 * DAY, "period_end": end - DAY}, "starts when its period is over"),
        ({"period_end": end - WINDOW_S}, "starts when its period is over"),
        ({"period_start": end}, "ends before it begins"),
        ({"period_end": end + DAY}, "bills.csv says period_end"),
    ):
        forger.change_item(BILLS, 0, **{"period_start": start, "period_end": end, **changes})
        wrong(verify(forger.folder), f"bill of {item.pseudonym}", reason)


def test_windows_that_earlier_periods_left_over_are_no_lie(forger, verify):
    # A day's bill may hold what four short days left over, and all of the last day's windows may be empty.
    def carried(days):
        def change(batch):
            items = [msgspec.structs.replace(one, period_start=MARCH + days * DAY) for one in batch.items]
            items = [msgspec.structs.replace(one, period_end=MARCH + (days + 1) * DAY) for one in items]
            return msgspec.structs.replace(batch, unsafe=[], items=items)

        return change

    forger.change_batch(BILLS, carried(1))
    forger.change_batch(BILLS, lambda batch: joined(forger, batch))
    head, *rows = forger.table("bills.csv")
    days = ["2026-03-02T00:00Z", "2026-03-03T00:00Z"]
    forger.write_table("bills.csv", [head, *([*row[:2], *days, *row[4:]] for row in rows)])
    status, said = verify(forger.folder)
    assert status == 0, said
    forger.change_batch(BILLS, carried(2))
    wrong(verify(forger.folder), "bill of", "no window of it starts in its period")


def test_bills_of_one_meter_share_no_time(forger, verify):
    batches = forger.batches()
    first = batches[BILLS].items[0]
    # One bill made two, of the first four windows and of the last three; the second period begins too early.
    early = msgspec.structs.replace(first, documents=first.documents[:4])
    late = msgspec.structs.replace(first, documents=first.documents[4:], period_start=MARCH + 5 * WINDOW_S)
    forger.write_batches([*batches[:2], msgspec.structs.replace(batches[BILLS], items=[early, late])])
    wrong(verify(forger.folder), f"bills of {first.pseudonym}", "overlaps that from 2026-03-01T00:00Z")


def test_a_window_that_is_billed_by_two_documents_is_found(forger, verify):
    batches, north = forger.batches(), forger.bench.north
    first = batches[BILLS].items[0]
    content = json.loads(told(forger)[first.documents[-1]])
    again = north.sign("billing-window", canonical_json(content | {"quality": 1}))
    forger.write_reports([*forger.reports(), line(again)])
    name = document_id(again.type, DEPLOYMENT, again.content_bytes())
    second = msgspec.structs.replace(
        first, documents=[name], import_mwh=1, period_start=MARCH + 7 * WINDOW_S, period_end=MARCH + DAY
    )
    forger.write_batches([*batches[:2], msgspec.structs.replace(batches[BILLS], items=[first, second])])
    wrong(verify(forger.folder), f"bill of {first.pseudonym}", "its window of 2026-03-01T21:00Z entered another sum")


def test_an_interval_that_is_none_of_the_neighbourhoods_is_found(forger, verify):
    north = forger.bench.north
    for document in (north.load(MARCH + 1), north.load(MARCH, interval_s=3 * 3600)):
        batch = msgspec.structs.replace(forger.batches()[NORTHS], items=[load_of(forger, document)])
        republish(forger, batch, [document])
        wrong(verify(forger.folder), "load 2026-03-01T00:00", "its interval is none of the neighbourhood's")


def test_loads_that_overlap_are_found(forger, verify):
    # A second roster shortens the intervals in the middle of one.
    north = forger.bench.north
    forger.write_roster(north.make_roster(2, MARCH + 300, north.members, interval_s=300), name="north-2")
    documents = [north.load(MARCH), north.load(MARCH + 300, interval_s=300, roster_version=2)]
    items = [load_of(forger, document) for document in documents]
    republish(forger, msgspec.structs.replace(forger.batches()[NORTHS], items=items), documents)
    wrong(verify(forger.folder), "loads of north", "2026-03-01T00:05Z overlaps that from 2026-03-01T00:00Z")


def test_a_load_of_a_time_before_its_roster_is_found(forger, verify):
    document = forger.bench.north.load(MARCH - DAY)
    batch = msgspec.structs.replace(forger.batches()[NORTHS], items=[load_of(forger, document)])
    republish(forger, batch, [document])
    wrong(verify(forger.folder), "load 2026-02-28T00:00Z of north", "a roster that was not in force")


def test_a_load_of_a_time_before_its_meters_came_is_found(forger, verify):
    north = forger.bench.north
    members = [msgspec.structs.replace(north.members[0], since=MARCH + DAY), *north.members[1:]]
    forger.write_roster(north.make_roster(1, MARCH, members))
    wrong(verify(forger.folder), FIRST_LOAD, "had not come yet")


def test_a_window_of_a_time_when_its_meter_had_gone_is_found(forger, verify):
    north = forger.bench.north
    forger.write_roster(north.make_roster(2, MARCH + DAY // 2, north.members[3:]), name="north-2")
    wrong(verify(forger.folder), "bill of", "no roster names its meter at the time of its window number 4")


def test_more_energy_than_meters_can_carry_is_found(forger, verify):
    most = RATING_W * 12 * INTERVAL * 1000 // 3600
    forger.change_item(NORTHS, 0, import_mwh=most + 1)
    wrong(verify(forger.folder), FIRST_LOAD, f"more energy than {12 * RATING_W} W carry in {INTERVAL} s")
    forger.change_item(NORTHS, 0, import_mwh=sum(map(energy, range(12))), export_mwh=most + 1)
    wrong(verify(forger.folder), FIRST_LOAD, "more energy")
    forger.change_item(NORTHS, 0, export_mwh=most)
    wrong(verify(forger.folder), FIRST_LOAD, "is proved")
    forger.change_item(NORTHS, 0, export_mwh=7)
    forger.change_item(BILLS, 0, import_mwh=RATING_W * 21 * 1000 + 1)
    wrong(verify(forger.folder), "bill of", f"more energy than {RATING_W} W carry in {21 * 3600} s")


# --- Rosters that are there or not --------------------------------------------------------------------------------


def test_the_newest_roster_of_each_neighbourhood_is_named(forger, verify):
    for name in ("north", "south"):
        document = msgspec.json.decode((forger.folder / "rosters" / f"{name}.json").read_bytes(), type=Document)
        version_1 = document_id(document.type, DEPLOYMENT, document.content_bytes())
        said = verify(forger.folder)[1]
        assert f"newest roster of {name}: version 1, valid from 2026-03-01T00:00Z, document {version_1}" in said
    north = forger.bench.north
    forger.write_roster(north.make_roster(4, MARCH + DAY, north.members), name="north-4")
    status, said = verify(forger.folder)
    assert status == 0, said
    assert "newest roster of north: version 4, valid from 2026-03-02T00:00Z" in said
    assert "rosters of north: 2 numbers between" in said


def test_a_roster_that_was_left_out_counts_where_the_reader_brings_it(forger, verify, tmp_path):
    # The street was given another concentrator at midnight. Whoever has the old one's key leaves that roster out.
    north, south = forger.bench.north, forger.bench.south
    newer = north.make_roster(2, MARCH, north.members, concentrator=south.roster.concentrator)
    older = north.make_roster(1, MARCH - DAY, north.members)
    mine = tmp_path / "rosters"
    shutil.copytree(forger.folder / "rosters", mine)
    assert verify(forger.folder, "--rosters", str(mine))[0] == 0
    forger.write_roster(older, folder=mine)
    forger.write_roster(newer, folder=mine, name="north-2")
    assert verify(forger.folder)[0] == 0
    wrong(verify(forger.folder, "--rosters", str(mine)), "report", "does not speak for north")
    status, said = verify(forger.folder, "--rosters", str(tmp_path / "none"))
    assert (status, "there is no roster" in said) == (2, True), said


def test_a_roster_that_is_there_twice_is_one(forger, verify):
    shutil.copy(forger.folder / "rosters" / "north.json", forger.folder / "rosters" / "again.json")
    status, said = verify(forger.folder)
    assert status == 0, said
    assert "2 rosters" in said


def test_rosters_that_contradict_each_other_are_found(forger, verify):
    north = forger.bench.north
    for roster, reason in (
        (north.make_roster(1, MARCH, north.members[1:]), "call themselves north version 1"),
        (north.make_roster(2, MARCH, north.members), "valid no later"),
        (north.make_roster(1, MARCH, north.members, neighbourhood="east"), "two neighbourhoods"),
    ):
        forger.write_roster(roster, name="another")
        wrong(verify(forger.folder), reason)


# --- Folders that an enemy made -----------------------------------------------------------------------------------

FILES = ["publication.json", "loads.csv", "bills.csv", "release-batches.jsonl", "reports.jsonl", "rosters/north.json"]


def unusable(verdict, *names):
    status, said = verdict
    assert (status, said.count("\n")) == (2, 1), said
    assert all(name in said for name in names), said


@pytest.mark.parametrize("name", [*FILES, "key-proofs/north.json"])
def test_nothing_but_a_regular_file_is_opened(forger, verify, name):
    path = forger.folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    unusable(verify(forger.folder), name, "not a regular file")
    path.unlink()
    path.symlink_to("/dev/zero")
    unusable(verify(forger.folder), name, "a symbolic link")
    path.unlink()
    path.mkdir()
    unusable(verify(forger.folder), name, "not a regular file")


def test_a_folder_that_is_a_link_is_not_followed(forger, verify, tmp_path):
    (forger.folder / "rosters").rename(tmp_path / "elsewhere")
    (forger.folder / "rosters").symlink_to(tmp_path / "elsewhere")
    unusable(verify(forger.folder), "rosters: not a folder")
    link = tmp_path / "mine"
    link.symlink_to(tmp_path / "elsewhere")
    assert verify(forger.folder, "--rosters", str(link))[0] == 0, "the reader's own folder may be one"


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_a_most(forger, verify, name):
    os.truncate(forger.folder / name, files.DOCUMENTS_BYTES + 1)  # a hole: it takes no place
    unusable(verify(forger.folder), name, "longer than")


@pytest.mark.parametrize("name", ["loads.csv", "release-batches.jsonl", "reports.jsonl"])
def test_a_line_has_a_most(forger, verify, name):
    with (forger.folder / name).open("ab") as file:
        file.write(b" " * (files.DOCUMENT_BYTES + 1))
    unusable(verify(forger.folder), name, "is longer than")


def test_a_folder_has_a_most(forger, verify, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 1)
    unusable(verify(forger.folder), "rosters: more than 1 files")


def test_a_table_is_read_no_further_than_its_first_wrong_line(forger, verify, monkeypatch):
    seen = []
    rows_of = files.rows_of
    monkeypatch.setattr(
        "scripts.verify_release.tables.rows_of", lambda path: (seen.append(row) or row for row in rows_of(path))
    )
    with (forger.folder / "loads.csv").open("a") as file:
        file.write("x\n" * 10_000)
    wrong(verify(forger.folder), f"loads.csv, line {2 * LOADS + 2}")
    assert len(seen) == 2 * LOADS + 2


def test_what_nobody_foresaw_is_no_verdict(published, verify, monkeypatch):
    for error in (RuntimeError("one\nand another"), MemoryError(), AssertionError("x")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr("scripts.verify_release.checking.read_batches", fail)
        unusable(verify(published), type(error).__name__)


ESCAPES = "\x1b[2K\x1b[1A\x9b\u202e all is well"


def test_nothing_is_printed_that_a_terminal_obeys(forger, verify):
    rows = forger.table("loads.csv")
    loads, rosters = forger.folder / "loads.csv", forger.folder / "rosters"
    for change, said_of_it in (
        (lambda: forger.write_table(loads.name, [*rows, [ESCAPES, *["1"] * 5]]), "nothing that is proved (\\x1b[2K"),
        (lambda: forger.write_table(loads.name, [rows[0], [*rows[1][:4], ESCAPES, "7"]]), "import_mwh \\x1b[2K"),
        (lambda: forger.change_batch(NORTHS, lambda one: msgspec.structs.replace(one, unsafe=[ESCAPES])), "unsafe"),
        (lambda: (rosters / f"{ESCAPES}.json").write_text("{}"), "roster \\x1b[2K\\x1b[1A\\x9b\\u202e all is well"),
    ):
        change()
        status, said = verify(forger.folder)
        assert (status, said_of_it in said) == (1, True), said
        assert said.endswith("\n") and said[:-1].isprintable(), said


def test_the_name_of_a_deployment_is_printed_on_one_line(capsys):
    findings = verify_release.Findings(deployment=f"town\nnote: {ESCAPES}", remarks=[ESCAPES])
    said = verify_release.command.summary(findings, 0)
    assert [one.isprintable() for one in said.splitlines()] == [True] * 3


# --- What is wrong in the tables ----------------------------------------------------------------------------------


def test_one_milliwatt_hour_more_in_the_loads_is_found(forger, verify):
    forger.change_table("loads.csv", 2, 4, lambda mwh: mwh + 1)
    wrong(verify(forger.folder), SECOND_LOAD, "loads.csv", "import_mwh")


def test_one_milliwatt_hour_more_in_the_bills_is_found(forger, verify):
    rows = forger.table("bills.csv")
    forger.change_table("bills.csv", 1, 5, lambda mwh: mwh + 1)
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
    forger.change_table("bills.csv", at, 6, lambda mwh: mwh + 1)
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
    documents = dict(reports_named(utility.store, [item.document for item in batch.items]))
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
    later = msgspec.structs.replace(bills.items[0], period_start=bills.items[0].period_start + WINDOW_S)
    forger.write_batches([*batches[:2], msgspec.structs.replace(bills, items=[*bills.items, later])])
    wrong(verify(forger.folder), f"bill of {later.pseudonym} from 2026-03-01T03:00Z", "a report of it", "another sum")


def test_a_window_that_counts_twice_is_found(forger, verify):
    item = forger.batches()[BILLS].items[0]
    for documents in ([*item.documents, item.documents[-1]], item.documents[::-1]):
        forger.change_item(BILLS, 0, documents=documents)
        wrong(verify(forger.folder), f"bill of {item.pseudonym}", "counts twice")


# --- What is wrong in the reports and rosters ---------------------------------------------------------------------


def test_a_report_that_is_replaced_is_missed(forger, verify, utility):
    # Another one that the concentrator signed for the same thing: it is not the one that was opened.
    first = next(item for item in forger.batches()[NORTHS].items if item.interval_start == MARCH)
    wanted = dict(reports_named(utility.store, [first.document]))[first.document]
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
    keys = ["--operator-key", public(utility.bench.operator), "--log-key", public(utility.bench.log_key)]
    assert verify_release.main([str(published), *keys]) == 1
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
        ("proofs.verify_decryptions", lambda *_: None, test_a_lie_whose_roots_fit_each_other_is_found),
        ("proofs.hold_together", lambda *_: True, test_roots_that_are_swapped_under_a_good_batch_root_are_found),
        ("proofs.check_proof", lambda *_: None, test_a_context_that_is_another_is_found),
        ("tables._compare", lambda *_: None, test_one_milliwatt_hour_more_in_the_loads_is_found),
        ("batches._check_windows", lambda *_: None, test_a_window_that_counts_twice_is_found),
        ("batches._check_windows", lambda *_: None, test_a_bill_that_is_called_by_another_period_is_found),
        ("batches.may_be_carried_over", lambda *_: True, test_a_bill_that_is_called_by_another_period_is_found),
        ("batches._check_energy", lambda *_: None, test_more_energy_than_meters_can_carry_is_found),
        ("batches._check_apart", lambda *_: None, test_loads_that_overlap_are_found),
        ("batches._check_apart", lambda *_: None, test_bills_of_one_meter_share_no_time),
        ("checking.check_nothing_twice", lambda *_: None, test_a_sum_that_is_released_twice_is_found),
        ("checking.check_nothing_twice", lambda *_: None, test_a_window_that_is_billed_by_two_documents_is_found),
        ("rosters.Rosters.covers", lambda *_: True, test_a_load_of_a_time_before_its_meters_came_is_found),
    ],
)
def test_a_check_that_is_left_out_turns_a_test_red(
    name, instead, test, published, forger, verify, utility, monkeypatch
):
    monkeypatch.setattr(f"scripts.verify_release.{name}", instead)
    given = {"forger": forger, "verify": verify, "utility": utility, "published": published}
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    with pytest.raises(AssertionError):
        test(**{argument: given[argument] for argument in wanted})


def test_a_short_cut_that_fails_accuses_nobody(published, verify, monkeypatch):
    monkeypatch.setattr("scripts.verify_release.proofs.hold_together", lambda *_: False)
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
