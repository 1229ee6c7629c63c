"""What released sums give away of a single home, measured on those sums. Pure: no Flask, no database, no clock."""

from .leakage import Leakage, measure_leakage

__all__ = ["Leakage", "measure_leakage"]
