"""What a run ships to whoever works: nothing that opens anything, and pages of proved sums alone."""

import dataclasses
import io
import pickle
import subprocess
import sys
from concurrent.futures import Future
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pypdf
import pytest
from bill_run_bench import MonthsEnd, files
from mdms_bench import APRIL, DAY, DEPLOYMENT, MARCH, pseudonym
from sqlalchemy import select, update

from mdms.bill_run import book, executors
from mdms.bill_run.book import NotProved, Portion, make_pages
from mdms.bill_run.collecting import Collecting
from mdms.bill_run.executors import check_address, working
from mdms.bill_run.periods import wanted_periods
from mdms.errors import CannotStart, ConfigError
from mdms.periods import parse_periods
from mdms.pricing import Pricing
from mdms.rosters import load_rosters
from mdms.tables import bills, reports
from mdms.tariffs import load_tariffs
from protocol.documents import document_id, generate_signing_key, public_key_bytes, to_base64url
from protocol.releases import RELEASE_BATCH, parse_batch, sign_batch
from protocol.windows import Span

ROOT = Path(__file__).resolve().parents[2]
METERS = 3


@pytest.fixture(scope="module")
def end(tmp_path_factory):
    end = MonthsEnd(tmp_path_factory.mktemp("utility"), METERS)
    with end.key_holder():
        end.run(end.folder / "bills")
    yield end
    end.close()


@pytest.fixture(scope="module")
def portion(end):
    """The one portion of the month, as a worker gets it."""
    config = end.config
    rosters = load_rosters(config.rosters, config.deployment, config.operator_key)
    pricing = Pricing(load_tariffs(config.tariffs, config.deployment, config.operator_key, rosters), rosters)
    collecting = Collecting(config, end.store, rosters, pricing)
    (portion,) = collecting.portions(collecting.entries({"north": Span(MARCH, APRIL)}))
    return portion


# --- What goes out --------------------------------------------------------------------------------------------------


def test_a_worker_makes_of_its_portion_what_the_run_wrote(end, portion):
    pages = make_pages(pickle.loads(pickle.dumps(portion)))
    written = files(end.folder / "bills")
    assert len(pages) == METERS
    assert {page.name: page.pdf for page in pages} == {name: written[name] for name in written if name[-3:] == "pdf"}


def test_what_is_shipped_opens_nothing_and_tells_released_sums_alone(end, portion):
    shipped = pickle.dumps(portion)
    for street in (end.bench.north, end.bench.south):
        for secret in (street.private.p, street.private.q):
            assert secret.to_bytes((secret.bit_length() + 7) // 8, "big") not in shipped
            assert secret.to_bytes((secret.bit_length() + 7) // 8, "little") not in shipped
    # Energies of windows are ciphertexts there; a register does not go out at all.
    contents = [row.content for row in end.store.ask(select(reports.c.content)) if b"closing_register" in row.content]
    register = msgspec.json.decode(contents[0])["closing_register"]
    energy = msgspec.json.decode(contents[0])["energy"]
    assert register.encode() not in shipped
    assert energy.encode() in shipped
    assert {field.name for field in dataclasses.fields(Portion)} == {
        "batches",
        "deployment",
        "entries",
        "language",
        "log_key",
        "moduli",
        "reports",
    }, "whoever ships more says in decision 35 why it may"


@pytest.mark.parametrize(
    ("module", "of_the_key_holder"), [("book", {"messages"}), ("run", {"messages", "client", "frames"})]
)
def test_neither_a_worker_nor_the_run_loads_a_private_key_or_a_web_server(module, of_the_key_holder):
    code = (
        f"import mdms.bill_run.{module}, sys; loaded = list(sys.modules); "
        "print([name for name in loaded if name.startswith('paillier.private') or name.split('.')[0] == 'flask' "
        f"or (name.startswith('mdms.keyholder.') and name.split('.')[2] not in {of_the_key_holder})])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_same_bill_is_always_the_same_paper(portion):
    first, second = make_pages(portion), make_pages(portion)
    assert first == second
    dated = pypdf.PdfReader(io.BytesIO(first[0].pdf)).metadata.creation_date
    assert dated == datetime.fromtimestamp(APRIL, UTC)


# --- What is not proved -----------------------------------------------------------------------------------------------


def with_bill(portion, at, **changes):
    entries = list(portion.entries)
    entries[at] = dataclasses.replace(entries[at], bill=dataclasses.replace(entries[at].bill, **changes))
    return dataclasses.replace(portion, entries=tuple(entries))


def with_sum(portion, at, **changes):
    sums = portion.entries[at].bill.sums
    changed = (dataclasses.replace(sums[0], **changes), *sums[1:])
    total = sum(one.import_mwh for one in changed)
    return with_bill(portion, at, sums=changed, import_mwh=total)


def with_batch(end, portion, change, key=None):
    """The batch with its items changed, signed anew, and the bills that name it."""
    (document,) = portion.batches
    batch = parse_batch(document.content_bytes())
    signed = sign_batch(key or end.bench.log_key, msgspec.structs.replace(batch, items=change(batch.items)))
    name = name_of(signed)
    entries = tuple(
        dataclasses.replace(
            entry,
            bill=dataclasses.replace(
                entry.bill, sums=tuple(dataclasses.replace(one, batch=name) for one in entry.bill.sums)
            ),
        )
        for entry in portion.entries
    )
    return dataclasses.replace(portion, batches=(signed,), entries=entries)


def name_of(signed):
    return document_id(RELEASE_BATCH, DEPLOYMENT, signed.content_bytes())


def tampered(end, portion):
    """Yield (what somebody changed, the portion then, the reason)."""
    one = portion.entries[1].bill
    yield "the bill's total", with_bill(portion, 1, import_mwh=one.import_mwh + 1), "do not add up"
    yield "a sum in the database", with_sum(portion, 1, import_mwh=one.sums[0].import_mwh + 1), "says something else"
    yield "its windows", with_sum(portion, 1, filled=one.sums[0].filled - 1), "says something else"
    yield "its tariff", with_bill(portion, 1, tariff="0" * 64), "says something else"
    yield "its batch", with_sum(portion, 1, batch="0" * 64), "does not name it"
    yield "its bands", with_sum(portion, 1, bands=(("night", 93),)), "says something else|stands in two"
    mine = portion.reports[one.pseudonym]
    exchanged = {**portion.reports, one.pseudonym: {**mine, next(iter(mine)): list(mine.values())[1]}}
    yield "a stored report", dataclasses.replace(portion, reports=exchanged), "does not follow"
    theirs = {**portion.reports, one.pseudonym: portion.reports[portion.entries[0].bill.pseudonym]}
    yield "whose reports", dataclasses.replace(portion, reports=theirs), "did not report"
    broken = {**portion.reports, one.pseudonym: {**mine, next(iter(mine)): "A" * 171}}
    yield "a ciphertext", dataclasses.replace(portion, reports=broken), one.pseudonym

    def more_energy(items):
        return [msgspec.structs.replace(items[0], import_mwh=items[0].import_mwh + 5), *items[1:]]

    def twice(items):
        return [items[0], msgspec.structs.replace(items[1], documents=items[0].documents), *items[2:]]

    stranger = generate_signing_key()
    yield "the log's signature", with_batch(end, portion, list, stranger), "a release batch: "
    whose = parse_batch(portion.batches[0].content_bytes()).items[0].pseudonym
    at = [entry.bill.pseudonym for entry in portion.entries].index(whose)
    forged = with_batch(end, portion, more_energy)
    forged = with_sum(forged, at, import_mwh=portion.entries[at].bill.sums[0].import_mwh + 5)
    yield "an energy that the key holder signed", forged, "does not follow"
    double = with_batch(end, portion, twice)
    first = portion.entries[at].bill.sums
    double = with_bill(
        double,
        at,
        sums=tuple(
            dataclasses.replace(sum_, batch=double.entries[at].bill.sums[0].batch, filled=first[0].filled)
            for sum_ in first
        ),
    )
    yield "a window that counts twice", double, "stands in two"


def test_whatever_somebody_changed_no_page_is_made(end, portion):
    count = 0
    for what, changed, reason in tampered(end, portion):
        with pytest.raises(NotProved, match=reason):
            make_pages(changed)
            pytest.fail(f"{what} went through")
        count += 1
    assert count == 12


def test_without_the_check_a_changed_sum_gets_its_page(end, portion, monkeypatch):
    """Planted: the very portions of the test above make pages."""
    monkeypatch.setattr(book, "check", lambda portion: None)
    with pytest.raises(BaseException, match="went through"):
        test_whatever_somebody_changed_no_page_is_made(end, portion)


def test_a_database_that_says_another_energy_stops_the_run(end, tmp_path):
    def add(amount):
        bill = bills.c.pseudonym == pseudonym("north", 1)
        end.store.write(
            lambda connection: connection.execute(
                update(bills).where(bill).values(import_mwh=bills.c.import_mwh + amount)
            )
        )

    add(1)
    try:
        with end.key_holder(), pytest.raises(CannotStart, match=r"alarm: the bill of .* do not add up"):
            end.run(tmp_path / "bills")
    finally:
        add(-1)
    assert not list((tmp_path / "bills").glob("*.pdf"))


# --- Who works ------------------------------------------------------------------------------------------------------


class Immediate:
    """An executor that works at once and remembers what it was given."""

    def __init__(self):
        self.given = []

    def submit(self, work, task):
        self.given.append(task)
        future = Future()
        try:
            future.set_result(work(task))
        except ValueError as error:
            future.set_exception(error)
        return future


def test_tasks_are_read_only_when_it_is_their_turn():
    executor, read = Immediate(), []

    def tasks():
        for task in range(10):
            read.append(task)
            yield task

    done = executors.Working(executor, 2).each(lambda task: task * task, tasks())
    next(done)
    assert len(read) == 2
    assert len(list(done)) == 9
    assert executor.given == read == list(range(10))


def test_a_task_that_fails_ends_the_work():
    executor = Immediate()
    with pytest.raises(ValueError, match="wrong"):
        list(executors.Working(executor, 2).each(lambda task: int("wrong"), range(10)))
    assert len(executor.given) == 2


@pytest.mark.parametrize("address", ["tls://dask.example:8786", "tcp://127.0.0.1:8786", "localhost:8786", "[::1]:8786"])
def test_a_scheduler_over_tls_or_on_this_machine_is_taken(address):
    check_address(address, unsafe_plain=False)


@pytest.mark.parametrize("address", ["tcp://dask.example:8786", "dask.example:8786", "10.0.0.7:8786"])
def test_a_scheduler_in_clear_beyond_this_machine_is_refused_unless_asked_for(address):
    with pytest.raises(ConfigError, match="in clear"):
        check_address(address, unsafe_plain=False)
    check_address(address, unsafe_plain=True)


@pytest.mark.parametrize(
    "address", ["", "tls://", "tls://host", "http://host:1", "inproc://x:1", "host:port", "tls://[::1"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError):
        check_address(address, unsafe_plain=True)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CannotStart, match=r"install the extra named dask"), working(1, "127.0.0.1:8786", False):
        pass


# --- Which period ---------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = {"north": UTC, "berlin": BERLIN}


def test_the_latest_period_that_is_over_is_meant_in_each_neighbourhoods_own_time():
    found = wanted_periods(parse_periods("month"), ZONES, None, APRIL + 5 * DAY)
    assert found["north"] == Span(MARCH, APRIL)
    assert datetime.fromtimestamp(found["berlin"].start, BERLIN).isoformat() == "2026-03-01T00:00:00+01:00"
    # Berlin's April has begun two hours before UTC's.
    found = wanted_periods(parse_periods("month"), ZONES, None, APRIL - 3600)
    assert datetime.fromtimestamp(found["north"].start, UTC).date() == date(2026, 2, 1)
    assert datetime.fromtimestamp(found["berlin"].start, BERLIN).date() == date(2026, 3, 1)


def test_a_period_is_named_by_the_day_on_which_it_begins():
    found = wanted_periods(parse_periods("month"), ZONES, date(2026, 2, 1), APRIL)
    assert found["north"].end == MARCH
    with pytest.raises(ConfigError, match="the one that holds it begins on 2026-03-01"):
        wanted_periods(parse_periods("month"), ZONES, date(2026, 3, 2), APRIL)
    with pytest.raises(ConfigError, match="is not over"):
        wanted_periods(parse_periods("month"), ZONES, date(2026, 4, 1), APRIL)
    fixed = parse_periods(f"fixed:{MARCH + 50_000}:{APRIL}")
    assert wanted_periods(fixed, {"north": UTC}, date(2026, 3, 1), APRIL)["north"].end == APRIL
    assert wanted_periods(fixed, {"north": UTC}, None, APRIL)["north"].end == APRIL
    for start in (None, date(2026, 3, 1)):
        with pytest.raises(ConfigError):
            wanted_periods(fixed, {"north": UTC}, start, MARCH)


def test_the_log_key_is_needed(end, tmp_path):
    config = end.config
    try:
        end.config = dataclasses.replace(config, log_key=None)
        with pytest.raises(ConfigError, match="log_key"):
            end.run(tmp_path / "bills")
    finally:
        end.config = config
    assert to_base64url(public_key_bytes(config.log_key))
