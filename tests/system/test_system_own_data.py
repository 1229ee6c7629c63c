"""What the browser works out of opened rows: windows and prices as the protocol has them, bills checked, files made."""

import csv
import json
import threading
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from greenbutton_objects.parse import parse_feed
from mdms_bench import DAY, DEPLOYMENT, MARCH
from pages_bench import Customer
from portal_page import check_bill, count, sign_in
from publication_bench import Line
from tariff_bench import day_and_night, flat
from year import minute_mwh, store_minutes

from mdms.billing import BillSum
from mdms.billing.money import cost
from mdms.records.bills import Bill, keep_bill
from mdms.releases import ReleaseWorker
from protocol.documents import parse
from protocol.envelopes import Envelope
from protocol.tariffs import local_days, sign_tariff, tariff_id
from protocol.windows import WINDOW_S, window_of

DAYS = 31
MODULES = "const from = (name) => import(new URL('/static/' + name, location.href).href);"
# Clocks that change at midnight, by half an hour, and at two.
ZONES = {"Europe/Berlin": 2026, "America/Sao_Paulo": 2017, "Asia/Beirut": 2023, "Australia/Lord_Howe": 2026}


@pytest.fixture
def page(browser, served):
    browser.fresh()
    yield browser
    assert browser.complaints() == []


@pytest.mark.parametrize("zone", ZONES)
def test_the_browsers_windows_are_the_protocols(page, served, zone):
    page.open(f"{served.url}/portal/")
    first = int(datetime(ZONES[zone], 1, 1, tzinfo=UTC).timestamp())
    times = list(range(first, first + 366 * DAY, 9000))
    code = "const { windowAt } = await from('walls.js'); return given[0].map((at) => windowAt(at, given[1]).start);"
    assert page.run(MODULES + code, times, zone) == [window_of(at, ZoneInfo(zone)).start for at in times]


def test_the_browsers_prices_are_the_bills(page, served):
    """A month of hours in a zone with summer time, in bands of a week: the eye's cost is the bill's before rounding."""
    page.open(f"{served.url}/portal/")
    zone = ZoneInfo("Europe/Berlin")
    start, end = (int(datetime(2026, month, 1, tzinfo=zone).timestamp()) for month in (3, 4))
    tariff = day_and_night(zone="Europe/Berlin", valid_from=start, standing_micro=250_000, tax_ppm=190_000)
    hours = [(at, 100_000_000 + at % 977_777, at % 555_555) for at in range(start, end, 3600)]
    code = (
        MODULES
        + """
    const { Archive } = await from("archive.js");
    const { Prices } = await from("prices.js");
    const archive = new Archive();
    for (const [start, importMwh, exportMwh] of given[0]) {
      archive.add({ end: start + 3600, length: 3600, importMwh, exportMwh, importRegister: 0, exportRegister: 0,
                    volts: NaN, amperes: NaN, powerFactor: NaN, quality: 0, meter: 0 });
    }
    return new Prices([given[1]]).cost(archive, given[2], given[3]);
    """
    )
    found = page.run(code, hours, msgspec.to_builtins(tariff), start, end)
    sums = []
    for number, band in enumerate(tariff.bands):
        inside = [hour for hour in hours if tariff.band_at(window_of(hour[0], zone).start) == number]
        energies = (sum(hour[1] for hour in inside), sum(hour[2] for hour in inside))
        sums.append(BillSum(number, ((band.name, 1),), 1, 1, *energies))
    exact = cost(tariff, tuple(sums), 31).total
    assert round(found * 100) == exact  # the bill counts cents


STANDING = (
    MODULES
    + """
const { Archive } = await from("archive.js");
const { Prices } = await from("prices.js");
const [tariff, first, last, stretches] = given;
const archive = new Archive();
for (let end = first + 3600; end <= last; end += 3600) {
  archive.add({ end, length: 3600, importMwh: 0, exportMwh: 0, importRegister: 0, exportRegister: 0,
                volts: NaN, amperes: NaN, powerFactor: NaN, quality: 0, meter: 0 });
}
const prices = new Prices([tariff]);
return stretches.map(([start, end]) => prices.cost(archive, start, end));
"""
)


def standing(page, zone, first, last, *stretches):
    """What stretches cost where nothing is used, by a tariff of 1.00 a day; ``first`` to ``last`` has readings."""
    tariff = flat(zone=zone, valid_from=first - 40 * DAY, standing_micro=1_000_000)
    return page.run(STANDING, msgspec.to_builtins(tariff), first, last, list(stretches))


def test_a_part_of_a_day_bears_its_share_of_the_charge_a_day(page, served):
    page.open(f"{served.url}/portal/")
    zone = ZoneInfo("Europe/Berlin")

    def at(*wall):
        return int(datetime(2026, *wall, tzinfo=zone).timestamp())

    hour = (at(3, 4, 10), at(3, 4, 11))
    late_to_early = (at(3, 4, 22), at(3, 6, 2))  # two midnights, and 4 hours
    short_day, short_hour = (at(3, 29), at(3, 30)), (at(3, 29, 12), at(3, 29, 13))
    long_day, long_hour = (at(10, 25), at(10, 26)), (at(10, 25, 12), at(10, 25, 13))
    stretches = (hour, late_to_early, short_day, short_hour, long_day, long_hour)
    found = standing(page, "Europe/Berlin", at(1, 1), at(12, 31), *stretches)
    assert found == pytest.approx([1 / 24, 1 + 4 / 24, 1, 1 / 23, 1, 1 / 25])
    edges = [at(3, 28), at(3, 28, 7), at(3, 29, 1), at(3, 29, 22), at(3, 30, 5), at(3, 31)]
    assert sum(standing(page, "Europe/Berlin", at(1, 1), at(12, 31), *pairwise(edges))) == pytest.approx(3)


@pytest.mark.parametrize("zone", ZONES)
def test_whole_days_are_charged_as_the_bill_charges_them(page, served, zone):
    """From the day of the first reading to the one that has begun, whatever the clock does at midnight."""
    page.open(f"{served.url}/portal/")
    place, year = ZoneInfo(zone), ZONES[zone]
    start, end = (int(datetime(each, 1, 1, tzinfo=place).timestamp()) for each in (year, year + 1))
    assert standing(page, zone, start, end, (start, end)) == [365]
    # Moved in at ten on the 5th of January, and it is four in the afternoon of the 9th.
    first, now = (int(datetime(year, 1, day, hour, tzinfo=place).timestamp()) for day, hour in ((5, 10), (9, 16)))
    assert standing(page, zone, first, now, (start, end)) == [local_days(first, now, place)] == [5]


@pytest.mark.parametrize(
    ("off_mwh", "adjusted", "rows_from_day", "told"),
    [
        (0, 0, 0, "Equal"),
        (1, 0, 0, "It differs"),
        (7, 2, 0, "carries 2 windows"),
        (0, 0, 3, "cannot be compared yet"),
    ],
)
def test_a_bill_is_checked_against_the_own_rows(page, served, tmp_path, off_mwh, adjusted, rows_from_day, told):
    skipped = rows_from_day * 1440
    imports = store_minutes(served, served.me, MARCH + skipped * 60, DAYS * 1440 - skipped)
    whole = sum(imports) + off_mwh
    sums = (BillSum(0, (("all", 248),), 248, 248, whole, 0),)
    end = MARCH + DAYS * DAY
    bill = Bill(served.me.account, MARCH, end, whole, 0, 248, 0, "released", adjusted=adjusted, sums=sums)
    keep_bill(served.store, bill, [], b"{}")
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    check_bill(page)
    assert told in page.text("#check-verdict")
    cells = [cell.text for cell in page.all("#check-rows tr:last-child td")]
    assert cells[1] == f"{whole / 1e6:.3f}"
    assert cells[2] == f"{sum(imports) / 1e6:.3f}"


# The tariffs come when the rows have been drawn; `spoil` changes their text.
LATE_TARIFFS = """
const fetched = window.fetch.bind(window);
const drawn = () => Number(document.getElementById("opened").dataset.count ?? 0) > 0;
const spoil = %s;
window.fetch = async (url, ...rest) => {
  const answer = await fetched(url, ...rest);
  if (!/tariffs\\.json/.test(String(url))) return answer;
  const text = await answer.text();
  while (!drawn()) await new Promise((resolve) => setTimeout(resolve, 50));
  return new Response(spoil(text), { status: answer.status, headers: { "Content-Type": "application/json" } });
};
"""


@pytest.fixture
def late_tariffs(page):
    """A function: from now on a page's tariffs come behind its rows, changed by a function of JavaScript."""
    added = []

    def change(spoil):
        source = {"source": LATE_TARIFFS % spoil}
        added.append(page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source))

    yield change
    for script in added:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_tariff_that_comes_after_the_rows_prices_them(page, served, tmp_path, late_tariffs):
    imports = store_minutes(served, served.me, MARCH, 1440)
    late_tariffs("(text) => text")
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    euros = sum(imports) / 1e6 * flat().bands[0].import_micro_per_kwh / 1e6
    page.wait(lambda: page.text("#cost") == f"€{euros:.2f}", f"not €{euros:.2f}")


def test_what_cannot_be_added_up_is_told_and_the_rest_goes_on(page, served, tmp_path, late_tariffs):
    """A tariff in a time zone that no browser has: no cost can be told, and no band compared."""
    imports = store_minutes(served, served.me, MARCH, 1440)
    sums = (BillSum(0, (("all", 8),), 8, 8, sum(imports), 0),)
    tariff = tariff_id(sign_tariff(served.bench.operator, DEPLOYMENT, flat()), DEPLOYMENT)
    bill = Bill(served.me.account, MARCH, MARCH + DAY, sum(imports), 0, 8, 0, "released", tariff=tariff, sums=sums)
    keep_bill(served.store, bill, [], b"{}")
    late_tariffs("""(text) => text.replace(/"zone":\\s*"[^"]*"/g, '"zone": "No/Where"')""")
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: "went wrong" in (page.text("#failed") or ""))
    page.wait(lambda: page.all("#bills button"), "no bill").pop().click()
    page.wait(lambda: "could not be compared" in (page.text("#check-verdict") or ""))
    allow_downloads(page, tmp_path)
    page.find("#take-csv").click()
    assert arrived(page, tmp_path, "csv").read_text().count("\n") == 1 + len(imports)


@pytest.fixture
def billed(served, tmp_path):
    """March, sealed by the meter, added up by the concentrator and released by a real key holder."""
    north = served.bench.north
    imports = store_minutes(served, served.me, MARCH, DAYS * 1440)
    a_window = WINDOW_S // 60
    found = [
        north.window(MARCH + at * 60, 0, sum(imports[at : at + a_window])) for at in range(0, len(imports), a_window)
    ]
    found += north.windows(MARCH, MARCH + DAYS * DAY, 1)
    for first in range(0, len(found), 100):
        served.ingest(*found[first : first + 100])
    holder = served.bench.holder(tmp_path, MARCH + DAYS * DAY)
    worker = ReleaseWorker(served.store, served.bench.book, Line(holder), threading.Event())
    assert worker.settle(MARCH + DAYS * DAY)
    holder.close()
    return imports


def test_the_key_holders_proof_of_a_bill_is_verified_in_the_browser(page, served, billed, tmp_path):
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(billed))
    check_bill(page)
    assert "Proved: " in page.text("#check-proof")
    assert "your 248 windows with energy, signed by your street's concentrator" in page.text("#check-proof")
    assert "Equal" in page.text("#check-verdict")
    proof = page.run(
        "return await (await fetch(`/portal/accounts/${given[0]}/bills/${given[1]}/proof.json`)).json()",
        served.me.account,
        MARCH,
    )
    # The neighbour's bill was proved in the same batch, and nothing of it comes here.
    assert served.other.account not in json.dumps(proof)
    code = MODULES + TAMPER
    assert page.run(code, proof, served.me.account, sorted(FORGERIES)) == FORGERIES


FORGERIES = {
    "another energy": "a sum is not what your windows contain",
    "energy moved to the export": "a sum is not what your windows contain",
    "another root": "a sum is not what your windows contain",
    "a window left out": "a sum is not what your windows contain",
    "a window twice": "a window stands in two sums",
    "another window's name": "a window is not the one that was named",
    "another signature": "a window's signature is false",
    "another signer": "a window is signed by a stranger",
    "another account": "a window is another customer's",
    "no modulus": "a sum is under a key that no roster names",
    "root of zero": "a root is out of range",
    "nothing": "proved",
}
TAMPER = """
    const { verifyProof } = await from("proving.js");
    const [honest, account, names] = given;
    const swap = (text) => (text[0] === "A" ? "B" : "A") + text.slice(1);
    const ways = {
      "another energy": (it) => { it.sums[0].import_mwh++; },
      "energy moved to the export": (it) => { it.sums[0].import_mwh--; it.sums[0].export_mwh++; },
      "another root": (it) => { it.sums[0].root = it.sums[0].root.slice(0, -4) + swap(it.sums[0].root.slice(-4)); },
      "a window left out": (it) => { it.sums[0].documents.pop(); },
      "a window twice": (it) => { it.sums[0].documents.push(it.sums[0].documents[0]); },
      "another window's name": (it) => {
        const [a, b] = it.sums[0].documents;
        [it.reports[a], it.reports[b]] = [it.reports[b], it.reports[a]];
      },
      "another signature": (it) => {
        const one = it.reports[it.sums[0].documents[3]];
        one.signature = swap(one.signature);
      },
      "another signer": (it) => { for (const name in it.signers) it.signers[name] = swap(it.signers[name]); },
      "another account": () => {},
      "no modulus": (it) => { it.sums[0].n = null; },
      "root of zero": (it) => { it.sums[0].root = "AAAA"; },
      "nothing": () => {},
    };
    const said = {};
    for (const name of names) {
      const it = structuredClone(honest);
      ways[name](it);
      const who = name === "another account" ? "A".repeat(22) : account;
      said[name] = await verifyProof(it, who).then(() => "proved", (error) => error.message);
    }
    return said;
"""


def test_rows_of_a_replaced_meter_open_with_its_own_envelope(page, served, tmp_path):
    """And a damaged row among them, with an epoch far ahead, is left out and counted."""
    page.open(f"{served.url}/portal/")
    old, new = Customer(served.bench.north, 0), Customer(served.bench.north, 0)
    new.key, new.title = old.key, b"NEWMETER"
    damaged = bytearray(old.row(MARCH + 90, 6))
    damaged[10:12] = b"\xff\xfe"
    rows = (old.row(MARCH + 60, 5) + bytes(damaged) + new.row(MARCH + 120, 7)).hex()
    envelopes = [
        msgspec.to_builtins(parse(one.envelope(served.bench.operator).content_bytes(), Envelope)) for one in (new, old)
    ]
    code = """
    const { readKeyFile } = await from("keyfile.js");
    const keys = await readKeyFile(given[0], "");
    const worker = new Worker(new URL("/static/opener.js", location.href), { type: "module" });
    const said = new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data)));
    worker.postMessage({ keys, envelope: given[1], earlier: [{ envelope: given[2] }], zone: "UTC" });
    worker.postMessage({ rows: Uint8Array.from(given[3].match(/../g), (pair) => parseInt(pair, 16)) });
    const { opened, failed, fatal } = await said;
    worker.terminate();
    return [opened, failed, fatal ?? null];
    """
    assert page.run(MODULES + code, old.key_file(tmp_path).read_text(), *envelopes, rows) == [2, 1, None]


def test_energy_of_a_gap_belongs_to_the_window_that_ends_it(page, served):
    """Rows that never came: registers know their energy, and the bill's window has it where the next row is."""
    page.open(f"{served.url}/portal/")
    code = (
        MODULES
        + """
    const { Archive } = await from("archive.js");
    const { checkBill } = await from("checking.js");
    const archive = new Archive();
    let register = 1000;
    for (let end = 900; end <= 86400; end += 900) {
      register += end;
      const lost = end > 20000 && end <= 40000;
      if (lost) continue;
      archive.add({ end, length: 900, importMwh: end, exportMwh: 0, importRegister: register, exportRegister: 0,
                    volts: NaN, amperes: NaN, powerFactor: NaN, quality: 0, meter: 0 });
    }
    const bandOf = (at) => (at < 43200 ? "early" : "late");
    const whole = register - 1000;
    const early = 900 * (48 * 49) / 2;
    const sums = [["early", early], ["late", whole - early]].map(([band, mwh]) => (
      { bands: [band], import_mwh: mwh, export_mwh: 0 }));
    const bill = { start: 0, end: 86400, import_mwh: whole, export_mwh: 0, adjusted: 0, sums };
    return checkBill(archive, bill, bandOf).verdict;
    """
    )
    assert page.run(code) == "equal"


def test_files_are_made_in_the_browser_and_read_by_another_program(page, served, tmp_path):
    imports = store_minutes(served, served.me, MARCH, 2 * 1440)
    downloads = tmp_path / "downloads"
    allow_downloads(page, downloads)
    sign_in(page, served, served.me, served.me.key_file(tmp_path))
    page.wait(lambda: count(page) == len(imports))
    page.find("#range-month").click()
    page.wait(lambda: page.text("#span-title") == "March 2026")
    asked = len(page.requests())
    for kind in ("csv", "xml"):
        page.find(f"#take-{kind}").click()
    table = list(csv.DictReader(arrived(page, downloads, "csv").read_text().splitlines()))
    assert [(row["start"], row["import_kwh"]) for row in table] == [
        (f"{datetime.fromtimestamp(MARCH + at * 60, UTC):%Y-%m-%dT%H:%M:%SZ}", f"{mwh // 10**6}.{mwh % 10**6:06d}")
        for at, mwh in enumerate(imports)
    ]
    (point,) = parse_feed(str(arrived(page, downloads, "xml")))
    readings = {one.title.split()[0]: list(one.intervalReadings) for one in point.meterReadings}
    assert [one.value * 1000 for one in readings["import"]] == pytest.approx([float(mwh) for mwh in imports])
    assert {one.value for one in readings["export"]} == {0}
    starts = [one.timePeriod.start.replace(tzinfo=UTC).timestamp() for one in readings["import"]]
    assert len(starts) == len(imports) == len(set(starts))
    later = [url for url, _ in page.requests()[asked:] if not url.startswith("blob:")]
    assert all("/portal/accounts/" in url for url in later), later


def allow_downloads(page, folder):
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def arrived(page, folder, kind):
    def found() -> Path | None:
        files = list(folder.glob(f"*.{kind}")) if folder.is_dir() else []
        return files[0] if files else None

    path = page.wait(found, f"no {kind} file")
    size = -1
    while path.stat().st_size != size:
        size = path.stat().st_size
        time.sleep(0.2)
    return path


def test_the_planted_minute_is_another_one_every_time():
    assert len({minute_mwh(at) for at in range(DAYS * 1440 - 1440)}) == (DAYS - 1) * 1440
