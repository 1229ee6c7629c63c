"""Who looked: the customer is told what the verified log says of the own bills, and nothing of anybody else."""

import pytest
from mdms_bench import APRIL, DAY, INTERVAL, MARCH, METERS, pseudonym
from pages_bench import BenchPages

from mdms.keyholder.messages import AskedBill, AskedSum
from mdms.portal.looked import opened
from mdms.records.bills import Bill, keep_bill


@pytest.fixture
def log(bench, pages, tmp_path):
    """Loads on two days, some too small, a bill of mine that was first refused and then opened, and one of another."""
    holder = bench.holder(tmp_path, now=MARCH + DAY + 3600)
    for at, contributors in ((0, range(METERS)), (1, range(10)), (2, range(4)), (96, range(11))):
        holder.load(bench.north.load(MARCH + at * INTERVAL, contributors))
    holder.load(bench.south.load(MARCH, range(METERS)))
    holder.clock.now = APRIL
    for meter in (0, 1):
        mine = bench.north.windows(MARCH, APRIL, meter, empty=(MARCH, MARCH + 10_800))
        if meter == 0:
            holder.bill([*mine, mine[-1]], pseudonym("north", 0))
        assert holder.bill(mine, pseudonym("north", meter))["status"] == "released"
    yield holder
    holder.close()


def releases(pages, customer):
    return pages.as_customer(customer).get(f"/portal/accounts/{customer.account}/releases.json").get_json()


def test_the_own_bills_are_told_newest_first_with_what_was_opened(pages, log):
    keep_bill(pages.store, Bill(pages.me.account, MARCH, APRIL, 246, 0, 248, 2, "released"), [], b"{}")
    found = releases(pages, pages.me)
    assert found["holds"]
    assert found["said"].startswith("The log verifies: 8 entries")
    assert found["head"] == {"seq": 8, "hash": log.state.head().hash}
    assert [(bill["seq"], bill["released"], bill["period"]) for bill in found["bills"]] == [
        (7, True, "of 2026-03-01 to 2026-03-31"),
        (6, False, "of 2026-03-01 to 2026-03-31"),
    ]
    assert found["bills"][0]["opened"] == ["One sum: 248 windows of three hours, 2 of them without a reading."]
    assert found["bills"][0]["time"] == "2026-04-01 00:00 UTC"
    assert found["bills"][1]["opened"] == []
    assert found["bills"][1]["why"] == "Not signed by the right concentrator, or malformed."


def test_the_streets_loads_are_counted_by_day_and_name_no_home(pages, log):
    found = releases(pages, pages.me)
    assert found["days"] == [
        {"day": "2026-03-02", "released": 1, "refused": 0, "homes": "11"},
        {"day": "2026-03-01", "released": 2, "refused": 1, "homes": "10 to 12"},
    ]
    assert "loads of your whole street: 3 opened on 2 days, 1 refused" in found["street"]
    assert "one sum of 10 homes or more" in found["street"]


def test_nothing_of_another_customer_or_street_is_told(pages, log):
    mine, others = (releases(pages, customer) for customer in (pages.me, pages.other))
    assert pages.other.account not in str(mine)
    assert "south" not in str(mine)
    assert [bill["seq"] for bill in others["bills"]] == [8]


def test_a_log_that_does_not_verify_is_said_to(pages, log):
    lines = log.log_path.read_bytes().splitlines(keepends=True)
    log.log_path.write_bytes(b"".join(lines[:6] + lines[7:]))
    found = releases(pages, pages.me)
    assert not found["holds"]
    assert "does not verify" in found["said"]
    assert "6 entries" in found["said"]
    assert [bill["seq"] for bill in found["bills"]] == [6]


def test_an_entry_that_is_changed_after_it_was_verified_is_not_shown(pages, log):
    assert releases(pages, pages.me)["holds"]
    data = bytearray(log.log_path.read_bytes())
    at = data.index(b"\n" * 1, 0)
    for _ in range(5):
        at = data.index(b"\n", at + 1)
    data[at + 60] ^= 1
    log.log_path.open("r+b").write(data)
    found = releases(pages, pages.me)
    assert (found["holds"], found["bills"]) == (False, [])
    assert "changed after it had been verified" in found["said"]
    assert "does not verify" in releases(pages, pages.me)["said"]


def test_a_missing_log_is_said_and_none_is_too(pages, log, bench, tmp_path):
    log.log_path.unlink()
    assert "cannot be read" in releases(pages, pages.me)["said"]


def test_a_server_without_a_log_says_so(bench, tmp_path):
    pages = BenchPages(bench, tmp_path)
    pages.close()
    config = tmp_path / "mdms.toml"
    kept = [line for line in config.read_text().splitlines() if not line.startswith(("release_log", "log_key"))]
    config.write_text("\n".join(kept) + "\n")
    pages.app = __import__("mdms").create_app(__import__("mdms.config").config.load_mdms_config(config))
    assert "no release log" in releases(pages, pages.me)["said"]
    pages.app.extensions["hushmeter_store"].close()


def test_the_index_begins_again_with_the_log(pages, log):
    releases(pages, pages.me)
    whole = log.log_path.read_bytes()
    log.log_path.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    found = releases(pages, pages.me)
    assert (found["bills"], found["head"]["seq"]) == ([], 3)
    assert found["days"] == [{"day": "2026-03-01", "released": 2, "refused": 1, "homes": "10 to 12"}]
    log.log_path.write_bytes(whole)
    assert [bill["seq"] for bill in releases(pages, pages.me)["bills"]] == [7, 6]


def test_many_entries_are_cut_and_counted(pages, log, monkeypatch):
    monkeypatch.setattr("mdms.portal.looked.MOST_ENTRIES", 1)
    monkeypatch.setattr("mdms.portal.looked.MOST_DAYS", 1)
    found = releases(pages, pages.me)
    assert ([bill["seq"] for bill in found["bills"]], found["earlier"], len(found["days"])) == ([7], 1, 1)
    assert "on 2 days" in found["street"]


def test_bands_and_what_was_left_over_are_told():
    sums = [AskedSum(["day"], 150, 150), AskedSum(["night", "weekend"], 98, 90)]
    bill = AskedBill("A" * 22, MARCH, 248, "0" * 64, None, 3, sums)
    assert opened(bill) == [
        "One sum of the band day: 150 windows of three hours.",
        "One sum of the band night + weekend: 98 windows of three hours, 8 of them without a reading.",
        "3 of these windows were left over from earlier periods.",
    ]
    assert opened(AskedBill("A" * 22, MARCH, 248, "0" * 64)) == ["One sum of all 248 windows of three hours."]
