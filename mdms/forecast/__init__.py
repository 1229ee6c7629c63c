"""Day-ahead forecasts of a neighbourhood's load, pure: no Flask, no database, no clock.

What goes in are released sums of whole days, what comes out is the next day. `day_ahead` is the model, `baselines`
what it must beat, `accuracy` how it is measured, `calendar` turns released intervals into days and back.
"""

from .day_ahead import DayAhead, Forecast

__all__ = ["DayAhead", "Forecast"]
