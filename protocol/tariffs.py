"""Tariffs: what a kWh costs in which windows, signed by the operator (README.md, chapter 12).

A tariff says two things of different weight. Its bands decide which windows are opened as one sum, so they are a
matter of the release gate; its prices are applied to opened sums in clear, and never to a ciphertext.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from .documents import Document, DocumentError, canonical_json, document_id, parse, sign, verify
from .reports import Count, Name, Seconds
from .rosters import ZONE
from .windows import WINDOW_S

TARIFF = "tariff"
MAX_BANDS = 8
SLOTS = 24 * 3600 // WINDOW_S  # of a day, by the wall clock
HOURS_A_SLOT = WINDOW_S // 3600
# Weekdays as datetime.weekday() counts them: Monday is 0.
DAYS: dict[str, range] = {
    "all": range(7),
    "workdays": range(5),
    "weekend": range(5, 7),
    "saturday": range(5, 6),
    "sunday": range(6, 7),
}

# Language-free: it is printed on bills in whatever language, and joined with "+" where bands are merged.
BandName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
Micro = Annotated[int, Meta(ge=0, lt=1 << 40)]
Hour = Annotated[int, Meta(ge=0, le=24, multiple_of=HOURS_A_SLOT)]


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The windows that start from ``from_hour`` to before ``to_hour`` on the wall clock of some weekdays."""

    days: Literal["all", "workdays", "weekend", "saturday", "sunday"]
    from_hour: Hour
    to_hour: Hour


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set of windows with one price. Prices are in millionths of the currency per kWh."""

    name: BandName
    times: Annotated[list[Times], Meta(min_length=1, max_length=64)]
    import_micro_per_kwh: Micro
    export_micro_per_kwh: Micro


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a tariff, in force from ``valid_from`` (a period's start) until the next version of its name.

    ``neighbourhoods`` are whose it is; empty for a default, which is everybody's in its zone whom no other names.
    The standing charge is in millionths, per local "day" or per "period"; the tax in parts per million.
    """

    name: Name
    version: Count
    valid_from: Seconds
    zone: str
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    neighbourhoods: Annotated[list[Name], Meta(max_length=10_000)]
    bands: Annotated[list[Band], Meta(min_length=1, max_length=MAX_BANDS)]
    standing_micro: Micro
    standing_per: Literal["day", "period"]
    tax_ppm: Annotated[int, Meta(ge=0, le=1_000_000)]

    def tz(self) -> tzinfo:
        """Return the zone whose wall clock cuts the bands; raises DocumentError for an unknown name."""
        return _zone(self.zone)

    def band_at(self, window_start: int) -> int:
        """Return the place among ``bands`` of the one that holds a window, by the wall clock of its start.

        A window that daylight saving has made longer belongs where it starts.
        """
        return self.bands_at([window_start])[0]

    def bands_at(self, window_starts: Iterable[int]) -> list[int]:
        """Return the place of the band of each of some windows, in their order, as `band_at` does."""
        table, zone = _table(self._shape()), self.tz()
        walls = [datetime.fromtimestamp(start, UTC).astimezone(zone) for start in window_starts]
        return [table[wall.weekday() * SLOTS + wall.hour // HOURS_A_SLOT] for wall in walls]

    def _shape(self) -> "_Shape":
        return tuple(tuple((times.days, times.from_hour, times.to_hour) for times in band.times) for band in self.bands)


_Shape = tuple[tuple[tuple[str, int, int], ...], ...]


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        if not ZONE.match(name):
            raise ValueError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DocumentError(f"no such time zone: {name[:64]}") from None


@lru_cache(maxsize=256)
def _table(shape: _Shape) -> tuple[int, ...]:
    """Return the band of each of a week's windows; raises DocumentError where they are no partition."""
    table: list[int | None] = [None] * (7 * SLOTS)
    for number, band in enumerate(shape):
        for days, from_hour, to_hour in band:
            if from_hour >= to_hour:
                raise DocumentError(f"a band from {from_hour} to {to_hour} o'clock: split it at midnight")
            for day in DAYS[days]:
                for slot in range(from_hour // HOURS_A_SLOT, to_hour // HOURS_A_SLOT):
                    if table[day * SLOTS + slot] is not None:
                        raise DocumentError(f"{_called(day, slot)} stands in two bands, or twice in one")
                    table[day * SLOTS + slot] = number
    found = []
    for at, band_number in enumerate(table):
        if band_number is None:
            raise DocumentError(f"{_called(*divmod(at, SLOTS))} stands in no band")
        found.append(band_number)
    return tuple(found)


def _called(day: int, slot: int) -> str:
    return f"the window of weekday {day + 1} at {slot * HOURS_A_SLOT} o'clock"


def sign_tariff(operator: EccKey, deployment: str, tariff: Tariff) -> Document:
    """Return the tariff as the operator's signed document."""
    return sign(operator, TARIFF, deployment, canonical_json(tariff))


def check_tariff(tariff: Tariff) -> None:
    """Raise DocumentError where a tariff contradicts itself."""
    tariff.tz()
    _table(tariff._shape())
    if len({band.name for band in tariff.bands}) != len(tariff.bands):
        raise DocumentError("two bands have one name")
    if len(set(tariff.neighbourhoods)) != len(tariff.neighbourhoods):
        raise DocumentError("a neighbourhood stands in the tariff twice")


def open_tariff(document: Document, deployment: str, operator: EccKey) -> Tariff:
    """Return a tariff that the operator signed; raises DocumentError with the reason."""
    if document.type != TARIFF:
        raise DocumentError("not a tariff")
    tariff: Tariff = parse(verify(document, deployment, operator), Tariff)
    check_tariff(tariff)
    return tariff


def tariff_id(document: Document, deployment: str) -> str:
    """Return what names a tariff's document."""
    return document_id(document.type, deployment, document.content_bytes())


def local_days(start: int, end: int, zone: tzinfo) -> int:
    """Return how many days of the wall clock begin in start <= t < end, the one that holds ``start`` among them."""
    if end <= start:
        return 0
    first, last = (datetime.fromtimestamp(at, UTC).astimezone(zone).date() for at in (start, end - 1))
    return (last - first) // timedelta(days=1) + 1


# --- All tariffs of a deployment ----------------------------------------------------------------------------------


class InForce(NamedTuple):
    """A tariff with the id of its document."""

    id: str
    tariff: Tariff


class TariffBook:
    """The tariffs of a deployment by their documents' ids. Raises DocumentError where two contradict each other.

    Whose a tariff is and from when on is fixed by the signed documents alone: nobody who asks chooses it.
    """

    def __init__(self, tariffs: Mapping[str, Tariff]) -> None:
        ordered = sorted(tariffs.items(), key=lambda one: (one[1].name, one[1].version))
        self._versions: list[list[InForce]] = [
            [InForce(*one) for one in several] for _, several in groupby(ordered, key=lambda one: one[1].name)
        ]
        self._by_id = dict(tariffs)
        for versions in self._versions:
            _check_versions([one.tariff for one in versions])
        for moment in sorted({tariff.valid_from for tariff in tariffs.values()}):
            self._check_moment(moment)

    def __iter__(self) -> Iterator[InForce]:
        for versions in self._versions:
            yield from versions

    def get(self, name: str) -> Tariff | None:
        """Return a tariff by its document's id."""
        return self._by_id.get(name)

    def in_force(self, neighbourhood: str, zone: str, at: int) -> InForce | None:
        """Return the one tariff of a neighbourhood at a time, or None."""
        default = None
        for one in self._at(at):
            if neighbourhood in one.tariff.neighbourhoods:
                return one
            if not one.tariff.neighbourhoods and one.tariff.zone == zone:
                default = one
        return default

    def of(self, neighbourhood: str, zone: str) -> list[Tariff]:
        """Return the tariffs that are in force for a neighbourhood at some time, in the order of their beginnings."""
        found: list[Tariff] = []
        for moment in sorted({tariff.valid_from for tariff in self._by_id.values()}):
            now = self.in_force(neighbourhood, zone, moment)
            if now is not None and now.tariff not in found:
                found.append(now.tariff)
        return found

    def _at(self, at: int) -> Iterator[InForce]:
        for versions in self._versions:
            begun = [one for one in versions if one.tariff.valid_from <= at]
            if begun:
                yield begun[-1]

    def _check_moment(self, at: int) -> None:
        whose: dict[str, str] = {}
        for one in self._at(at):
            tariff = one.tariff
            for place in tariff.neighbourhoods or [f"default of {tariff.zone}"]:
                if whose.setdefault(place, tariff.name) != tariff.name:
                    raise DocumentError(f"tariffs {whose[place]} and {tariff.name} are both for {place} at {at}")


def _check_versions(versions: Sequence[Tariff]) -> None:
    for earlier, later in pairwise(versions):
        name = f"{later.name} version {later.version}"
        if earlier.version == later.version:
            raise DocumentError(f"two different tariffs call themselves {name}")
        if earlier.valid_from >= later.valid_from:
            raise DocumentError(f"tariff {name} is valid no later than the version before it")
        if earlier.zone != later.zone:
            raise DocumentError(f"tariff {name} moves to another time zone")
