"""Windows and periods (chapter 4): a walk along the clock, minute by minute."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from .blocks import Case

THREE_HOURS = 3 * 3600
DAY = 86_400


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def edges(zone: ZoneInfo, start: int, end: int, every: int) -> list[int]:
    """Return when the wall clock first shows a multiple of ``every``; one that is skipped counts as before the skip."""
    seen: set[int] = set()
    found: set[int] = set()
    before = offset(zone, start)
    for t in range(start, end, 60):
        after = offset(zone, t)
        for wall in range(-(-(t + before) // every) * every, t + after, every):
            seen.add(wall)
            found.add(wall - before)
        if (t + after) % every == 0 and t + after not in seen:
            seen.add(t + after)
            found.add(t)
        before = after
    return sorted(found)


def offset(zone: ZoneInfo, t: int) -> int:
    difference = datetime.fromtimestamp(t, zone).utcoffset()
    assert difference is not None
    return int(difference.total_seconds())


def walked_windows(zone: ZoneInfo, start: int, end: int) -> list[tuple[int, int]]:
    """Return the windows that start in start <= t < end: a stretch shorter than 3 hours is joined to the next."""
    kept: list[int] = []
    for edge in edges(zone, start - 2 * DAY, end + 2 * DAY, THREE_HOURS):
        if not kept or edge - kept[-1] >= THREE_HOURS:
            kept.append(edge)
    return [(a, b) for a, b in pairwise(kept) if start <= a < end]


def walked_period(zone: ZoneInfo, kind: str, at: int) -> tuple[int, int]:
    reach = 2 * DAY if kind == "day" else 33 * DAY
    starts = edges(zone, at - reach, at + reach, DAY)
    if kind == "month":
        starts = [t for t in starts if datetime.fromtimestamp(t, zone).day == 1]
    return max(t for t in starts if t <= at), min(t for t in starts if t > at)


STRETCHES = (
    ("UTC", "2024-02-28T00:00", "2024-03-01T00:00", "a leap day"),
    (
        "Europe/Berlin",
        "2024-03-30T00:00",
        "2024-04-01T12:00",
        "the night without 02:00 to 03:00: 00 to 06 is one window",
    ),
    ("Europe/Berlin", "2024-10-26T00:00", "2024-10-28T12:00", "the night with two of them: 00 to 03 has 4 hours"),
    ("America/New_York", "2024-03-09T12:00", "2024-03-11T12:00", "spring"),
    ("America/New_York", "2024-11-02T12:00", "2024-11-04T12:00", "autumn"),
    ("Australia/Lord_Howe", "2023-09-30T00:00", "2023-10-02T00:00", "half an hour is skipped"),
    ("Australia/Lord_Howe", "2024-04-06T00:00", "2024-04-08T00:00", "half an hour is repeated"),
    (
        "America/Nuuk",
        "2021-03-27T00:00",
        "2021-03-29T00:00",
        "the evening is short: 21 to 03 is one window over midnight",
    ),
    ("America/Nuuk", "2021-10-30T00:00", "2021-11-01T00:00", "the evening is long"),
    ("Asia/Kathmandu", "2024-05-01T00:00", "2024-05-02T00:00", "UTC+05:45"),
    ("America/Sao_Paulo", "2018-11-03T00:00", "2018-11-05T00:00", "midnight is skipped"),
    ("America/Sao_Paulo", "2018-02-17T00:00", "2018-02-19T00:00", "the hour before midnight is repeated"),
    ("America/Havana", "2019-11-02T12:00", "2019-11-04T00:00", "midnight comes twice: the first of the two"),
    (
        "America/St_Johns",
        "2010-11-06T00:00",
        "2010-11-08T12:00",
        "a minute after midnight the clock goes back to 23:01",
    ),
    ("Pacific/Apia", "2011-12-29T00:00", "2012-01-01T00:00", "30 December 2011 does not exist"),
)
PERIODS = (
    ("Europe/Berlin", "day", "2024-03-31T04:00"),
    ("Europe/Berlin", "day", "2024-10-26T22:00"),
    ("Europe/Berlin", "month", "2024-03-31T19:00"),
    ("Europe/Berlin", "month", "2024-02-29T23:00"),
    ("America/Nuuk", "day", "2021-03-28T00:00"),
    ("America/Nuuk", "day", "2021-03-28T05:00"),
    ("America/Sao_Paulo", "day", "2018-11-04T03:00"),
    ("America/Havana", "day", "2019-11-03T04:00"),
    ("Asia/Kathmandu", "month", "2023-12-31T18:15"),
    ("UTC", "month", "2024-02-01T00:00"),
    ("UTC", "day", "2024-12-31T21:00"),
)
ALIGNMENTS = (
    ("UTC", 10_800),
    ("UTC", 900),
    ("Europe/Berlin", 3600),
    ("Europe/Berlin", 5400),
    ("Europe/Berlin", 10_800),
    ("Australia/Lord_Howe", 1800),
    ("Australia/Lord_Howe", 3600),
    ("Asia/Kathmandu", 900),
    ("Asia/Kathmandu", 1800),
    ("Asia/Kathmandu", 3600),
    ("America/St_Johns", 1800),
    ("America/St_Johns", 3600),
    ("UTC", 700),
    ("UTC", 7200),
    ("UTC", 21_600),
    ("UTC", 0),
    ("UTC", -900),
)


def windows_vectors() -> Case:
    def stretch(name: str, start: str, end: str, why: str) -> Case:
        found = walked_windows(ZoneInfo(name), utc(start), utc(end))
        return {
            "zone": name,
            "about": why,
            "start": utc(start),
            "end": utc(end),
            "windows": [{"start": a, "end": b, "wall": wall(name, a)} for a, b in found],
        }

    def wall(name: str, t: int) -> str:
        return datetime.fromtimestamp(t, ZoneInfo(name)).isoformat(timespec="minutes")

    def period(name: str, kind: str, at: str) -> Case:
        start, end = walked_period(ZoneInfo(name), kind, utc(at))
        return {
            "zone": name,
            "kind": kind,
            "window_start": utc(at),
            "start": start,
            "end": end,
            "wall": wall(name, start),
        }

    def alignment(name: str, interval: int) -> Case:
        start, end = utc("2024-06-01T00:00"), utc("2024-06-08T00:00")
        case = {"zone": name, "interval_s": interval, "start": start, "end": end}
        if interval <= 0 or THREE_HOURS % interval:
            return {**case, "refused": "misaligned", "because": "it does not divide 3 hours"}
        if any(a % interval for a, _ in walked_windows(ZoneInfo(name), start, end)):
            return {**case, "refused": "misaligned", "because": "a window starts inside an interval"}
        return case

    return {
        "about": "Chapter 4: billing windows and periods on the wall clock of a zone; times are UTC seconds.",
        "stretches": [stretch(*each) for each in STRETCHES],
        "periods": [period(*each) for each in PERIODS],
        "alignments": [alignment(*each) for each in ALIGNMENTS],
        "refused_periods": [{"zone": "UTC", "kind": "week", "at": 0, "because": "no such kind"}],
    }
