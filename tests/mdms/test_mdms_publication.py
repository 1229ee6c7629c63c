"""What is published: whole batches, nothing in clear but released sums, the folder whole or not at all."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from mdms_bench import DAY, INTERVAL, MARCH, METERS, energy, pseudonym, words_of
from publication_bench import LOADS, TODAY, Utility, batches_in
from sqlalchemy import select

from mdms import publication
from mdms.config import load_mdms_config
from mdms.errors import CannotStart, ConfigError
from mdms.publication import CannotPublish
from mdms.rosters import RosterBook
from mdms.tables import load_releases, reports
from protocol import releases
from protocol.documents import Document

ROOT = Path(__file__).resolve().parents[2]
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def utility(tmp_path):
    (tmp_path / "utility").mkdir()
    utility = Utility(tmp_path / "utility")
    yield utility
    utility.close()


def rows(path):
    return path.read_text().splitlines()[1:]


def test_a_day_is_published_with_what_proves_it(utility, tmp_path):
    out = tmp_path / "new" / "day"
    done = utility.publish(out)
    assert sorted(path.name for path in out.iterdir()) == [
        "bills.csv",
        "loads.csv",
        "publication.json",
        "release-batches.jsonl",
        "reports.jsonl",
        "rosters",
    ]
    total = sum(map(energy, range(METERS)))
    assert rows(out / "loads.csv")[1] == f"north,2026-03-01T00:15Z,12,10,{total},7"
    assert len(rows(out / "loads.csv")) == done.loads == 2 * LOADS
    key = utility.bench.north.public.fingerprint
    assert rows(out / "bills.csv") == sorted(
        f"north,{pseudonym('north', meter)},2026-03-01T00:00Z,2026-03-02T00:00Z,7,7,0,,{key}" for meter in range(3)
    )
    assert done.reports == len((out / "reports.jsonl").read_text().splitlines()) == 2 * LOADS + 3 * 7
    for name in ("north.json", "south.json"):
        assert (out / "rosters" / name).read_bytes() == (utility.folder / "rosters" / name).read_bytes()


def test_the_period_of_who_left_ends_with_the_tenancy(tmp_path):
    noon = MARCH + DAY // 2
    (tmp_path / "utility").mkdir()
    utility = Utility(tmp_path / "utility", lambda north: [north.make_roster(2, noon, north.members[1:])])
    utility.publish(tmp_path / "out")
    key = utility.bench.north.public.fingerprint
    left = f"north,{pseudonym('north', 0)},2026-03-01T00:00Z,2026-03-01T12:00Z,3,3,0,,{key}"
    stayed = f"north,{pseudonym('north', 1)},2026-03-01T00:00Z,2026-03-02T00:00Z,7,7,0,,{key}"
    assert {left, stayed} < set(rows(tmp_path / "out" / "bills.csv"))
    [bills] = [batch for batch in batches_in(tmp_path / "out") if batch.kind == "bills"]
    assert {item.pseudonym: item.period_end for item in bills.items} == {
        pseudonym("north", 0): noon,
        pseudonym("north", 1): MARCH + DAY,
        pseudonym("north", 2): MARCH + DAY,
    }
    assert utility.verified(tmp_path / "out").bills == 3
    utility.close()


def test_a_roster_that_is_there_twice_is_published_once(utility, tmp_path):
    folder = utility.config.rosters
    (folder / "north-again.json").write_bytes((folder / "north.json").read_bytes() + b"\n")
    assert utility.publish(tmp_path / "out").rosters == 2
    assert sorted(os.listdir(tmp_path / "out" / "rosters")) == ["north-again.json", "south.json"]
    assert utility.verified(tmp_path / "out").rosters == 2


def test_documents_go_out_as_the_bytes_that_came_in(utility, tmp_path):
    utility.publish(tmp_path / "out")
    stored = {row.signature: row.content for row in utility.store.ask(select(reports))}
    for text in (tmp_path / "out" / "reports.jsonl").read_bytes().splitlines():
        document = msgspec.json.decode(text, type=Document)
        assert document.content_bytes() == stored.pop(document.signature)
    assert len(stored) == 3, "the empty windows, which carry nothing"


def test_nothing_in_clear_is_published_but_released_sums(utility, tmp_path):
    utility.publish(tmp_path / "out")
    words = set()
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        text = path.read_text()
        words |= (
            set(re.split(r"[,\n]", text))
            if path.suffix == ".csv"
            else words_of(text.splitlines() if path.suffix == ".jsonl" else [text])
        )
    assert str(sum(map(energy, range(METERS)))) in words, "the released sums are"
    assert not words & {str(energy(meter)) for meter in range(5, METERS)}
    assert not [word for word in words if "opening" in word]


def test_a_folder_with_bills_is_its_owners_alone(utility, tmp_path):
    utility.publish(tmp_path / "loads", bills_of=None)
    utility.publish(tmp_path / "bills", day=None)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("loads", "bills")] == [0o755, 0o700]
    assert rows(tmp_path / "loads" / "bills.csv") == rows(tmp_path / "bills" / "loads.csv") == []


def test_nothing_is_overwritten(utility, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    utility.publish(out)  # an empty folder gives way
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="overwritten"):
        utility.publish(out)
    with pytest.raises(ConfigError, match="overwritten"):
        utility.publish(out / "loads.csv")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("step", ["_copy_documents", "_write_table", "_write_reports", "_settle"])
def test_a_publication_that_breaks_leaves_nothing(utility, tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publication, step, full)
    with pytest.raises(CannotPublish, match="No space left"):
        utility.publish(tmp_path / "place" / "out")
    assert os.listdir(tmp_path / "place") == []


def test_a_day_without_a_release_is_not_published(utility, tmp_path):
    for chosen in ({"day": TOMORROW, "bills_of": None}, {"day": None, "bills_of": TOMORROW}):
        with pytest.raises(CannotPublish, match="nothing to publish"):
            utility.publish(tmp_path / "out", **chosen)
    assert not (tmp_path / "out").exists()


def test_a_day_is_that_of_the_neighbourhoods_own_clock(utility, tmp_path, monkeypatch):
    monkeypatch.setattr(
        RosterBook, "zone", lambda self, name: ZoneInfo("America/New_York" if name == "north" else "UTC")
    )
    yesterday = TODAY - timedelta(days=1)
    assert utility.publish(tmp_path / "a", day=yesterday, bills_of=None).loads == LOADS
    assert {row.split(",")[0] for row in rows(tmp_path / "a" / "loads.csv")} == {"north"}
    assert utility.publish(tmp_path / "b", day=TODAY, bills_of=None).loads == LOADS
    assert {row.split(",")[0] for row in rows(tmp_path / "b" / "loads.csv")} == {"south"}


def test_a_batch_over_midnight_is_published_whole_on_both_days(utility, tmp_path):
    north = utility.bench.north
    utility.receive(*(north.load(MARCH + DAY + at * INTERVAL) for at in (-1, 0)))
    utility.settle(MARCH + DAY + INTERVAL)
    assert utility.publish(tmp_path / "a", bills_of=None).loads == 2 * LOADS + 2
    assert utility.publish(tmp_path / "b", day=TOMORROW, bills_of=None).loads == 2


def forget_proofs(store, *which):
    store.write(lambda connection: connection.execute(load_releases.update().where(*which).values(batch=None)))


def test_a_batch_whose_decisions_are_not_all_stored_is_not_published(utility, tmp_path):
    forget_proofs(utility.store, load_releases.c.neighbourhood == "north", load_releases.c.interval_start == MARCH)
    with pytest.raises(CannotPublish, match="not stored yet"):
        utility.publish(tmp_path / "out", bills_of=None)


def test_what_was_released_before_there_were_proofs_is_counted_and_left_out(utility, tmp_path):
    forget_proofs(utility.store, load_releases.c.neighbourhood == "north")
    done = utility.publish(tmp_path / "out", bills_of=None)
    assert (done.loads, done.unproved) == (LOADS, LOADS)
    forget_proofs(utility.store)
    with pytest.raises(CannotPublish, match="8 sums were released without a proof"):
        utility.publish(tmp_path / "none", bills_of=None)


def test_what_is_missing_is_named(utility, tmp_path, monkeypatch):
    for question, answer, reason in (
        ("reports_named", lambda store, names: iter([]), "29 reports of released sums are not in the database"),
        ("release_batches_named", lambda store, names: {}, "is not in the database"),
        (
            "release_batches_named",
            lambda store, names: dict.fromkeys(names, Document("x", "", "", "")),
            "not a release batch",
        ),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(publication, question, answer)
            with pytest.raises(CannotPublish, match=reason):
                utility.publish(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_publication_needs_the_logs_public_key(bench, tmp_path):
    config, _ = bench.write(tmp_path)
    with pytest.raises(ConfigError, match="log_key"):
        publication.publish(load_mdms_config(config), None, bench.book, tmp_path / "out", day=TODAY)


def test_the_proofs_of_keys_are_read_before_they_are_published(utility, tmp_path):
    proofs = tmp_path / "proofs"
    with pytest.raises(CannotStart, match="proofs"):
        utility.publish(tmp_path / "out", key_proofs=proofs)
    proofs.mkdir()
    (proofs / "north.json").write_text('{"p": 3}')
    with pytest.raises(ConfigError, match="not the proof of a key"):
        utility.publish(tmp_path / "out", key_proofs=proofs)
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(utility, tmp_path):
    command = [sys.executable, "-m", "mdms", "publish", "--config", str(utility.config_path), "--out"]

    def run(*arguments):
        return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    out = str(tmp_path / "out")
    done = run(out, "--day", "2026-03-01", "--bills-of", "2026-03-01")
    assert done.returncode == 0, done.stderr
    assert "8 loads and 3 bills in 3 release batches, 29 reports, 2 rosters, 0 key proofs" in done.stderr
    for arguments, status in (
        ((out, "--day", "2026-03-01"), 2),
        ((out + "2",), 2),
        ((out + "2", "--day", "yesterday"), 2),
        ((out + "2", "--day", "2026-03-02"), 1),
    ):
        done = run(*arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out", "utility"}
    assert releases.BATCHES_FILE in os.listdir(out)
