"""The tables: what the utility says it released, compared with what is proved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from paillier import base64url
from protocol import releases
from protocol.releases import ReleaseBatch, ReleasedLoad, moment
from protocol.reports import IntervalLoad

from .batches import called
from .files import rows_of
from .outcome import Wrong
from .rosters import Report


def check_tables(
    folder: Path, form: int, batches: Mapping[str, ReleaseBatch], reports: Mapping[str, Report]
) -> tuple[int, int]:
    """Compare both tables with what is proved, line by line; return how many loads and bills there are.

    ``form`` is the publication's format: the first one knew neither bands nor a second key.
    """
    first = form == 1
    loads: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    bills: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    several: set[tuple[str, ...]] = set()
    for batch in batches.values():
        for item in batch.items:
            name, street = called(item, batch.neighbourhood), batch.neighbourhood
            sums = [str(item.import_mwh), str(item.export_mwh)]
            if isinstance(item, ReleasedLoad):
                counted = contributors_of(reports[item.document])
                loads[street, moment(item.interval_start)] = name, [str(counted), str(batch.k), *sums]
            else:
                place: tuple[str, ...] = (street, item.pseudonym, moment(item.period_start))
                if not first:
                    place += (releases.joined_bands(item.bands), batch.paillier_key)
                bills[place] = name, [moment(item.period_end), str(len(item.documents)), *sums]
                several.add(place[:3])
    _compare(folder / releases.LOADS_FILE, releases.LOAD_COLUMNS, (0, 1), loads)
    columns, names = (releases.FIRST_BILL_COLUMNS, (0, 1, 2)) if first else (releases.BILL_COLUMNS, (0, 1, 2, 7, 8))
    _compare(folder / releases.BILLS_FILE, columns, names, bills)
    return len(loads), len(several)


def contributors_of(report: Report) -> int:
    """Return how many meters a load's report names."""
    assert isinstance(report, IntervalLoad), "a load's report was found to be one"
    return sum(byte.bit_count() for byte in base64url.decode(report.contributors))


def _compare(
    path: Path, columns: Sequence[str], names: Sequence[int], proved: dict[tuple[str, ...], tuple[str, list[str]]]
) -> None:
    """Refuse a table that has another line than what is proved, or lacks one; the columns ``names`` name the thing."""
    values_at = [at for at in range(len(columns)) if at not in names]
    left = dict(proved)
    rows = rows_of(path)
    if next(rows, None) != list(columns):
        raise Wrong(f"{path.name}: its columns are not {', '.join(columns)}")
    for number, line in enumerate(rows, 2):
        place = tuple(line[at] for at in names) if len(line) == len(columns) else ()
        if place not in proved:
            raise Wrong(f"{path.name}, line {number}: nothing that is proved ({', '.join(line)[:80]})")
        if place not in left:
            raise Wrong(f"{path.name}, line {number}: {proved[place][0]} has two lines")
        name, values = left.pop(place)
        for at, value in zip(values_at, values, strict=True):
            column, said = columns[at], line[at]
            if said != value:
                raise Wrong(f"{name}: {path.name} says {column} {said[:40]}, and {value} is proved")
    for name, _ in left.values():
        raise Wrong(f"{name}: proved, and not in {path.name}")
