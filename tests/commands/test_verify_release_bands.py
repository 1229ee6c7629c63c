"""A published bill in bands is believed whole or not at all; so is one over a change of keys; and the first format."""

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

# The small deployment of the MDMS's own tests serves here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mdms"))

from mdms_bench import APRIL, DEPLOYMENT, MARCH, Bench, pseudonym
from publication_bench import Forger, Line, Utility, batches_in, public
from rotation_bench import MAY, Rotated
from tariff_bench import book_of, day_and_night, flat, write_tariffs

from mdms.config import load_mdms_config
from mdms.ingest.admission import admit
from mdms.ingest.judgement import judge
from mdms.pricing import Pricing
from mdms.publication import publish
from mdms.records.bills import decided_bills
from mdms.releases import ReleaseWorker
from mdms.rosters import RosterBook
from mdms.store import Store
from protocol import releases
from protocol.rosters import sign_roster
from scripts.verify_release import Options, Wrong, check

ME = pseudonym("north", 0)
TODAY = datetime.fromtimestamp(MARCH, UTC).date()
IN_APRIL = datetime.fromtimestamp(APRIL, UTC).date()


class Month:
    """One meter's bill, from its reports to its publication, by a tariff with bands."""

    def __init__(self, folder, tariff, rotated=False, now=APRIL, old_windows=1):
        self.bench = bench = Bench()
        config, _ = bench.write(folder)
        book, windows, keyring = bench.book, bench.north.windows(MARCH, APRIL), None
        if rotated:
            street = Rotated(bench.north, old_windows)
            book, keyring = RosterBook([*street.rosters, bench.south.roster]), street.keyring
            windows = [window for several in street.windows() for window in several]
            (folder / "rosters" / "north.json").unlink()
            for roster in street.rosters:
                document = msgspec.json.encode(sign_roster(bench.operator, DEPLOYMENT, roster))
                (folder / "rosters" / f"north-{roster.version}.json").write_bytes(document)
        write_tariffs(folder / "tariffs", bench.operator, tariff)
        with config.open("a") as file:
            file.write(f'release_log = "release-log.jsonl"\nlog_key = "{public(bench.log_key)}"\ntariffs = "tariffs"\n')
        self.config = load_mdms_config(config)
        self.book, self.tariffs = book, book_of(bench.operator, tariff)
        self.store = Store(self.config.database)
        holder = bench.holder(folder, now, book=book, tariffs=self.tariffs, keyring=keyring)
        verdicts = admit(self.store, [judge(window, book, DEPLOYMENT) for window in windows])
        assert {item.verdict for item in verdicts} == {"stored"}, verdicts
        assert ReleaseWorker(self.store, book, Line(holder), threading.Event()).settle(now)
        holder.close()

    def bill(self):
        return list(decided_bills(self.store))[-1]

    def publish(self, out, day=TODAY):
        return publish(self.config, self.store, self.book, out, bills_of=day)

    def verified(self, out):
        keys = public(self.bench.operator), public(self.bench.log_key)
        return check(Options(out, *keys, unsafe_small_key=True), lambda _: None)


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    month = Month(tmp_path_factory.mktemp("month"), day_and_night())
    yield month
    month.store.close()


@pytest.fixture(scope="module")
def published(month, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "march"
    month.publish(out)
    return out


@pytest.fixture
def forger(month, published, tmp_path):
    return Forger(published, tmp_path / "forged", month.bench)


def test_a_bill_in_bands_is_stored_priced_published_and_verified(month, published):
    bill = month.bill()
    assert [(one.bands, one.import_mwh) for one in bill.sums] == [((("day", 155),), 155), ((("night", 93),), 93)]
    assert (bill.import_mwh, bill.tariff) == (248, next(iter(month.tariffs)).id)
    cost = Pricing(month.tariffs, month.book).cost(bill)
    assert [line.cost * 10**12 for line in cost.lines] == [155 * 400_000, 93 * 200_000]
    found = month.verified(published)
    assert (found.bills, found.batches) == (1, 1)
    rows = [line.split(",")[4:8] for line in (published / "bills.csv").read_text().splitlines()[1:]]
    assert rows == [["155", "155", "0", "day"], ["93", "93", "0", "night"]]
    assert (published / "tariffs" / "house.v1.json").exists()


def wrong(month, forger, reason):
    with pytest.raises(Wrong, match=reason):
        month.verified(forger.folder)


def test_a_window_of_another_band_is_named(month, forger):
    [batch] = forger.batches()
    day, night = batch.items
    moved = sorted([*day.documents, night.documents[0]], key=night_first(forger, [*day.documents, night.documents[0]]))
    items = [msgspec.structs.replace(day, documents=moved), night]
    forger.write_batches([msgspec.structs.replace(batch, items=items)])
    wrong(month, forger, "belongs to another band")


def night_first(forger, names):
    """Order document ids by their windows' time."""
    from protocol.documents import Document, document_id

    starts = {}
    for line in forger.reports():
        document = msgspec.json.decode(line, type=Document)
        name = document_id(document.type, DEPLOYMENT, document.content_bytes())
        starts[name] = json.loads(document.content_bytes())["window_start"]
    return lambda name: starts[name]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bands": ["night"]}, "belongs to another band|twice"),
        ({"bands": ["peak"]}, "not the tariff's"),
        ({"bands": ["night", "day"]}, "not the tariff's"),
        ({"tariff": "0" * 64}, "is not there"),
    ],
)
def test_other_bands_and_tariffs_than_the_signed_ones_are_named(month, forger, changes, reason):
    forger.change_item(0, 0, **changes)
    wrong(month, forger, reason)


def test_a_sum_of_a_few_windows_of_a_band_is_named(month, forger):
    [batch] = forger.batches()
    day, night = batch.items
    forger.write_batches([msgspec.structs.replace(batch, items=[day, replace(night, night.documents[:1])])])
    wrong(month, forger, "1 windows with energy; below 14")


def replace(item, documents):
    return msgspec.structs.replace(item, documents=documents)


def test_a_band_that_stands_in_two_sums_is_named(month, forger):
    [batch] = forger.batches()
    day, night = batch.items
    halves = [replace(day, day.documents[:80]), msgspec.structs.replace(day, documents=day.documents[80:], bands=[])]
    halves[1] = msgspec.structs.replace(halves[1], bands=["day", "night"])
    forger.write_batches([msgspec.structs.replace(batch, items=halves)])
    wrong(month, forger, "a band of it stands in two sums")
    forger.write_batches([msgspec.structs.replace(batch, items=[day, msgspec.structs.replace(night, period_end=MAY)])])
    wrong(month, forger, "not of one period and tariff")


def test_a_tariff_that_the_operator_did_not_sign_or_that_is_missing_is_named(month, forger):
    write_tariffs(forger.folder / "tariffs", month.bench.log_key, day_and_night())
    wrong(month, forger, "bad signature")
    (forger.folder / "tariffs" / "house.v1.json").unlink()
    wrong(month, forger, "tariff that it was opened by is not there")


def test_another_tariff_that_was_in_force_is_named(month, forger):
    own = flat(name="own", neighbourhoods=["north"])
    write_tariffs(forger.folder / "tariffs", month.bench.operator, own)
    wrong(month, forger, "another tariff than the one in force")


def test_a_table_that_says_another_band_is_named(month, forger):
    rows = forger.table("bills.csv")
    rows[1][7], rows[2][7] = rows[2][7], rows[1][7]
    forger.write_table("bills.csv", rows)
    wrong(month, forger, "bills.csv says")


def test_over_a_change_of_keys_the_proved_bands_are_published_and_the_total_is_counted(tmp_path):
    (tmp_path / "m").mkdir()
    month = Month(tmp_path / "m", day_and_night(), rotated=True, now=MAY)
    bill = month.bill()
    assert [(one.import_mwh, one.batch is None) for one in bill.sums] == [(150, False), (91, True)]
    done = month.publish(tmp_path / "out", IN_APRIL)
    assert (done.bills, done.unproved) == (1, 1)
    assert month.verified(tmp_path / "out").bills == 1
    assert "91" not in (tmp_path / "out" / "bills.csv").read_text().split(",")
    month.store.close()


def test_a_publication_of_the_first_format_is_read(tmp_path):
    (tmp_path / "u").mkdir()
    utility = Utility(tmp_path / "u")
    utility.publish(tmp_path / "out")
    forger = Forger(tmp_path / "out", tmp_path / "old", utility.bench)
    assert all(not item.bands for batch in batches_in(forger.folder) if batch.kind == "bills" for item in batch.items)
    forger.write_table("bills.csv", [row[:7] for row in forger.table("bills.csv")])
    with pytest.raises(Wrong, match="columns are not"):
        utility.verified(forger.folder)
    about = forger.folder / releases.ABOUT_FILE
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 1}))
    assert utility.verified(forger.folder).bills == 3
    # Documents of before there were bands are signed bytes: what they do not say is not added to them.
    assert b"bands" not in b"".join(
        msgspec.json.decode(line, type=releases.Document).content_bytes()
        for line in (forger.folder / releases.BATCHES_FILE).read_bytes().splitlines()
    )
    utility.close()
