"""Regions: sums of loads that were released one by one. A union of neighbourhoods is never opened by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .interval import Interval


def region_load(neighbourhoods: Mapping[str, Sequence[Interval]]) -> list[Interval]:
    """Return a region's intervals in order: the sums of its neighbourhoods' where all of them were released.

    Where one is withheld or missing, so is the region's sum: a part would look like a dip.
    """
    by_start: dict[tuple[int, int], list[Interval]] = {}
    for intervals in neighbourhoods.values():
        for each in intervals:
            by_start.setdefault((each.start, each.end), []).append(each)
    found = []
    for (start, end), several in sorted(by_start.items()):
        whole = len(several) == len(neighbourhoods) and all(each.import_mwh is not None for each in several)
        found.append(
            Interval(
                start,
                end,
                sum(each.import_mwh or 0 for each in several) if whole else None,
                sum(each.export_mwh or 0 for each in several) if whole else None,
                sum(each.contributors for each in several),
                sum(each.expected for each in several),
            )
        )
    return found
