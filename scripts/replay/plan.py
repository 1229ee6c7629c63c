"""What a replay is asked to do: the checked file, the options, and what follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol.windows import Misaligned, Span, check_alignment, period_of, window_of, windows

from ..readings import MOST_ENERGY_MWH, Readings
from ..street import Layout, Street

LEAST_BITS = 2048
LEAST_INTERVAL_S = 300  # outside tests
LEAST_WINDOWS = 28  # of a period that the gate opens without a flag
LEAST_CONTRIBUTORS = 2
MOST_RATING_W = (1 << 31) - 1  # a roster's field
USUAL_CONTRIBUTORS = 10
PERIODS = ("day", "month", "all")


class BadOptions(Exception):
    """The options do not fit each other or the file; the message says which and why."""


@dataclass(frozen=True)
class Plan:
    """A replay of ``readings``. ``period_setting`` is the key holder's own; ``warnings`` are printed."""

    readings: Readings
    zone: ZoneInfo
    period: str
    key_bits: int
    unsafe_small_key: bool
    min_contributors: int
    rating_w: int
    period_setting: str
    unsafe_short_periods: bool
    warnings: tuple[str, ...]

    @property
    def interval_s(self) -> int:
        """The interval's length."""
        return self.readings.interval_s

    @property
    def since(self) -> int:
        """The start of the first window, from which every meter is enrolled."""
        return window_of(self.readings.first(), self.zone).start

    def period_at(self, start: int) -> Span:
        """Return the billing period of an interval that starts at ``start``."""
        return _period(self.readings, self.period, self.zone, start)


def layout_of(plan: Plan) -> Layout:
    """Return the street that a plan needs: the meters send DETAIL once an interval."""
    return Layout(
        deployment="replay",
        neighbourhoods=plan.readings.neighbourhoods(),
        since=plan.since,
        zone=plan.zone.key,
        interval_s=plan.interval_s,
        detail_s=plan.interval_s,
        rating_w=plan.rating_w,
        min_contributors=plan.min_contributors,
        period=plan.period_setting,
        key_bits=plan.key_bits,
        unsafe_small_key=plan.unsafe_small_key,
        unsafe_short_periods=plan.unsafe_short_periods,
    )


def energies_of(plan: Plan, street: Street) -> Iterator[tuple[str, int, int, int]]:
    """Yield what the sensors give, in order of time; the file knows import only."""
    titles = {home.meter: home.system_title.hex() for home in street.homes}
    for (meter, start), energy in sorted(plan.readings.energies.items(), key=lambda item: item[0][1]):
        yield titles[meter], start, energy, 0


def make_plan(
    readings: Readings,
    *,
    zone_name: str,
    period: str,
    key_bits: int,
    unsafe_small_key: bool,
    min_contributors: int,
    rating_w: int | None = None,
) -> Plan:
    """Return the plan of a replay; raises BadOptions. Without a rating every energy that a READING can say is taken."""
    if key_bits < LEAST_BITS and not unsafe_small_key:
        raise BadOptions(f"--key-bits {key_bits} is less than {LEAST_BITS}: only with --unsafe-small-key")
    if min_contributors < LEAST_CONTRIBUTORS:
        raise BadOptions("--min-contributors must be 2 or more: a sum of one meter is its reading")
    if rating_w is not None and not 0 < rating_w <= MOST_RATING_W:
        raise BadOptions("--rating-w must be positive and less than 2^31")
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadOptions(f"--zone '{zone_name[:64]}' is not a time zone of the IANA database") from None
    first, last = readings.first(), readings.last()
    try:
        check_alignment(Span(first, last + readings.interval_s), readings.interval_s, zone)
        check_alignment(Span(first, first + 366 * 86400), readings.interval_s, zone)
    except Misaligned as error:
        raise BadOptions(str(error)) from None
    warnings = []
    if readings.interval_s < LEAST_INTERVAL_S:
        warnings.append(f"intervals of {readings.interval_s} s: less than {LEAST_INTERVAL_S} s is for tests only")
    if min_contributors < USUAL_CONTRIBUTORS:
        warnings.append(f"loads of {min_contributors} meters are released: small groups show single homes")
    if unsafe_small_key and key_bits < LEAST_BITS:
        warnings.append(f"unsafe_small_key: a key of {key_bits} bits protects nobody")
    short = _short_period(readings, period, zone)
    if short:
        warnings.append(f"unsafe_short_periods: {short}; every release of this run says so")
    return Plan(
        readings=readings,
        zone=zone,
        period=period,
        key_bits=key_bits,
        unsafe_small_key=unsafe_small_key,
        min_contributors=min_contributors,
        rating_w=_any_power(readings.interval_s) if rating_w is None else rating_w,
        period_setting=_setting(readings, period, zone),
        unsafe_short_periods=bool(short),
        warnings=tuple(warnings),
    )


def _any_power(interval_s: int) -> int:
    """Return the power at which an interval fills its field, W, as far as a roster can say it."""
    return min(-(-MOST_ENERGY_MWH * 3600 // (interval_s * 1000)), MOST_RATING_W)


def _setting(readings: Readings, period: str, zone: ZoneInfo) -> str:
    if period != "all":
        return period
    span = _period(readings, period, zone, readings.first())
    return f"fixed:{span.start}:{span.end}"


def _period(readings: Readings, period: str, zone: ZoneInfo, start: int) -> Span:
    if period == "all":
        return Span(window_of(readings.first(), zone).start, window_of(readings.last(), zone).end)
    return period_of(period, window_of(start, zone).start, zone)


def _short_period(readings: Readings, period: str, zone: ZoneInfo) -> str:
    """Return why the gate would not open some period of this file without its flag, or nothing.

    A period needs 28 windows, at least half of them filled: else a bill would show single evenings.
    """
    since = window_of(readings.first(), zone).start
    window_start: dict[int, int] = {}
    filled: dict[tuple[str, Span], set[int]] = {}
    for meter, start in readings.energies:
        if start not in window_start:
            window_start[start] = window_of(start, zone).start
        span = _period(readings, period, zone, start)
        filled.setdefault((meter, span), set()).add(window_start[start])
    for (meter, span), starts in filled.items():
        count = len(windows(max(span.start, since), span.end, zone))
        if count < LEAST_WINDOWS:
            return f"a period of {count} windows is shorter than the {LEAST_WINDOWS} that a bill needs"
        if 2 * len(starts) < count:
            return f"meter {meter} has readings in {len(starts)} of a period's {count} windows, less than half"
    return ""
