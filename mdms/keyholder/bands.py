"""Which windows of a bill are opened as one sum: by the tariff's bands, none of them too small. Pure.

A sum of few windows is a pattern of life. So a band stands alone only if it has 28 windows, half of them with energy,
and an eighth of the bill's windows.

Rule "smallest first": as long as some band is too small, the too small one with the fewest windows is joined to the
one with the fewest windows among the others; of two alike the one that the tariff names first. What is joined is one
band from then on. So the same windows and tariff always make the same sums, and the asker has no say in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.tariffs import Tariff

LEAST_WINDOWS = 28  # three and a half days: what is opened is a period's energy and no pattern of life
LEAST_SHARE = 8  # a band has at least one window of so many


@dataclass(frozen=True, slots=True)
class Group:
    """Bands that are opened as one sum: their places in the tariff, and the places of their windows in the bill."""

    bands: tuple[int, ...]
    members: tuple[int, ...]


def large_enough(windows: int, filled: int, of: int) -> bool:
    """Say whether so many windows, some of them filled, may be opened by themselves in a bill of ``of`` windows."""
    return windows >= LEAST_WINDOWS and 2 * filled >= windows and LEAST_SHARE * windows >= of


def grouped(starts: Sequence[int], filled: Sequence[bool], tariff: Tariff | None) -> list[Group]:
    """Return the groups of a bill's windows, in the order of the tariff's bands.

    ``starts`` and ``filled`` say of each window when it starts and whether it carries energy. Every group is large
    enough, or there is only one. Without a tariff all windows are one group without a band.
    """
    if tariff is None:
        return [Group((), tuple(range(len(starts))))]
    places: dict[int, list[int]] = {}
    for place, band in enumerate(tariff.bands_at(starts)):
        places.setdefault(band, []).append(place)
    groups = [Group((band,), tuple(members)) for band, members in sorted(places.items())]
    while len(groups) > 1:
        small = [group for group in groups if not _is_large(group, filled)]
        if not small:
            break
        least = min(small, key=_size)
        other = min((group for group in groups if group is not least), key=_size)
        joined = Group(tuple(sorted(least.bands + other.bands)), tuple(sorted(least.members + other.members)))
        groups = sorted([joined, *(one for one in groups if one not in (least, other))], key=lambda one: one.bands)
    return groups


def _size(group: Group) -> tuple[int, tuple[int, ...]]:
    return len(group.members), group.bands


def _is_large(group: Group, filled: Sequence[bool]) -> bool:
    return large_enough(len(group.members), sum(filled[place] for place in group.members), len(filled))
