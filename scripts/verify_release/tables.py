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
                bills[place] = name, [moment(item.period_end), str(len(item.documents)), *sums]
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
    rows = rows_of(path)
    if next(rows, None) != list(columns):
        raise Wrong(f"{path.name}: its columns are not {', '.join(columns)}")
    for number, line in enumerate(rows, 2):
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
