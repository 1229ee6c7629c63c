"""Day-ahead forecasts from released loads, each worked out once as long as nothing new was released."""

import threading
from datetime import date, timedelta, tzinfo

from flask import Response
from sqlalchemy import func, select

from ..forecast.calendar import forecast_day, slots_of
from ..forecast.day_ahead import CONFIDENCE, Forecast
from ..keyholder.messages import RELEASED
from ..problems import problem
from ..rosters import RosterBook
from ..store import Store
from ..supplier.days import day_holding, span_of
from ..tables import load_releases

LEARNT_DAYS = 91  # thirteen weeks: an older day counts for less than two thirds of a new one, and costs as much
KEPT = 64


class Forecasts:
    """Answers for one application; safe to share between threads."""

    def __init__(self, store: Store, book: RosterBook) -> None:
        self._store = store
        self._book = book
        self._lock = threading.Lock()
        self._known: dict[tuple[str, date, int], Forecast | None] = {}

    def answer(self, name: str, chosen: date | None) -> dict[str, object] | Response:
        """Return the forecast of a day, or a 404 that says why there is none."""
        zone = self._book.zone(name)
        newest = self._newest(name)
        if newest is None:
            return problem(404, "Nothing was released of this neighbourhood yet: there is nothing to learn from.")
        latest = day_holding(newest, zone) + timedelta(days=1)
        day = chosen or latest
        if day > latest:
            return problem(404, f"A forecast is for a day ahead: {latest} is the latest that can be forecast.")
        history = self._history(name, day, zone)
        if not history or day_holding(history[-1][0], zone) != day - timedelta(days=1):
            return problem(404, "Nothing was released of the day before: there is nothing to forecast from.")
        roster = self._book.in_force(name, history[-1][0])
        assert roster is not None, "a neighbourhood has a roster"
        forecast = self._forecast((name, day, len(history)), history, roster.interval_s, zone)
        assert forecast is not None, "there is a day to learn from"
        return {
            "neighbourhood": name,
            "zone": str(zone),
            "day": day,
            "interval_s": roster.interval_s,
            "confidence": CONFIDENCE,
            "learnt_days": len({day_holding(start, zone) for start, _ in history}),
            "intervals": [_slot(forecast, at, roster.interval_s) for at in range(slots_of(roster.interval_s))],
        }

    def _newest(self, name: str) -> int | None:
        query = select(func.max(load_releases.c.interval_start)).where(
            load_releases.c.neighbourhood == name, load_releases.c.status == RELEASED
        )
        newest: int | None = self._store.ask(query)[0][0]
        return newest

    def _history(self, name: str, day: date, zone: tzinfo) -> list[tuple[int, int]]:
        first = max(day - timedelta(days=LEARNT_DAYS), date(1970, 1, 2))
        query = (
            select(load_releases.c.interval_start, load_releases.c.import_mwh)
            .where(
                load_releases.c.neighbourhood == name,
                load_releases.c.status == RELEASED,
                load_releases.c.interval_start >= span_of(first, zone).start,
                load_releases.c.interval_start < span_of(day, zone).start,
            )
            .order_by(load_releases.c.interval_start)
        )
        return [(row.interval_start, row.import_mwh) for row in self._store.ask(query)]

    def _forecast(
        self, key: tuple[str, date, int], history: list[tuple[int, int]], interval_s: int, zone: tzinfo
    ) -> Forecast | None:
        # One at a time: it takes the better part of a second, and the next asker finds it done.
        with self._lock:
            if key not in self._known:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[key] = forecast_day(history, interval_s, zone, key[1])
            return self._known[key]


def _slot(forecast: Forecast, at: int, interval_s: int) -> dict[str, object]:
    minutes = at * interval_s // 60
    return {
        "time": f"{minutes // 60:02}:{minutes % 60:02}",
        "import_mwh": round(forecast.expected[at]),
        "low_mwh": None if forecast.low is None else round(forecast.low[at]),
        "high_mwh": None if forecast.high is None else round(forecast.high[at]),
    }
