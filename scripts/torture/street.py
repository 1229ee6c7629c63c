"""A small street: homes whose meters seal readings, the parts of a concentrator on one ledger, and a utility.

Keys are of 512 bits and live in this process alone, so the utility may open everything that it is sent and compare.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import msgspec
from Crypto.PublicKey.ECC import EccKey

from gateway.closing import Closing
from gateway.encryption import Settings
from gateway.enrolment import EnrolmentRecord
from gateway.holdings import enrolled
from gateway.intake import DataDecryption
from gateway.ledger import Ledger
from gateway.neighbourhood import Neighbourhood, build
from gateway.outbox import Outbox
from gateway.reception import Arrival, Reception
from gateway.roll import first_standing
from paillier import ENERGY_SLOTS, from_base64url
from paillier.private.decryption import Decryptor
from paillier.private.key import generate_keypair
from protocol import documents, keychain, reports, rosters, wire

from ..sealing_meter import SealingMeter

DEPLOYMENT = "torture"
NAME = "torture"
INTERVAL_S = 3600
WINDOW_S = 3 * 3600
GRACE_S = 300
DELAY_DAYS = 7
K = 2
HOMES = 3
START = 1_772_323_200 - WINDOW_S  # 2026-02-28T21:00Z: a window's start, and the next one's is midnight
RATING_W = 1_000_000
MOST_MWH = RATING_W * 1000
FIRST_REGISTERS = (1_000, 50)
MOVED = ("frames", "readings", "quarantine", "loads", "contributors", "windows", "meters", "details", "outbox")


@dataclass(frozen=True)
class Sealed:
    """A frame as it waits in a meter's store. What it measured is known here only."""

    title: bytes
    name: tuple[bytes, int]
    start: int
    frame: bytes

    @property
    def number(self) -> int:
        """Its interval's number."""
        return self.start // INTERVAL_S


class Home(SealingMeter):
    """A meter: registers, keys, and what it measured, (import, export) in mWh by interval start."""

    def __init__(self, index: int) -> None:
        super().__init__(
            title=b"HSM" + index.to_bytes(5, "big"),
            pseudonym=documents.to_base64url(hashlib.sha256(b"tenancy %d" % index).digest()[:16]),
            root=hashlib.sha256(b"hop root of meter %d" % index).digest(),
            salt=b"boot",
            start=START,
        )
        self.registers = FIRST_REGISTERS
        self.measured: dict[int, tuple[int, int]] = {}
        self.counter = 0

    def record(self) -> EnrolmentRecord:
        """Return its enrolment, as of START."""
        return self.record_of(NAME, START, FIRST_REGISTERS)

    def measure(self, start: int, chance: Random) -> Sealed:
        """Measure an interval and seal its reading; intervals come in order."""
        energies = chance.randrange(MOST_MWH), chance.randrange(MOST_MWH)
        self.measured[start] = energies
        self.registers = (self.registers[0] + energies[0], self.registers[1] + energies[1])
        end = start + INTERVAL_S
        body = wire.pack_reading(wire.Reading(1, start // INTERVAL_S, end, INTERVAL_S, *energies, *self.registers, 0))
        return self.seal(wire.READING, body, start)

    def seal(self, kind: int, body: bytes, start: int, counter: int | None = None) -> Sealed:
        """Seal a body under the key of the day on which an interval ends."""
        if counter is None:
            counter = self.counter
            self.counter += 1
        frame = self.seal_frame(kind, body, keychain.epoch_of(start + INTERVAL_S), counter)
        return Sealed(self.title, (self.salt, counter), start, frame)

    def answered(self, frame: bytes) -> dict[tuple[bytes, int], int]:
        """Return {(salt, counter): verdict} of an answer that is for this meter, {} for any other."""
        try:
            return {(salt, counter): verdict for salt, counter, verdict in self.verdicts(frame)}
        except wire.Malformed:
            return {}


class Town:
    """What is made once for a process: keys, the roster, the neighbourhood as the concentrator serves it."""

    def __init__(self, homes: int = HOMES) -> None:
        self.private = generate_keypair(512, unsafe_small_key=True)
        self.identity: EccKey = documents.generate_signing_key()
        self.operator: EccKey = documents.generate_signing_key()
        self.decryptor = Decryptor(self.private)
        self.roster = rosters.Roster(
            neighbourhood=NAME,
            version=1,
            valid_from=START,
            zone="UTC",
            interval_s=INTERVAL_S,
            rating_w=RATING_W,
            concentrator=documents.to_base64url(documents.public_key_bytes(self.identity)),
            paillier_key=self.private.public.fingerprint,
            paillier_n=self.private.public.to_jwk()["n"],
            members=[rosters.Member(Home(index).pseudonym, START) for index in range(homes)],
        )
        self.place: Neighbourhood = build(self.roster, unsafe_small_key=True, settings=Settings(table_window_bits=4))

    def open(self, text: str) -> tuple[int, int]:
        """Decrypt what left: (import, export) in mWh."""
        imported, exported = ENERGY_SLOTS.unpack(self.decryptor.decrypt(from_base64url(self.private.public, text)))
        return imported, exported


@cache
def town() -> Town:
    """Return this process's town."""
    return Town()


class Utility:
    """A stand-in for the MDMS: it takes each report once, by its id, and notes a second report of one thing."""

    def __init__(self) -> None:
        self.taken: dict[str, reports.Report] = {}
        self._of: dict[tuple[str, int], str] = {}
        self.second: list[tuple[str, int]] = []

    def copy(self) -> "Utility":
        """Return what it has now, to go on from there another way."""
        other = Utility()
        other.taken, other._of, other.second = dict(self.taken), dict(self._of), list(self.second)
        return other

    def take(self, items: Iterable[documents.Document]) -> list[reports.ItemVerdict]:
        """Return the verdict on each document, in order."""
        return [self._take(item) for item in items]

    def _take(self, item: documents.Document) -> reports.ItemVerdict:
        content = item.content_bytes()
        name = documents.document_id(item.type, DEPLOYMENT, content)
        if name in self.taken:
            return reports.ItemVerdict(name, "duplicate")
        report = reports.parse_report(item.type, content)
        if isinstance(report, reports.DetailSegment):
            raise TypeError("this street sends no detail")
        of = (
            (report.pseudonym, report.window_start)
            if isinstance(report, reports.BillingWindow)
            else ("load", report.interval_start)
        )
        if of in self._of:
            self.second.append(of)
            return reports.ItemVerdict(name, "conflict", "reported before, otherwise")
        self._of[of] = name
        self.taken[name] = report
        return reports.ItemVerdict(name, "stored")

    def loads(self) -> dict[int, reports.IntervalLoad]:
        """Return the loads by interval start."""
        return {each.interval_start: each for each in self.taken.values() if isinstance(each, reports.IntervalLoad)}

    def windows(self, pseudonym: str) -> dict[int, reports.BillingWindow]:
        """Return a home's windows by their start."""
        found = (each for each in self.taken.values() if isinstance(each, reports.BillingWindow))
        return {each.window_start: each for each in found if each.pseudonym == pseudonym}


class Differences:
    """What a utility was sent, next to what was measured."""

    def __init__(self) -> None:
        self.mwh_off = 0
        self.twice = 0
        self.missing = 0
        self.words: list[str] = []

    def compare(self, what: str, got: tuple[int, int], expected: tuple[int, int]) -> None:
        """Compare two pairs of energies; more than was measured is something counted twice."""
        off = [a - b for a, b in zip(got, expected, strict=True)]
        self.mwh_off += sum(map(abs, off))
        self.twice += max(off) > 0
        if any(off):
            self.words.append(f"{what} is {'+' if max(off) > 0 else '-'}")


def differences(
    utility: Utility, homes: Sequence[Home], until: int, late: frozenset[tuple[bytes, int]] = frozenset()
) -> Differences:
    """Compare every load and every window up to a time, START to ``until``, with what the homes measured.

    ``late``: (title, interval start) of what came after its load had closed, and is in its window only.
    """
    found = Differences()
    found.twice += len(utility.second)
    found.words += [f"{what} of {start} was reported twice" for what, start in utility.second]
    loads = utility.loads()
    for start in range(START, until, INTERVAL_S):
        counted = [home for home in homes if (home.title, start) not in late]
        expected = _total(home.measured[start] for home in counted)
        load = loads.get(start)
        got = town().open(load.ciphertext) if load is not None and load.ciphertext is not None else (0, 0)
        found.compare(f"the load of {start}", got, expected)
        members = reports.parse_bitmap(load.contributors, len(homes)) if load is not None else set()
        found.missing += len(counted) - len(members)
    for home in homes:
        sealed = utility.windows(home.pseudonym)
        for start in range(START, until, WINDOW_S):
            window = sealed.get(start)
            energy = town().open(window.energy) if window is not None and window.energy is not None else (0, 0)
            expected = _total(home.measured[start + at] for at in range(0, WINDOW_S, INTERVAL_S))
            found.compare(f"the window of {start}", energy, expected)
            found.missing += window is None or window.present != window.expected
    return found


def _total(energies: Iterable[tuple[int, int]]) -> tuple[int, int]:
    total: Counter[str] = Counter()
    for imported, exported in energies:
        total["import"] += imported
        total["export"] += exported
    return total["import"], total["export"]


class Concentrator:
    """The concentrator's real parts on a ledger, in this process; time and links are the caller's."""

    def __init__(self, path: Path, opened: Callable[[Path], Ledger] = Ledger) -> None:
        self.ledger = opened(path)
        try:
            places = {NAME: town().place}
            self.outbox = Outbox(self.ledger, town().identity, DEPLOYMENT)
            decryption = DataDecryption(DELAY_DAYS)
            self.reception = Reception(self.ledger, self.outbox, places, decryption)
            self.closing = Closing(
                self.ledger,
                self.outbox,
                places,
                decryption,
                min_contributors=K,
                grace_s=GRACE_S,
                accepted_delay_days=DELAY_DAYS,
            )
        except BaseException:
            self.ledger.close()
            raise

    def enrol(self, homes: Iterable[Home]) -> None:
        """Take meters in; those that are in already stay as they are."""
        for home in homes:
            if enrolled.get(self.ledger, home.title) is None:
                with self.ledger.transaction():
                    enrolled.add(self.ledger, home.record(), *first_standing(home.record(), town().place))

    def take(self, frames: Iterable[bytes], now: int) -> list[bytes]:
        """Take one batch at a time (UTC seconds); returns the answers, behind the commit."""
        replies = self.reception.take([Arrival(frame, "line") for frame in frames], now * 1000)
        return [reply.frame for reply in replies]

    def upload(
        self, utility: Utility, taken: Callable[[], None] = lambda: None, sent: Callable[[], None] = lambda: None
    ) -> bool:
        """Carry one batch to the utility, as the uploader does; returns whether there was any.

        ``sent`` is called before it leaves, ``taken`` when the utility has it and the ledger does not know yet.
        """
        waiting = self.outbox.waiting(reports.MAX_BATCH)
        if not waiting:
            return False
        sent()
        verdicts = utility.take([each.document for each in waiting])
        taken()
        pairs = [(item.seq, verdict) for item, verdict in zip(waiting, verdicts, strict=True)]
        with self.ledger.transaction():
            self.outbox.decide(pairs, lambda *_: None)
        return True

    def holds(self, title: bytes, number: int) -> bool:
        """Say whether a reading is remembered as counted."""
        row = self.ledger.execute(
            "SELECT 1 FROM readings WHERE title = ? AND interval_number = ?", (title, number)
        ).fetchone()
        return row is not None

    def sums(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every table that a frame which counts would move."""
        return {name: self.ledger.execute(f"SELECT * FROM {name}").fetchall() for name in MOVED}  # noqa: S608


def as_json(record: EnrolmentRecord) -> bytes:
    """Return an enrolment record as its file holds it."""
    return msgspec.json.encode(record)
