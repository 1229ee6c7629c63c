"""The invariants of the whole path, as functions that return what is violated. Only they hold the private key.

L1 measured = billed + queued + quarantined   L2 customers' rows = loads + late   L3 nothing counted twice
L4 no nonce repeats   L5 nothing below k, nothing changed after closing   L6 what was acknowledged exists
L7 no reading in clear on disk or in a log
"""

import json
import re

from journey_world import CCM, DECRYPTOR, DEPLOYMENT, IDENTITY, INTERVAL, PRIVATE, K

from mdms.records.bills import decided_bills
from mdms.records.sealed import rows_of
from mdms.records.windows import billed_windows, unbilled_windows
from paillier import ENERGY_SLOTS, PaillierError, from_base64url
from protocol import documents, keychain, wire
from protocol.reports import BillingWindow, DetailSegment, IntervalLoad, parse_bitmap, parse_report
from scripts.balance import Named, Stretch, balance, named_by_concentrator


def decrypt(text):
    """Return the two energies of a ciphertext, or None where it holds something impossible."""
    try:
        return ENERGY_SLOTS.unpack(DECRYPTOR.decrypt(from_base64url(PRIVATE.public, text)))
    except PaillierError:
        return None


def add(pairs):
    pairs = list(pairs)
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def left(world, kind):
    """Return every report of a kind that has left the concentrator, verified."""
    key = IDENTITY.public_key()
    for name, document in world.left.items():
        if name not in world.parsed:
            world.parsed[name] = parse_report(document.type, documents.verify(document, DEPLOYMENT, key))
    return [report for report in world.parsed.values() if isinstance(report, kind)]


def quarantined(world):
    return named_by_concentrator(world.folder / "gateway" / "ledger.sqlite3")[1]


def within(world, title, after, until):
    """Return a meter's true energies between two registers, without what is quarantined."""
    aside = quarantined(world)
    return add(
        energies
        for (name, start), energies in world.measured.items()
        if name == title and after < start + INTERVAL <= until and (name, start) not in aside
    )


def contributors(world, load):
    members = parse_bitmap(load.contributors, len(world.roster.members))
    return [world.homes[index].title.hex() for index in sorted(members)]


# --- The invariants ---------------------------------------------------------------------------------------------


def l1(world):
    """Every milliwatt-hour is somewhere, once."""
    titles = {home.pseudonym: home.title.hex() for home in world.homes}
    at_concentrator, aside, counts = named_by_concentrator(world.folder / "gateway" / "ledger.sqlite3")
    waiting = {(home.title.hex(), start) for home in world.homes for start in home.meter.store.readings()}
    unbilled = [Stretch(titles[w.pseudonym], w.register_from, w.register_to) for w in unbilled_windows(world.store)]
    result = balance(
        {name: energies[0] for name, energies in world.measured.items()},
        INTERVAL,
        billed_mwh=sum(bill.import_mwh or 0 for bill in decided_bills(world.store)),
        billed=[Stretch(titles[w.pseudonym], w.register_from, w.register_to) for w in billed_windows(world.store)],
        queued=Named(waiting | at_concentrator.readings, at_concentrator.stretches + unbilled),
        quarantined=aside,
        counts=counts,
    )
    return [] if result.balances() else [f"L1 {result}"]


def l2(world):
    """At rest: what the customers can open is what the loads hold, what was late for them and what is set aside."""
    rows = {}
    for home in world.homes:
        for row in rows_of(world.store, home.pseudonym):
            epoch = wire.parse_header(row).epoch
            detail = wire.open_row(CCM, home.customer.at(epoch).key(keychain.DETAIL), row)[1]
            name = (home.title.hex(), detail.end - detail.length_s)
            if name in rows:
                return ["L2 a customer has a row twice"]
            rows[name] = (detail.import_mwh, detail.export_mwh)
    found = [] if rows == world.measured else ["L2 the customers' rows are not what was measured"]
    in_loads = {
        (title, load.interval_start) for load in left(world, IntervalLoad) for title in contributors(world, load)
    }
    late = rows.keys() - in_loads - quarantined(world)
    if len(late) != world.ledger.counts().get("late for its load", 0):
        found.append(f"L2 {len(late)} readings are in no load, and not as many were counted as late")
    return found


def l3(world):
    """Nothing forged, nothing twice: every sum that left is the sum of true energies, once each."""
    found = []
    counts = world.ledger.counts()
    if counts.get("conflict") or counts.get("wrong key or forged", 0) != world.forged:
        found.append(f"L3 {world.forged} frames were forged, and the concentrator has counted {counts}")
    for load in left(world, IntervalLoad):
        true = add(world.measured.get((title, load.interval_start), (0, 0)) for title in contributors(world, load))
        if load.ciphertext and decrypt(load.ciphertext) != true:
            found.append(f"L3 the load of {load.interval_start} is not the sum of its contributors")
    titles = {home.pseudonym: home.title.hex() for home in world.homes}
    for window in left(world, BillingWindow):
        true = within(world, titles[window.pseudonym], window.register_from, window.register_to)
        if window.energy and decrypt(window.energy) != true:
            found.append(f"L3 the window of {window.window_start} is not what was measured in it")
        if window.present > window.expected:
            found.append("L3 a window holds more intervals than there are")
    refused = world.ledger.execute("SELECT reason FROM outbox WHERE verdict IN ('refused', 'conflict')").fetchall()
    return found + [f"L3 the MDMS refused a report: {reason}" for (reason,) in refused]


def l4(world):
    """No key seals twice under one nonce, up or down."""
    return [f"L4 a nonce repeats: {nonce}" for nonce in world.witness.repeated]


def l5(world):
    """Whatever left holds k meters or a closed window, and nothing was said twice in two ways."""
    found, said = [], set()
    for report in left(world, (IntervalLoad, BillingWindow)):
        if isinstance(report, IntervalLoad):
            about = report.interval_start
            if report.ciphertext and len(contributors(world, report)) < K:
                found.append(f"L5 the load of {report.interval_start} was published below k")
            closed = report.interval_start + INTERVAL
        else:
            about = (report.pseudonym, report.window_start)
            closed = report.window_end
            if report.window_end - report.window_start < 3 * 3600:
                found.append("L5 a ciphertext of one meter over less than a window")
        if closed > world.now:
            found.append("L5 a report about what is not closed")
        if about in said:
            found.append(f"L5 {about} was reported twice, in two ways")
        said.add(about)
    return found + l5_rows(world)


def l5_rows(world):
    """A customer's rows do not open with what the concentrator holds. Each report is looked at once."""
    found = []
    left(world, DetailSegment)
    for name in world.parsed.keys() - world.looked_at:
        world.looked_at.add(name)
        for text in getattr(world.parsed[name], "rows", ()):
            row = documents.from_base64url(text, "row", wire.ROW_BYTES)
            header = wire.parse_header(row)
            if opens(world.by_title[header.system_title].hop.at(header.epoch).key(keychain.UP), row):
                found.append("L5 a row opens with the concentrator's key")
    return found


def opens(key, row):
    try:
        wire.open_row(CCM, key, row)
    except wire.WireError:
        return False
    return True


def l6(world):
    """Every acknowledged frame is in the ledger, and the ledger syncs every commit."""
    found = []
    rows = world.ledger.execute("SELECT title, salt, counter FROM frames")
    kept = {(title, salt, int.from_bytes(counter, "big")) for title, salt, counter in rows}
    erased = world.ledger.execute("SELECT min(epoch) FROM meters").fetchone()[0] > world.homes[0].epoch
    missing = world.acknowledged - kept
    if missing and not erased:
        found.append(f"L6 {len(missing)} acknowledged frames are gone")
    durable = [world.ledger.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    if durable != ["wal", 2]:
        found.append(f"L6 a power cut may undo commits: {durable}")
    return found


def l7(world):
    """No reading in clear, in any file of any process or in any log line."""
    found = []
    registers = {}
    canaries = []
    for (title, _), (import_mwh, export_mwh) in sorted(world.measured.items(), key=lambda item: item[0]):
        before = registers.get(title, (0, 0))
        registers[title] = (before[0] + import_mwh, before[1] + export_mwh)
        for order in ("big", "little"):
            canaries.append(import_mwh.to_bytes(4, order) + export_mwh.to_bytes(4, order))
            canaries.append(b"".join(register.to_bytes(8, order) for register in registers[title]))
    for path in world.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if any(canary in data for canary in canaries[:: len(canaries) // 200 + 1]):
            found.append(f"L7 a reading lies in clear in {path.name}")
    energies = {str(energy) for pair in world.measured.values() for energy in pair}
    words = set(re.findall(r"(?<![\w-])\d{6,}(?![\w-])", json.dumps(world.logs, default=repr)))
    return found + ["L7 a reading stands in the log"] * bool(energies & words)


def at_any_moment(world):
    """Return what is violated of the invariants that hold whenever nothing is being written."""
    return l1(world) + l4(world) + l5(world) + l6(world)


def at_rest(world):
    """Return what is violated of all of them when everything has been billed."""
    return at_any_moment(world) + l2(world) + l3(world) + l7(world)
