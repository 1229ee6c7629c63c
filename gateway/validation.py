"""Whether a reading can be true: the first V of VEE, on the concentrator. Says why not, and never by a value."""

from protocol import wire

from .holdings.enrolled import Meter
from .neighbourhood import Neighbourhood

AHEAD_S = 300  # how far in the future an interval may end: two clocks, each within the other's drift


def impossible(reading: wire.Reading, meter: Meter, place: Neighbourhood, now_ms: int) -> str | None:
    """Return why a reading cannot be true, without its values, or None."""
    roster = place.in_force(reading.interval_end - reading.interval_s)
    limit_mwh = roster.rating_w * reading.interval_s * 1000 // 3600
    if reading.interval_s != roster.interval_s:
        return "interval of another length than the neighbourhood's"
    if reading.series != meter.series:
        return "unknown register series"
    if reading.interval_end * 1000 > now_ms + AHEAD_S * 1000:
        return "interval ends in the future"
    if reading.interval_end - reading.interval_s < meter.since:
        return "interval before the meter's enrolment"
    left = place.left(meter.pseudonym)
    if left is not None and reading.interval_end - reading.interval_s >= left:
        return "interval after the meter left the roster"
    if reading.import_mwh > limit_mwh or reading.export_mwh > limit_mwh:
        return "more energy than the meter's rating allows"
    if reading.import_register < reading.import_mwh or reading.export_register < reading.export_mwh:
        return "register below its interval's energy"
    return None
