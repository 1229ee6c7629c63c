"""One interval of one neighbourhood, as the key holder decided on it."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """Start and end in UTC seconds, energies in mWh (None unless released), how many meters of how many are in it."""

    start: int
    end: int
    import_mwh: int | None
    export_mwh: int | None
    contributors: int
    expected: int

    @property
    def is_complete(self) -> bool:
        """Whether every meter of the roster contributed."""
        return self.contributors == self.expected

    def power_w(self) -> float | None:
        """Return the mean imported power in watts, or None where nothing was released."""
        return None if self.import_mwh is None else self.import_mwh * 3.6 / (self.end - self.start)
