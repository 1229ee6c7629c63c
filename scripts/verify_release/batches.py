"""Release batches: what the log's key signed, and the reports that it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from paillier import ENERGY_SLOTS, PublicKey, ciphertext
from paillier.errors import BadCiphertext
from paillier.proofs import Claim
from protocol import releases
from protocol.documents import DocumentError, document_id
from protocol.releases import ReleaseBatch, Released, ReleasedBill, ReleasedLoad, moment
from protocol.reports import BillingWindow, IntervalLoad, covered_s, parse_bitmap
from protocol.rosters import most_mwh
from protocol.tariffs import TariffBook
from protocol.windows import WINDOW_S, window_of

from .bands import SumOfBill, check_bands, check_sums_of_bill
from .files import documents_of
from .outcome import Wrong
from .rosters import Report, Rosters, Trusted

SHORT_PERIODS = "unsafe_short_periods"


@dataclass(frozen=True)
class ProvedBatch:
    """A release batch with what its proof is about, in the order of its items."""

    name: str
    batch: ReleaseBatch
    key: PublicKey
    claims: list[Claim]


def called(item: Released, neighbourhood: str) -> str:
    """Return what a person calls an item."""
    if isinstance(item, ReleasedLoad):
        return f"load {moment(item.interval_start)} of {neighbourhood}"
    bands = f", {releases.joined_bands(item.bands)}," if item.bands else ""
    return f"bill of {item.pseudonym} from {moment(item.period_start)}{bands} in {neighbourhood}"


def read_batches(folder: Path, trusted: Trusted) -> dict[str, ReleaseBatch]:
    """Return the release batches by their document's id, each signed with the log's key."""
    batches = {}
    for where, document in documents_of(folder / releases.BATCHES_FILE, "release batch"):
        try:
            batch = releases.open_batch(document, trusted.deployment, trusted.log)
        except DocumentError as error:
            raise Wrong(f"{where}: {error}") from None
        name = document_id(document.type, trusted.deployment, document.content_bytes())
        if name in batches:
            raise Wrong(f"{where}: stands there twice")
        batches[name] = batch
    return batches


def match_reports(
    name: str,
    batch: ReleaseBatch,
    reports: Mapping[str, Report],
    rosters: Rosters,
    keys: Mapping[str, PublicKey],
    tariffs: TariffBook,
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
                _check_windows(batch, item, reports, rosters)
                check_bands(batch, item, windows_of(item, reports), rosters, tariffs)
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
    if roster is None or roster.version != report.roster_version or report.interval_start < roster.valid_from:
        raise Wrong("its report counts by a roster that was not in force")
    if report.interval_s != roster.interval_s or report.interval_start % report.interval_s:
        raise Wrong("its interval is none of the neighbourhood's")
    if not report.paillier_key == roster.paillier_key == batch.paillier_key:
        raise Wrong("it was released under another Paillier key than its roster's")
    named = parse_bitmap(report.contributors, len(roster.members))
    if len(named) < batch.k:
        raise Wrong(f"fewer than {batch.k} meters contributed")
    for index in named:
        if not rosters.covers(report.neighbourhood, roster.members[index].pseudonym, report.interval_start):
            raise Wrong("a meter contributed that had not come yet, or had gone")
    _check_energy(item, roster.rating_w * len(named), report.interval_s)
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
    if roster is None or not rosters.covers(report.neighbourhood, item.pseudonym, report.window_start):
        raise Wrong(f"no roster names its meter at the time of its window number {at + 1}")
    window = window_of(report.window_start, roster.tz())
    if window != (report.window_start, report.window_end) or report.register_to > report.window_end:
        raise Wrong(f"its window number {at + 1} is none of the neighbourhood's")
    counted_from = rosters.in_force(report.neighbourhood, report.register_from)
    if counted_from is None or not report.paillier_key == counted_from.paillier_key == batch.paillier_key:
        raise Wrong("it was released under another Paillier key than its roster's")
    if report.energy is None:
        raise Wrong(f"its window number {at + 1} carries no energy")
    return report.energy


def _check_windows(batch: ReleaseBatch, item: ReleasedBill, reports: Mapping[str, Report], rosters: Rosters) -> None:
    """Refuse windows that are not in order, not of the bill's period or of more energy than the meter can carry."""
    windows = windows_of(item, reports)
    starts = [window.window_start for window in windows]
    if sorted(set(starts)) != starts:
        raise Wrong("its windows do not follow each other, or one counts twice")
    if not item.period_start < item.period_end:
        raise Wrong("its period ends before it begins")
    if starts[-1] >= item.period_end:
        raise Wrong("a window of it starts when its period is over")
    if starts[-1] < item.period_start and not may_be_carried_over(batch, item, starts):
        raise Wrong("no window of it starts in its period")
    then = (rosters.in_force(batch.neighbourhood, start) for start in starts)
    rating_w = max(roster.rating_w for roster in then if roster)
    _check_energy(item, rating_w, covered_s(windows))


def may_be_carried_over(batch: ReleaseBatch, item: ReleasedBill, starts: list[int]) -> bool:
    """Say whether a bill may hold windows of earlier periods alone, its own having been empty.

    They waited because their own periods were too short to open. A bill takes every window from its first to the
    period's end, so the gate let it pass only if half of these carry energy; windows are 3 hours long, and one has
    an hour more in autumn.
    """
    return SHORT_PERIODS not in batch.unsafe and item.period_end - starts[0] <= (2 * len(starts) + 1) * WINDOW_S


def windows_of(item: ReleasedBill, reports: Mapping[str, Report]) -> list[BillingWindow]:
    """Return the windows that a bill names, in its order."""
    return [report for name in item.documents if isinstance(report := reports.get(name), BillingWindow)]


def _check_energy(item: Released, power_w: int, seconds: int) -> None:
    if max(item.import_mwh, item.export_mwh) > most_mwh(power_w, seconds):
        raise Wrong(f"more energy than {power_w} W carry in {seconds} s")


# --- Nothing twice ------------------------------------------------------------------------------------------------


def check_nothing_twice(batches: Mapping[str, ReleaseBatch], reports: Mapping[str, Report]) -> None:
    """Refuse a sum that was released twice, and a report, a window or a moment that entered two sums."""
    items: set[tuple[str, str, str, tuple[str, int, str]]] = set()
    used: set[str] = set()
    billed: set[tuple[str, str, int]] = set()
    spans: dict[tuple[str, str], set[tuple[int, int]]] = {}
    sums: dict[tuple[str, str, int], list[SumOfBill]] = {}
    for batch in batches.values():
        for item in batch.items:
            name = called(item, batch.neighbourhood)
            key = (batch.kind, batch.neighbourhood, batch.paillier_key, releases.item_key(item))
            if key in items:
                raise Wrong(f"{name}: released twice")
            if not used.isdisjoint(item.documents):
                raise Wrong(f"{name}: a report of it entered another sum, too")
            items.add(key)
            used.update(item.documents)
            if isinstance(item, ReleasedLoad):
                span = (item.interval_start, _interval_end(reports[item.document]))
                if span in spans.setdefault((batch.neighbourhood, ""), set()):
                    raise Wrong(f"{name}: released twice")
                spans[batch.neighbourhood, ""].add(span)
                continue
            for window in windows_of(item, reports):
                place = (window.neighbourhood, window.pseudonym, window.window_start)
                if place in billed:
                    raise Wrong(f"{name}: its window of {moment(window.window_start)} entered another sum, too")
                billed.add(place)
            # The sums of one bill share its period.
            spans.setdefault((batch.neighbourhood, item.pseudonym), set()).add((item.period_start, item.period_end))
            of_bill = sums.setdefault((batch.neighbourhood, item.pseudonym, item.period_start), [])
            bands, windows = frozenset(item.bands), len(item.documents)
            of_bill.append(SumOfBill(item.period_end, item.tariff, bands, batch.paillier_key, windows))
    for (neighbourhood, pseudonym, start), several_sums in sums.items():
        check_sums_of_bill(f"bill of {pseudonym} from {moment(start)} in {neighbourhood}", several_sums)
    for (neighbourhood, pseudonym), several in spans.items():
        _check_apart(f"bills of {pseudonym} in" if pseudonym else "loads of", neighbourhood, several)


def _interval_end(report: Report) -> int:
    assert isinstance(report, IntervalLoad), "a load's report was found to be one"
    return report.interval_start + report.interval_s


def _check_apart(what: str, neighbourhood: str, spans: set[tuple[int, int]]) -> None:
    for (earlier, end), (later, _) in pairwise(sorted(spans)):
        if later < end:
            raise Wrong(f"{what} {neighbourhood}: the one from {moment(later)} overlaps that from {moment(earlier)}")
