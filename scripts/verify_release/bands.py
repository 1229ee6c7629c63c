"""Bands: that each sum of a bill holds its own bands' windows only, by the tariff that the operator signed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from protocol import releases
from protocol.documents import Document, DocumentError, parse
from protocol.releases import ReleaseBatch, ReleasedBill, moment
from protocol.reports import BillingWindow
from protocol.tariffs import TariffBook, open_tariff, tariff_id

from .files import DOCUMENT_BYTES, json_files, read_whole
from .outcome import Wrong
from .rosters import Rosters, Trusted

# A sum of some of a tariff's bands alone has 28 windows, half of them with energy: those are the ones that it names.
LEAST_FILLED = 14
TOO_SMALL = f"one of its sums is of {{}} windows with energy; below {LEAST_FILLED} none stands beside others"
SHORT_PERIODS = "unsafe_short_periods"


def read_tariffs(folder: Path, trusted: Trusted) -> TariffBook:
    """Return the tariffs of a publication, each signed by the operator; the folder may be missing."""
    found = {}
    for path in json_files(folder / releases.TARIFFS_FOLDER):
        data = read_whole(path, DOCUMENT_BYTES)
        try:
            document: Document = parse(data, Document)
            tariff = open_tariff(document, trusted.deployment, trusted.operator)
            found[tariff_id(document, trusted.deployment)] = tariff
        except DocumentError as error:
            raise Wrong(f"tariff {path.name}: {error}") from None
    try:
        return TariffBook(found)
    except DocumentError as error:
        raise Wrong(f"tariffs: {error}") from None


def check_bands(
    batch: ReleaseBatch,
    item: ReleasedBill,
    windows: Sequence[BillingWindow],
    rosters: Rosters,
    tariffs: TariffBook,
) -> None:
    """Refuse a sum by another tariff than the one in force at its period's start, or of another band's window."""
    if item.tariff is None:
        return
    tariff = tariffs.get(item.tariff)
    if tariff is None:
        raise Wrong("the tariff that it was opened by is not there")
    in_force = tariffs.in_force(batch.neighbourhood, rosters.zone(batch.neighbourhood), item.period_start)
    if in_force is None or in_force.id != item.tariff:
        raise Wrong("it was opened by another tariff than the one in force when its period began")
    names = [band.name for band in tariff.bands]
    if [name for name in names if name in item.bands] != item.bands:
        raise Wrong("its bands are not the tariff's, in the tariff's order")
    for window in windows:
        if names[tariff.band_at(window.window_start)] not in item.bands:
            raise Wrong(f"its window of {moment(window.window_start)} belongs to another band")
    # A whole short period, with not all bands in it, is opened under the unsafe flag only.
    if len(item.bands) < len(names) and len(windows) < LEAST_FILLED and SHORT_PERIODS not in batch.unsafe:
        raise Wrong(TOO_SMALL.format(len(windows)))


class SumOfBill(NamedTuple):
    """What one sum of a bill is of; ``key`` is the Paillier key's fingerprint."""

    period_end: int
    tariff: str | None
    bands: frozenset[str]
    key: str
    windows: int


def check_sums_of_bill(name: str, sums: Sequence[SumOfBill]) -> None:
    """Refuse a bill whose sums are not of one period and tariff, share a band, or are too small to stand alone."""
    if len({(one.period_end, one.tariff) for one in sums}) != 1:
        raise Wrong(f"{name}: its sums are not of one period and tariff")
    for at, one in enumerate(sums):
        for other in sums[:at]:
            if not one.bands.isdisjoint(other.bands) and (one.bands != other.bands or one.key == other.key):
                raise Wrong(f"{name}: a band of it stands in two sums")
        if len(sums) > 1 and one.windows < LEAST_FILLED:
            raise Wrong(f"{name}: {TOO_SMALL.format(one.windows)}")
