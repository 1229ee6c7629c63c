"""The parts of a bill: one sum for each group of bands and each Paillier key. Pure; nothing here can decrypt.

Windows wait over a change of keys where their period was too short to open. Sums of two keys do not add up under
encryption, so each is opened and they are added in clear. Where one of a group's parts is too small to be opened by
itself none of them is told: the total and the other would tell it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from paillier.keys import PublicKey
from protocol.reports import BillingWindow, covered_s
from protocol.rosters import most_mwh
from protocol.tariffs import InForce

from .bands import grouped, large_enough
from .messages import AskedSum, BandWindows


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """A window that passed the gate: its report and that document's name, the key and rating in force at its time.

    ``term`` is its validated ciphertext, None where it is empty.
    """

    report: BillingWindow
    name: str
    public_key: PublicKey
    rating_w: int
    term: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """One sum under one key. ``ciphertexts`` are its validated terms; ``most_mwh`` bounds each of its energies.

    ``documents`` are the ids of the reports that the terms stand in, in their order. ``group`` numbers the bill's
    groups of ``bands``. ``alone``: the part may be told by itself, with its proof; if not, only its group's total.
    """

    public_key: PublicKey
    ciphertexts: tuple[int, ...]
    documents: tuple[str, ...]
    most_mwh: int
    group: int = 0
    bands: tuple[BandWindows, ...] = ()
    windows: int = 0
    alone: bool = True


def bill_parts(windows: Sequence[CheckedWindow], tariff: InForce | None) -> list[Part]:
    """Return the parts of a bill's windows (in order of time, some with energy) by the bands of a tariff."""
    starts = [window.report.window_start for window in windows]
    groups = grouped(starts, [window.term is not None for window in windows], tariff.tariff if tariff else None)
    return [
        part
        for number, group in enumerate(groups)
        for part in _of_group(number, [windows[at] for at in group.members], tariff, len(windows))
    ]


def _of_group(number: int, windows: Sequence[CheckedWindow], tariff: InForce | None, of_bill: int) -> list[Part]:
    under: dict[str, list[CheckedWindow]] = {}
    for window in windows:
        if window.term is not None:
            under.setdefault(window.public_key.fingerprint, [])
    first = next(iter(under.values()))
    alone = len(under) == 1 or all(_large(windows, fingerprint, of_bill) for fingerprint in under)
    for window in windows:
        # Empty windows under a key of which nothing is to be opened only count for the price.
        under.get(window.public_key.fingerprint, first).append(window)
    return [_part(number, several, tariff, alone) for several in under.values()]


def _large(windows: Sequence[CheckedWindow], fingerprint: str, of_bill: int) -> bool:
    own = [window for window in windows if window.public_key.fingerprint == fingerprint]
    return large_enough(len(own), sum(window.term is not None for window in own), of_bill)


def _part(number: int, windows: Sequence[CheckedWindow], tariff: InForce | None, alone: bool) -> Part:
    filled = [window for window in windows if window.term is not None]
    rating_w = max(window.rating_w for window in filled)
    return Part(
        filled[0].public_key,
        tuple(window.term for window in filled if window.term is not None),
        tuple(window.name for window in filled),
        most_mwh(rating_w, covered_s([window.report for window in filled])),
        number,
        _counted(tariff, windows),
        len(windows),
        alone,
    )


def _counted(tariff: InForce | None, windows: Sequence[CheckedWindow]) -> tuple[BandWindows, ...]:
    """Return how many of some windows each band has, in the tariff's order."""
    if tariff is None:
        return ()
    found = Counter(tariff.tariff.bands_at(window.report.window_start for window in windows))
    return tuple(BandWindows(tariff.tariff.bands[band].name, found[band]) for band in sorted(found))


def asked_sums(parts: Sequence[Part]) -> list[AskedSum]:
    """Return what the log says of a bill's sums: of each that is told by itself, and of each total."""
    told: dict[tuple[int, str], AskedSum] = {}
    for part in parts:
        place = part.group, part.public_key.fingerprint if part.alone else ""
        before = told.get(place, AskedSum([], 0, 0))
        bands = dict.fromkeys([*before.bands, *(band.name for band in part.bands)])
        told[place] = AskedSum(list(bands), before.windows + part.windows, before.filled + len(part.documents))
    return list(told.values())
