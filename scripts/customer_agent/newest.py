"""Which reading is the newest. Registers must never be seen to go back, and rows come late and in any order.

Rule 1: within one meter the invocation counter decides, because it never goes back while a meter keeps its memory, and
no clock has a say: a meter whose clock was hours ahead for a while is not believed until that time has come.
Rule 2: a lower counter under another salt may be a meter that lost its memory. Then its clock decides, as it does
between two meters (a replaced one at the same account).
"""

from .opening import Reading


def is_newer(reading: Reading, than: Reading | None) -> bool:
    """Say whether a reading comes after another."""
    if than is None:
        return True
    if reading.title == than.title:
        if reading.counter > than.counter:
            return True
        if reading.salt == than.salt:
            return False
    return bool(reading.detail.end > than.detail.end)


def newest(readings: list[Reading], before: Reading | None) -> Reading | None:
    """Return the newest of some readings and the one that was the newest before."""
    for reading in readings:
        if is_newer(reading, before):
            before = reading
    return before
