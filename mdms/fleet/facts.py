"""What the MDMS may know of its fleet: times, counts and names. Times are UTC seconds; no energy anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from protocol.windows import Span

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class LoadSeen:
    """One reported interval of a neighbourhood. ``arrived`` is None where that was not kept."""

    start: int
    end: int
    contributors: int
    expected: int
    arrived: int | None

    @property
    def late_s(self) -> int | None:
        """Return how long after the interval's end it came; below zero where it came before."""
        return None if self.arrived is None else self.arrived - self.end


@dataclass(frozen=True, slots=True)
class MeterSeen:
    """One account's windows in the stretch that is looked at: counts, and the end of the newest that has energy."""

    pseudonym: str
    expected: int
    reported: int
    empty: int
    unsynchronised: int
    opened: int
    newest: int | None

    @property
    def missing(self) -> int:
        """Return how many windows should have come and have not."""
        return max(0, self.expected - self.reported)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one concentrator sent and was refused, of one kind."""

    reason: str
    last: int
    number: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """An authentic report that contradicts a stored one, not looked into yet; ``at`` is when what it is about began."""

    id: str
    kind: str
    at: int | None
    reason: str
    arrived: int | None


@dataclass(frozen=True, slots=True)
class Street:
    """One neighbourhood with its concentrator. ``loads`` are of the last day, by time; ``windows`` what was looked at.

    ``roster`` is the version in force, ``reported_roster`` the one that the newest load was counted by, ``decided``
    the key holder's decisions of the last day by status.
    """

    name: str
    members: int
    interval_s: int
    roster: int
    roster_since: int
    reported_roster: int | None
    concentrator: str
    began: int
    newest: LoadSeen | None
    loads: Sequence[LoadSeen]
    windows: Span
    meters: Sequence[MeterSeen]
    refusals: Sequence[Refusal]
    aside: Sequence[SetAside]
    decided: dict[str, int]

    @property
    def heard(self) -> int:
        """Return until when there is a load: the newest one's end, or where the first roster began."""
        return self.newest.end if self.newest else self.began

    @property
    def heard_at(self) -> int | None:
        """Return when the newest load came in, where that is known."""
        return self.newest.arrived if self.newest else None

    def timing(self) -> Timing | None:
        """Return how the last day's loads came in time; None where no arrival is known."""
        late = [each.late_s for each in self.loads if each.late_s is not None]
        return Timing(min(late), int(median(late)), max(late), len(late)) if late else None

    def behind(self) -> list[MeterSeen]:
        """Return the accounts with windows that are missing or empty, the worst first."""
        found = [each for each in self.meters if each.missing or each.empty]
        return sorted(found, key=lambda each: (-each.missing - each.empty, each.pseudonym))


@dataclass(frozen=True, slots=True)
class Timing:
    """How many seconds behind their intervals' ends some loads came: the least, the median and the most."""

    least_s: int
    median_s: int
    most_s: int
    loads: int


@dataclass(frozen=True, slots=True)
class Chore:
    """When a command was last done, and what it said."""

    at: int
    said: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything at ``now``. ``waits_since``: the end of the oldest load that the key holder has not decided.

    ``bills`` are the decisions of the last periods by status; ``rows`` says whether there is any customer's detail;
    ``free_bytes`` is None for a disk that is not seen from here.
    """

    now: int
    streets: Sequence[Street]
    waits_since: int | None
    waiting: int
    bills: dict[str, int]
    prune: Chore | None
    rows: bool
    detail_days: int
    free_bytes: int | None
    rosters_usable: bool = True
