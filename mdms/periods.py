"""Billing periods as one deployment counts them: calendar months, days, or one fixed stretch (protocol, chapter 4).

Pure. A period owns the windows that start in it.
"""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from protocol.windows import Span, period_of, windows

CALENDAR = ("month", "day")


@dataclass(frozen=True, slots=True)
class Periods:
    """How time is cut into billing periods. ``fixed`` is set when ``kind`` is "fixed", and is the only period."""

    kind: str
    fixed: Span | None = None

    def __str__(self) -> str:
        return f"fixed:{self.fixed.start}:{self.fixed.end}" if self.fixed else self.kind

    def holding(self, at: int, zone: tzinfo) -> Span | None:
        """Return the period that owns a window which starts at ``at``; None outside a fixed one."""
        if self.fixed:
            return self.fixed if self.fixed.start <= at < self.fixed.end else None
        return period_of(self.kind, at, zone)

    def starting(self, at: int, zone: tzinfo) -> Span | None:
        """Return the period that starts exactly at ``at``, or None: periods are not for the asker to choose."""
        period = self.holding(at, zone)
        return period if period and period.start == at else None

    def after(self, period: Span, zone: tzinfo) -> Span | None:
        """Return the period that follows, or None where there is none."""
        return self.holding(period.end, zone)


def parse_periods(text: str) -> Periods:
    """Return what "month", "day" or "fixed:START:END" (UTC seconds) says; raises ValueError with the reason."""
    if text in CALENDAR:
        return Periods(text)
    match text.split(":"):
        case ["fixed", start, end] if _is_time(start) and _is_time(end) and int(start) < int(end):
            return Periods("fixed", Span(int(start), int(end)))
    raise ValueError('a period is "month", "day" or "fixed:START:END" in UTC seconds')


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:11]) < 1 << 32


@lru_cache(maxsize=4096)
def last_window(period: Span, zone: tzinfo) -> Span | None:
    """Return the last window that starts in a period; None where none does."""
    several = windows(max(period.start, period.end - 86_400), period.end, zone)
    return several[-1] if several else None


def has_ended(period: Span, zone: tzinfo, now: int) -> bool:
    """Say whether the period and every window that starts in it are over.

    Where daylight saving joins an evening to the next morning, the last window ends after the period does.
    """
    last = last_window(period, zone)
    return now >= max(period.end, last.end if last else 0)
