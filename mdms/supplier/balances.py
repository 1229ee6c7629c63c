"""The balance of a neighbourhood with its feeder meter, as its page shows it."""

from dataclasses import asdict
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

from ..feeders import read_feeder
from ..loads.balance import balances
from ..store import Store
from .days import span_of
from .questions import intervals_within

SHOWN_DAYS = 62


def feeder_balance(store: Store, feeders: Path, name: str, zone: tzinfo) -> list[dict[str, Any]]:
    """Return the last two months that the feeder's file has, oldest first. Raises BadFeederFile."""
    feeder = read_feeder(feeders, name)
    if not feeder:
        return []
    last = max(feeder)
    shown = {day: mwh for day, mwh in feeder.items() if day > last - timedelta(days=SHOWN_DAYS)}
    spans = {day: span_of(day, zone) for day in shown}
    intervals = intervals_within(store, name, spans[min(shown)].start, spans[last].end)
    return [
        asdict(found) | {"loss_mwh": found.loss_mwh, "loss_share": found.loss_share}
        for found in balances(shown, intervals, spans, zone)
    ]
