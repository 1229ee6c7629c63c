"""What a replay writes: loads, bills, each customer's rows, the release log and the ledger."""

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from gateway.intake import CCM
from mdms.keyholder.messages import RELEASED
from mdms.records.bills import decided_bills
from mdms.records.loads import decided_loads
from mdms.records.sealed import envelope_of, rows_of
from mdms.store import Store
from protocol import keychain, wire
from protocol.documents import import_public_key, parse, verify
from protocol.envelopes import Envelope, open_root

from ..balance import Balance
from ..energy import format_wh
from ..street import Home, Street
from .plan import Plan


def write_csv(path: Path, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a CSV file with Unix line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.split(","))
        writer.writerows(rows)


def write_loads(path: Path, plan: Plan, store: Store) -> int:
    """Write one row per neighbourhood and interval from the file's first to its last; returns how many opened."""
    decided = {(load.neighbourhood, load.interval_start): load for load in decided_loads(store)}
    rows, released = [], 0
    for neighbourhood, meters in plan.readings.neighbourhoods().items():
        for start in range(plan.readings.first(), plan.readings.last() + 1, plan.interval_s):
            load = decided.get((neighbourhood, start))
            if load is None:
                rows.append((neighbourhood, start, 0, len(meters), "", "not_reported"))
                continue
            energy = "" if load.import_mwh is None else format_wh(load.import_mwh)
            released += load.status == RELEASED
            rows.append((neighbourhood, start, load.contributors, load.expected, energy, load.status))
    write_csv(path, "neighbourhood,interval_start,contributors,expected,energy_wh,status", rows)
    return released


def write_bills(path: Path, street: Street, store: Store) -> int:
    """Write the released bills under the file's own names, which nobody but this tool can put to a pseudonym."""
    names = {home.pseudonym: home.meter for home in street.homes}
    rows = sorted(
        (
            names[bill.pseudonym],
            bill.period_start,
            bill.period_end,
            format_wh(bill.import_mwh or 0),
            bill.windows,
            bill.estimated,
        )
        for bill in decided_bills(store)
        if bill.status == RELEASED
    )
    write_csv(path, "meter,period_start,period_end,energy_wh,windows,estimated", rows)
    return len(rows)


def open_rows(street: Street, home: Home, store: Store) -> list[wire.Detail]:
    """Return a customer's rows, opened with the customer's private key from what the MDMS stored."""
    document = envelope_of(store, home.pseudonym)
    rows = list(rows_of(store, home.pseudonym))
    if document is None or not rows:
        return []
    operator = import_public_key(street.facts.operator_key)
    envelope: Envelope = parse(verify(document, street.facts.deployment, operator), Envelope)
    title = wire.parse_header(rows[0]).system_title
    root = open_root(home.customer, envelope, title)
    first = keychain.Chain(envelope.epoch, keychain.first_chain(root))
    keys: dict[int, bytes] = {}
    opened = []
    for row in rows:
        epoch = wire.parse_header(row).epoch
        if epoch not in keys:
            keys[epoch] = first.at(epoch).key(keychain.DETAIL)
        opened.append(wire.open_row(CCM, keys[epoch], row)[1])
    return opened


def write_customer(folder: Path, street: Street, home: Home, store: Store) -> None:
    """Write one customer's intervals."""
    details = open_rows(street, home, store)
    rows = sorted((detail.end - detail.length_s, format_wh(detail.import_mwh)) for detail in details)
    write_csv(folder / f"{home.meter}.csv", "interval_start,energy_wh", rows)


def write_releases(folder: Path, street: Street) -> None:
    """Copy the signed release log and what verifies it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(street.release_log, folder / "log.jsonl")
    shutil.copyfile(street.folder.facts, folder / "deployment.json")


def write_balance(path: Path, result: Balance) -> None:
    """Write ``ledger.json``."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
