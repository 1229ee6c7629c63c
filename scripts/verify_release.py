"""Checks a publication: whether every released sum follows from the signed reports that it is said to be of.

Needs the operator's public key and nothing else that is trusted: no database, no private key, no word of the utility.

Order of trust: the operator signed the rosters; a roster names the concentrator whose signature makes a report count,
and pins the Paillier key; the reports give the ciphertexts; the proofs tie each sum to its ciphertexts. The first thing
that is wrong is named, and ends the check.

Rule 1: what is not signed is only compared. The tables are matched line by line against what is proved, as text.
Rule 2: nothing of the system that made the publication is imported but the two books of the agreement, `paillier` and
`protocol`.
"""

import argparse
import csv
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paillier import ENERGY_SLOTS, PaillierError, PublicKey, base64url, ciphertext, validate_public_key
from paillier.errors import BadCiphertext, BadProof
from paillier.proofs import (
    Claim,
    KeyProof,
    check_claims,
    decryption_weights,
    product_of_powers,
    root_from_base64url,
    verify_decryption,
    verify_decryptions,
    verify_key_proof,
)
from protocol import releases
from protocol.documents import Document, DocumentError, document_id, import_public_key, key_id, parse, verify
from protocol.releases import BILLS, LOADS, ReleaseBatch, Released, ReleasedBill, ReleasedLoad, moment
from protocol.reports import BillingWindow, IntervalLoad, parse_bitmap, parse_report
from protocol.rosters import Roster, open_roster
from protocol.windows import window_of

DONE, WRONG, UNUSABLE = 0, 1, 2
CONTEXT_BYTES = 32

Report = IntervalLoad | BillingWindow


class Wrong(Exception):
    """Something in the publication is not what it should be; the message names it."""


class Unusable(Exception):
    """There is no publication, or not the one that was meant."""


@dataclass(frozen=True)
class Options:
    """What the reader says. Keys are base64url of an Ed25519 public key, or of its fingerprint."""

    folder: Path
    operator_key: str
    log_key: str | None = None
    every_root: bool = False
    unsafe_small_key: bool = False


@dataclass
class Findings:
    """What was checked; ``remarks`` are what a reader should know although nothing is wrong."""

    deployment: str = ""
    rosters: int = 0
    reports: int = 0
    keys: int = 0
    loads: int = 0
    bills: int = 0
    batches: int = 0
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ProvedBatch:
    """A release batch with what its proof is about, in the order of its items."""

    name: str
    batch: ReleaseBatch
    key: PublicKey
    claims: list[Claim]


def check(options: Options, progress: Callable[[str], None]) -> Findings:
    """Check a publication. Raises Wrong or Unusable."""
    findings = Findings()
    about = read_about(options)
    findings.deployment = about.deployment
    if options.log_key is None:
        findings.remarks.append(
            "release batches are signed with the key that the publication itself names: no --log-key"
        )
    progress("rosters")
    rosters = Rosters(read_rosters(options.folder, about))
    findings.rosters = rosters.count
    reports = read_reports(options.folder, about.deployment, rosters, progress)
    findings.reports = len(reports)
    progress("keys")
    keys = check_keys(options, about.deployment, rosters, findings.remarks)
    findings.keys = len(keys)
    batches = read_batches(options.folder, about)
    findings.batches = len(batches)
    proved = [match_reports(name, batch, reports, rosters, keys) for name, batch in batches.items()]
    check_nothing_twice(batches)
    findings.loads, findings.bills = check_tables(options.folder, batches, reports)
    check_proofs(proved, options.every_root, progress)
    progress("")
    if not findings.loads + findings.bills:
        raise Unusable(f"{options.folder}: nothing was published")
    findings.remarks += remarks_on(list(batches.values()))
    return findings


# --- The operator and the rosters ---------------------------------------------------------------------------------


def read_about(options: Options) -> releases.Publication:
    """Return what a publication says of itself, its keys being those that the reader means."""
    path = options.folder / releases.ABOUT_FILE
    try:
        about: releases.Publication = parse(path.read_bytes(), releases.Publication)
        if about.format != releases.FORMAT:
            raise Unusable(f"{path}: format {about.format}, which this program does not know")
        for which, meant in (("operator", options.operator_key), ("log", options.log_key)):
            text = about.operator_key if which == "operator" else about.log_key
            if meant is not None and meant not in (text, key_id(import_public_key(text))):
                raise Unusable(f"{path}: its {which} key is not the one that was given")
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise Unusable(f"{path}: {error}") from None
    return about


def read_rosters(folder: Path, about: releases.Publication) -> list[Roster]:
    """Return the rosters, each signed by the operator."""
    operator = import_public_key(about.operator_key)
    rosters = []
    for path in sorted((folder / releases.ROSTERS_FOLDER).glob("*.json")):
        try:
            document: Document = parse(path.read_bytes(), Document)
            rosters.append(open_roster(document, about.deployment, operator))
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        except DocumentError as error:
            raise Wrong(f"roster {path.name}: {error}") from None
    if not rosters:
        raise Wrong("there is no roster")
    return rosters


class Rosters:
    """All versions of all neighbourhoods, and the questions asked of them. Raises Wrong where two contradict."""

    def __init__(self, rosters: Sequence[Roster]) -> None:
        self.count = len(rosters)
        self.signers: dict[str, Any] = {}  # Ed25519 public keys by their fingerprint
        self._versions: dict[str, list[Roster]] = {}
        self._signer_of: dict[tuple[str, int], str] = {}
        self._members: dict[str, set[str]] = {}
        for roster in sorted(rosters, key=lambda roster: roster.version):
            versions = self._versions.setdefault(roster.neighbourhood, [])
            if versions and (versions[-1].version == roster.version or versions[-1].valid_from >= roster.valid_from):
                raise Wrong(
                    f"rosters of {roster.neighbourhood}: version {roster.version} contradicts the one before it"
                )
            versions.append(roster)
            key = roster.concentrator_key()
            self.signers[key_id(key)] = key
            self._signer_of[roster.neighbourhood, roster.version] = key_id(key)
            self._members.setdefault(roster.neighbourhood, set()).update(one.pseudonym for one in roster.members)

    def __iter__(self) -> Iterator[Roster]:
        for versions in self._versions.values():
            yield from versions

    def in_force(self, neighbourhood: str, at: int) -> Roster | None:
        """Return the roster in force at a time; before the first one's time that first one."""
        chosen = None
        for roster in self._versions.get(neighbourhood, ()):
            if chosen is None or roster.valid_from <= at:
                chosen = roster
        return chosen

    def may_sign(self, report: Report, signer: str) -> bool:
        """Say whether a concentrator speaks for a report's neighbourhood at its time.

        A load is reported by the one in force, a window by that one or a later one that seals it.
        """
        at = report.interval_start if isinstance(report, IntervalLoad) else report.window_start
        then = self.in_force(report.neighbourhood, at)
        if then is None:
            return False
        if isinstance(report, IntervalLoad):
            return self._signer_of[then.neighbourhood, then.version] == signer
        later = (roster for roster in self._versions[report.neighbourhood] if roster.version >= then.version)
        return any(self._signer_of[roster.neighbourhood, roster.version] == signer for roster in later)

    def has_member(self, neighbourhood: str, pseudonym: str) -> bool:
        """Say whether any version names a meter."""
        return pseudonym in self._members.get(neighbourhood, ())


# --- Reports and keys ---------------------------------------------------------------------------------------------


def lines_of(path: Path, name: str) -> Iterator[tuple[str, Document]]:
    """Yield the signed documents of a file, one a line, with what a line is called; unverified."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield f"{name} {number}", parse(line, Document)
                except DocumentError as error:
                    raise Wrong(f"{name} {number} of {path.name}: {error}") from None
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None


def read_reports(folder: Path, deployment: str, rosters: Rosters, progress: Callable[[str], None]) -> dict[str, Report]:
    """Return the reports by their document's id, each signed by a concentrator that a roster names for it."""
    reports: dict[str, Report] = {}
    for where, document in lines_of(folder / releases.REPORTS_FILE, "report"):
        progress(f"reports: {len(reports)}")
        key = rosters.signers.get(document.signer)
        if key is None:
            raise Wrong(f"{where}: no roster names the concentrator that signed it")
        try:
            content = verify(document, deployment, key)
            report = parse_report(document.type, content)
        except DocumentError as error:
            raise Wrong(f"{where}: {error}") from None
        if not isinstance(report, IntervalLoad | BillingWindow):
            raise Wrong(f"{where}: neither a load nor a billing window")
        if not rosters.may_sign(report, document.signer):
            raise Wrong(
                f"{where}: signed by a concentrator that does not speak for {report.neighbourhood} at that time"
            )
        reports[document_id(document.type, deployment, content)] = report
    return reports


def check_keys(options: Options, deployment: str, rosters: Rosters, remarks: list[str]) -> dict[str, PublicKey]:
    """Return the Paillier keys that the rosters pin, by fingerprint, each as sound as can be seen."""
    keys: dict[str, PublicKey] = {}
    whose: dict[str, str] = {}
    for roster in rosters:
        name = f"Paillier key of {roster.neighbourhood}"
        try:
            key = PublicKey(base64url.decode_integer(roster.paillier_n))
            if key.fingerprint != roster.paillier_key:
                raise Wrong(f"{name}: the roster's modulus is not the key that it names")
            if key.fingerprint not in keys:
                validate_public_key(key.n, unsafe_small_key=options.unsafe_small_key)
                ENERGY_SLOTS.check_fits(key)
        except (ValueError, PaillierError) as error:
            raise Wrong(f"{name}: {error}") from None
        if whose.setdefault(key.fingerprint, roster.neighbourhood) != roster.neighbourhood:
            raise Wrong(f"{name}: it is also the key of {whose[key.fingerprint]}")
        keys[key.fingerprint] = key
    proved = check_key_proofs(options.folder, deployment, keys, whose)
    for fingerprint, neighbourhood in whose.items():
        if fingerprint not in proved:
            remarks.append(
                f"no proof of the Paillier key of {neighbourhood}: its holder is trusted to have made it rightly"
            )
    return keys


def check_key_proofs(
    folder: Path, deployment: str, keys: Mapping[str, PublicKey], whose: Mapping[str, str]
) -> set[str]:
    """Return the fingerprints of the keys that are proved to be sound."""
    proved = set()
    for path in sorted((folder / releases.KEY_PROOFS_FOLDER).glob("*.json")):
        try:
            proof: releases.PublishedKeyProof = parse(path.read_bytes(), releases.PublishedKeyProof)
            if whose.get(proof.paillier_key) != proof.neighbourhood:
                raise Wrong(f"key proof {path.name}: no roster of {proof.neighbourhood} names that key")
            context = releases.key_proof_context(deployment, proof.neighbourhood)
            verify_key_proof(keys[proof.paillier_key], KeyProof.from_json({"roots": proof.roots}), context)
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        except (DocumentError, BadProof) as error:
            raise Wrong(f"key proof {path.name}: {error}") from None
        proved.add(proof.paillier_key)
    return proved


# --- Release batches and what they are of -------------------------------------------------------------------------


def called(item: Released, neighbourhood: str) -> str:
    """Return what a person calls an item."""
    if isinstance(item, ReleasedLoad):
        return f"load {moment(item.interval_start)} of {neighbourhood}"
    return f"bill of {item.pseudonym} from {moment(item.period_start)} in {neighbourhood}"


def read_batches(folder: Path, about: releases.Publication) -> dict[str, ReleaseBatch]:
    """Return the release batches by their document's id, each signed with the log's key."""
    log_key = import_public_key(about.log_key)
    batches = {}
    for where, document in lines_of(folder / releases.BATCHES_FILE, "release batch"):
        try:
            batch = releases.open_batch(document, about.deployment, log_key)
        except DocumentError as error:
            raise Wrong(f"{where}: {error}") from None
        name = document_id(document.type, about.deployment, document.content_bytes())
        if name in batches:
            raise Wrong(f"{where}: stands there twice")
        batches[name] = batch
    return batches


def match_reports(
    name: str, batch: ReleaseBatch, reports: Mapping[str, Report], rosters: Rosters, keys: Mapping[str, PublicKey]
) -> ProvedBatch:
    """Return a batch with its claims, every item being of the reports that it names."""
    key = keys.get(batch.paillier_key)
    if key is None:
        raise Wrong(
            f"{called(batch.items[0], batch.neighbourhood)}: released under a Paillier key that no roster names"
        )
    claims = []
    for item in batch.items:
        try:
            if isinstance(item, ReleasedLoad):
                texts = [_load_text(batch, item, reports, rosters)]
            else:
                texts = [_window_text(batch, item, at, reports, rosters) for at in range(len(item.documents))]
                _check_windows(item, reports)
            terms = [ciphertext.from_base64url(key, text) for text in texts]
            message = ENERGY_SLOTS.pack((item.import_mwh, item.export_mwh))
        except (Wrong, DocumentError, BadCiphertext) as error:
            raise Wrong(f"{called(item, batch.neighbourhood)}: {error}") from None
        claims.append(Claim(ciphertext.product(key, terms), message))
    return ProvedBatch(name, batch, key, claims)


def _load_text(batch: ReleaseBatch, item: ReleasedLoad, reports: Mapping[str, Report], rosters: Rosters) -> str:
    report = reports.get(item.document)
    if not isinstance(report, IntervalLoad):
        raise Wrong("its report is not there")
    if (report.neighbourhood, report.interval_start) != (batch.neighbourhood, item.interval_start):
        raise Wrong("the report that it names is about another load")
    roster = rosters.in_force(report.neighbourhood, report.interval_start)
    if roster is None or roster.version != report.roster_version:
        raise Wrong("its report counts by a roster that was not in force")
    if not report.paillier_key == roster.paillier_key == batch.paillier_key:
        raise Wrong("it was released under another Paillier key than its roster's")
    if len(parse_bitmap(report.contributors, len(roster.members))) < batch.k:
        raise Wrong(f"fewer than {batch.k} meters contributed")
    if report.ciphertext is None:
        raise Wrong("its report has no ciphertext")
    return report.ciphertext


def _window_text(
    batch: ReleaseBatch, item: ReleasedBill, at: int, reports: Mapping[str, Report], rosters: Rosters
) -> str:
    report = reports.get(item.documents[at])
    if not isinstance(report, BillingWindow):
        raise Wrong(f"the report of its window number {at + 1} is not there")
    if (report.neighbourhood, report.pseudonym) != (batch.neighbourhood, item.pseudonym):
        raise Wrong(f"the report of its window number {at + 1} is another meter's")
    roster = rosters.in_force(report.neighbourhood, report.window_start)
    if roster is None or not rosters.has_member(report.neighbourhood, item.pseudonym):
        raise Wrong("no roster names its meter")
    if window_of(report.window_start, roster.tz()) != (report.window_start, report.window_end):
        raise Wrong(f"its window number {at + 1} is none of the neighbourhood's")
    if not report.paillier_key == roster.paillier_key == batch.paillier_key:
        raise Wrong("it was released under another Paillier key than its roster's")
    if report.energy is None:
        raise Wrong(f"its window number {at + 1} carries no energy")
    return report.energy


def _check_windows(item: ReleasedBill, reports: Mapping[str, Report]) -> None:
    starts = [report.window_start for name in item.documents if isinstance(report := reports[name], BillingWindow)]
    if sorted(set(starts)) != starts:
        raise Wrong("its windows do not follow each other, or one counts twice")


def check_nothing_twice(batches: Mapping[str, ReleaseBatch]) -> None:
    """Refuse a sum that was released twice, and a report that entered two sums."""
    items: set[tuple[str, str, tuple[str, int]]] = set()
    used: set[str] = set()
    for batch in batches.values():
        for item in batch.items:
            key = (batch.kind, batch.neighbourhood, releases.item_key(item))
            if key in items:
                raise Wrong(f"{called(item, batch.neighbourhood)}: released twice")
            if not used.isdisjoint(item.documents):
                raise Wrong(f"{called(item, batch.neighbourhood)}: a report of it entered another sum, too")
            items.add(key)
            used.update(item.documents)


# --- The tables ---------------------------------------------------------------------------------------------------


def check_tables(folder: Path, batches: Mapping[str, ReleaseBatch], reports: Mapping[str, Report]) -> tuple[int, int]:
    """Compare both tables with what is proved, line by line; return how many loads and bills there are."""
    loads: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    bills: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    for batch in batches.values():
        for item in batch.items:
            name, street = called(item, batch.neighbourhood), batch.neighbourhood
            sums = [str(item.import_mwh), str(item.export_mwh)]
            if isinstance(item, ReleasedLoad):
                counted = contributors_of(reports[item.document])
                loads[street, moment(item.interval_start)] = name, [str(counted), str(batch.k), *sums]
            else:
                place = (street, item.pseudonym, moment(item.period_start))
                bills[place] = name, [str(len(item.documents)), *sums]
    _compare(folder / releases.LOADS_FILE, releases.LOAD_COLUMNS, 2, loads)
    _compare(folder / releases.BILLS_FILE, releases.BILL_COLUMNS, 3, bills)
    return len(loads), len(bills)


def contributors_of(report: Report) -> int:
    """Return how many meters a load's report names."""
    assert isinstance(report, IntervalLoad), "a load's report was found to be one"
    return sum(byte.bit_count() for byte in base64url.decode(report.contributors))


def _compare(
    path: Path, columns: Sequence[str], width: int, proved: dict[tuple[str, ...], tuple[str, list[str]]]
) -> None:
    """Refuse a table that has another line than what is proved, or lacks one; ``width`` columns name the thing."""
    left = dict(proved)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError):
        raise Wrong(f"{path.name}: not a table of comma-separated values") from None
    if not lines or lines[0] != list(columns):
        raise Wrong(f"{path.name}: its columns are not {', '.join(columns)}")
    for number, line in enumerate(lines[1:], 2):
        place = tuple(line[:width])
        if len(line) != len(columns) or place not in proved:
            raise Wrong(f"{path.name}, line {number}: nothing that is proved ({', '.join(line)[:80]})")
        if place not in left:
            raise Wrong(f"{path.name}, line {number}: {proved[place][0]} has two lines")
        name, values = left.pop(place)
        for column, said, value in zip(columns[width:], line[width:], values, strict=True):
            if said != value:
                raise Wrong(f"{name}: {path.name} says {column} {said[:40]}, and {value} is proved")
    for name, _ in left.values():
        raise Wrong(f"{name}: proved, and not in {path.name}")


# --- The proofs ---------------------------------------------------------------------------------------------------


def check_proofs(proved: Sequence[ProvedBatch], every_root: bool, progress: Callable[[str], None]) -> None:
    """Check all batches of a key at once; where that fails, or if asked, sum by sum: the first wrong one is named."""
    by_key: dict[str, list[ProvedBatch]] = {}
    for one in proved:
        by_key.setdefault(one.key.fingerprint, []).append(one)
    progress("proofs")
    good = {name for name, several in by_key.items() if not every_root and hold_together(several)}
    for done, one in enumerate(proved):
        if one.key.fingerprint not in good:
            progress(f"proofs: {done} of {len(proved)} release batches")
            check_proof(one)


def hold_together(several: Sequence[ProvedBatch]) -> bool:
    """Say whether all batches under one key are right, for the price of one.

    Whoever has the sums' own roots can make the one root that proves them all under a context of its own. This one is
    drawn now, so that nobody could foresee its weights; then a wrong sum passes with probability 2^-128. The batches'
    roots are right if they are what the sums' own roots make under theirs. Of these a damaged or exchanged one is
    seen; one that lacks its sign may not be (-1 to an even weight is 1): it proves its sum all the same, and fails
    alone.
    """
    key = several[0].key
    context = secrets.token_bytes(CONTEXT_BYTES)
    try:
        claims = [claim for one in several for claim in one.claims]
        roots = [root for one in several for root in own_roots(one)]
        verify_decryptions(key, claims, joined_root(key, claims, roots, context), context)
        return all(
            root_from_base64url(key, one.batch.root)
            == joined_root(key, one.claims, own_roots(one), releases.proof_context(one.batch))
            for one in several
        )
    except BadProof:
        return False


def own_roots(proved: ProvedBatch) -> list[int]:
    """Return the roots that prove a batch's sums one by one. Raises BadProof."""
    return [root_from_base64url(proved.key, item.root) for item in proved.batch.items]


def joined_root(key: PublicKey, claims: Sequence[Claim], roots: Sequence[int], context: bytes) -> int:
    """Return the root that proves all claims under a context, made of the roots that prove each. Raises BadProof."""
    weights = decryption_weights(key, check_claims(key, claims), context)
    return int(product_of_powers(list(roots), weights, key.n_mpz))


def check_proof(proved: ProvedBatch) -> None:
    """Refuse the first sum of a batch that its own root does not prove, and a batch that its root does not prove."""
    batch, key = proved.batch, proved.key
    context = releases.proof_context(batch)
    for item, claim in zip(batch.items, proved.claims, strict=True):
        try:
            verify_decryption(key, claim, root_from_base64url(key, item.root), context)
        except BadProof as error:
            raise Wrong(
                f"{called(item, batch.neighbourhood)}: the sum does not follow from its ciphertexts ({error})"
            ) from None
    try:
        verify_decryptions(key, proved.claims, root_from_base64url(key, batch.root), context)
    except BadProof as error:
        raise Wrong(
            f"release batch {proved.name}: its root does not prove its {len(batch.items)} {batch.kind} ({error})"
        ) from None


# --- What is said -------------------------------------------------------------------------------------------------


def remarks_on(batches: Sequence[ReleaseBatch]) -> list[str]:
    """Return what a reader should know about the policy under which sums were released."""
    unsafe = sorted({flag for batch in batches for flag in batch.unsafe})
    least = [batch.k for batch in batches if batch.kind == LOADS]
    said = [f"no load is of fewer than {min(least)} meters"] if least else []
    return said + ([f"released under {', '.join(unsafe)}"] if unsafe else [])


def summary(findings: Findings, seconds: float) -> str:
    """Return what is printed when nothing is wrong."""
    said = (
        f"deployment {findings.deployment}: {findings.loads} {LOADS} and {findings.bills} {BILLS} follow from their "
        f"ciphertexts\n{findings.batches} release batches, {findings.reports} reports, {findings.rosters} rosters, "
        f"{findings.keys} Paillier keys, checked in {seconds:.1f} s\n"
    )
    return said + "".join(f"note: {remark}\n" for remark in findings.remarks)


class ProgressLine:
    """One line on a terminal that says what is being checked; nothing elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, text: str) -> None:
        if self._shows and (not text or time.monotonic() >= self._next):
            self._next = time.monotonic() + 0.1
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_release",
        description="Check a publication: whether every released sum follows from the reports that it names.",
        epilog="Status 0: everything was checked. 1: something is wrong, and named. 2: nothing could be checked.",
    )
    parser.add_argument("DIR", type=Path, help="the publication's folder")
    parser.add_argument(
        "--operator-key", required=True, help="the operator's public key, or its fingerprint, base64url"
    )
    parser.add_argument("--log-key", help="the same of the release log's key; otherwise the one that DIR names")
    parser.add_argument(
        "--every-root", action="store_true", help="check each sum's own root alone, too: some 30 ms a sum"
    )
    parser.add_argument("--unsafe-small-key", action="store_true", help="accept less than 2048 bits: for tests only")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line says; return the exit status."""
    given: Any = make_parser().parse_args(arguments)
    options = Options(given.DIR, given.operator_key, given.log_key, given.every_root, given.unsafe_small_key)
    progress = ProgressLine()
    start = time.monotonic()
    try:
        findings = check(options, progress)
    except Wrong as wrong:
        progress("")
        print(f"wrong: {wrong}", file=sys.stderr)
        return WRONG
    except Unusable as unusable:
        progress("")
        print(f"verify_release: {unusable}", file=sys.stderr)
        return UNUSABLE
    print(summary(findings, time.monotonic() - start), end="")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
