"""A neighbourhood's released loads as a whole: summaries, flags, regions, balances. Pure: no Flask, no database.

Energies are mWh of one interval, times UTC seconds. Nothing here can be about one home: it has sums alone.
"""

from .interval import Interval

__all__ = ["Interval"]
