"""Move-out and move-in at one meter, from both sides: the former tenant keeps the past, the new one starts clean."""

import msgspec
import pytest
from Crypto.Cipher import AES
from mdms_bench import APRIL, DAY, DEPLOYMENT, INTERVAL, MARCH, METERS, pseudonym
from pages_bench import BenchPages, Ccm, Customer
from sqlalchemy import select

from mdms import create_app
from mdms.config import load_mdms_config
from mdms.records.bills import Bill, keep_bill
from mdms.records.sealed import envelope_of
from mdms.retention import erase, keep_days
from mdms.tables import detail_rows
from protocol import keychain, reports, wire
from protocol.documents import DocumentError, from_base64url, parse
from protocol.envelopes import Envelope, open_root
from protocol.rosters import Member, sign_roster

NEW = pseudonym("moved in", 0)


class Opening(Ccm):
    """The same, from the customer's side."""

    def open(self, key, nonce, sealed, aad):
        cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=16)
        cipher.update(aad)
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])


@pytest.fixture
def town(bench, tmp_path):
    """North, where `me` moves out at the end of March; `new` gets the meter with a root, key and account of its own."""
    pages = BenchPages(bench, tmp_path)
    pages.close()
    new = Customer(bench.north, 0)
    new.account, new.epoch, new.counter = NEW, keychain.epoch_of(APRIL), 10_000
    members = [Member(NEW, APRIL), *bench.north.members[1:]]
    roster = bench.north.make_roster(2, APRIL, members)
    signed = msgspec.json.encode(sign_roster(bench.operator, DEPLOYMENT, roster))
    (tmp_path / "rosters" / "north.2.json").write_bytes(signed)
    (tmp_path / "envelopes" / f"{NEW}.json").write_bytes(msgspec.json.encode(new.envelope(bench.operator)))
    pages.app = create_app(load_mdms_config(tmp_path / "mdms.toml"))
    pages.store = pages.app.extensions["hushmeter_store"]
    pages.new = new
    yield pages
    pages.close()


def segment(pages, account, rows):
    return pages.bench.north.segment(rows, pseudonym=account)


def seal_both(pages):
    """The last two days of one and the first two of the other: (rows before, rows after)."""
    before = [pages.me.row(APRIL - 2 * DAY + hour * 3600, 7) for hour in range(1, 49)]
    after = [pages.new.row(APRIL + hour * 3600, 9) for hour in range(1, 49)]
    pages.ingest(segment(pages, pages.me.account, before), segment(pages, NEW, after))
    return before, after


def rows_of(pages, customer):
    client = pages.as_customer(customer)
    data = from_base64url(client.get(f"/portal/accounts/{customer.account}/rows.json").get_json()["rows"], "rows")
    return [data[at : at + wire.ROW_BYTES] for at in range(0, len(data), wire.ROW_BYTES)]


def opened(pages, customer, rows):
    """What a customer makes of rows with nothing but the key and the envelope that the portal serves."""
    client = pages.as_customer(customer)
    served = client.get(f"/portal/accounts/{customer.account}/envelope.json").get_json()["envelope"]
    envelope = parse(msgspec.json.encode(served), Envelope)
    root = open_root(customer.key, envelope, customer.title)
    found = []
    for row in rows:
        epoch = wire.parse_header(row).epoch
        first = keychain.Chain(envelope.epoch, keychain.first_chain(root))
        key = first.at(max(epoch, envelope.epoch)).key(keychain.DETAIL)
        try:
            found.append(wire.open_row(Opening(), key, row)[1].import_mwh)
        except wire.WireError:
            found.append(None)
    return found


def test_each_sees_the_own_time_and_opens_nothing_of_the_others(town):
    before, after = seal_both(town)
    assert rows_of(town, town.me) == before
    assert rows_of(town, town.new) == after
    assert opened(town, town.me, before) == [7] * 48
    assert opened(town, town.new, after) == [9] * 48
    # Even where somebody hands the other's rows over.
    assert opened(town, town.me, after) == [None] * 48
    assert opened(town, town.new, before) == [None] * 48


def test_neither_opens_the_others_envelope_or_account(town):
    for one, other in ((town.me, town.new), (town.new, town.me)):
        envelope = parse(envelope_of(town.store, other.account).content_bytes(), Envelope)
        with pytest.raises(DocumentError):
            open_root(one.key, envelope, one.title)
        client = town.as_customer(one)
        for name in ("rows", "envelope", "bills", "releases", "detail"):
            assert client.get(f"/portal/accounts/{other.account}/{name}.json").status_code == 404


def test_a_meter_that_kept_its_keys_shows_the_former_tenant_nothing_of_after(town):
    """Nobody gave it new ones: what it goes on sealing for the old account is not taken in."""
    last = town.me.row(APRIL - 60, 7)
    later = [town.me.row(APRIL + (1 + day) * DAY + 60, 8) for day in range(2)]
    town.ingest(segment(town, town.me.account, [last, *later]))
    assert rows_of(town, town.me) == [last]
    body = msgspec.json.encode(reports.Batch([segment(town, town.me.account, later)]))
    answer = town.client().post("/api/v1/reports", data=body, content_type="application/json").get_json()
    assert [(item["verdict"], item["reason"]) for item in answer["verdicts"]] == [
        ("refused", "rows of after the tenancy's end")
    ]
    assert len(town.store.ask(select(detail_rows.c.arrival))) == 1


def test_what_comes_late_from_before_the_move_is_still_the_former_tenants(town):
    seal_both(town)
    late = town.me.row(APRIL - 3600 * 30, 3)
    town.ingest(segment(town, town.me.account, [late]))
    assert rows_of(town, town.me)[-1] == late
    assert late not in rows_of(town, town.new)


def test_bills_and_releases_end_and_begin_at_the_move(town, bench, tmp_path):
    for account, start, end in ((town.me.account, MARCH, APRIL), (NEW, APRIL, APRIL + 30 * DAY)):
        keep_bill(town.store, Bill(account, start, end, 5, 0, 8, 0, "released"), [], b"{}")
    holder = bench.holder(tmp_path, now=MARCH + DAY)
    holder.load(bench.north.load(MARCH, range(METERS)))
    holder.clock.now = APRIL + 3600
    holder.load(bench.north.load(APRIL, range(METERS)))
    holder.load(bench.north.load(APRIL + INTERVAL, range(METERS)))
    holder.close()
    for customer, period, days in (
        (town.me, "2026-03-01 to 2026-03-31", ["2026-03-01"]),
        (town.new, "2026-04-01 to 2026-04-30", ["2026-04-01"]),
    ):
        client = town.as_customer(customer)
        own = f"/portal/accounts/{customer.account}"
        assert [bill["period"] for bill in client.get(f"{own}/bills.json").get_json()["bills"]] == [period]
        assert [day["day"] for day in client.get(f"{own}/releases.json").get_json()["days"]] == days


def test_what_one_erases_or_shortens_does_not_touch_the_other(town):
    _, after = seal_both(town)
    erase(town.store, town.me.account, APRIL + DAY)
    keep_days(town.store, town.me.account, 7, APRIL + DAY)
    assert rows_of(town, town.me) == []
    assert rows_of(town, town.new) == after
