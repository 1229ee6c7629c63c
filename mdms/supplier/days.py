"""Which stretch of time a load curve shows: one day of the neighbourhood's own calendar."""

from datetime import date, datetime, timedelta, tzinfo

from protocol.windows import Span


def day_holding(at: int, zone: tzinfo) -> date:
    """Return the local date of a time."""
    return datetime.fromtimestamp(at, zone).date()


def span_of(day: date, zone: tzinfo) -> Span:
    """Return a local day, midnight to midnight, in UTC seconds; 23 or 25 hours where the clock changes."""
    return Span(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def parse_day(text: str) -> date | None:
    """Return the date that YYYY-MM-DD says, of years that a u32 of seconds holds; None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1971 <= day.year <= 2105 and day.isoformat() == text else None


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
