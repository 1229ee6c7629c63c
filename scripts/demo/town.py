"""The demonstration's town: two neighbourhoods, one of them too small for its load to be released."""

from collections.abc import Iterator
from datetime import UTC, datetime

from protocol.tariffs import Band, Tariff, Times

from ..homes import energies, furnish
from ..street import Layout, Street

FIRST_DAY = int(datetime(2026, 3, 16, tzinfo=UTC).timestamp()) // 86400  # a Monday in a sunny, cold month
LARGE, SMALL = "linden", "pond"
HOMES = {LARGE: 21, SMALL: 3}
INTERVAL_S = 900
DETAIL_S = 300
DAY_S = 86400
RATING_W = 3 * 100 * 230
LEAST_CONTRIBUTORS = 10
# Flat, for a day's windows are too few for bands; an eighth of the price is credited for what is given.
TARIFF = Tariff(
    name="town",
    version=1,
    valid_from=FIRST_DAY * DAY_S,
    zone="UTC",
    currency="EUR",
    neighbourhoods=[],
    bands=[Band("all", [Times("all", 0, 24)], 312_500, 39_000)],
    standing_micro=0,
    standing_per="day",
    tax_ppm=0,
)


def layout(key_bits: int, unsafe_small_key: bool, pages: dict[str, object]) -> Layout:
    """Return the town. A day is a billing period here, which no utility may have: the flag is named in each release."""
    return Layout(
        deployment="demo",
        neighbourhoods={name: [f"{name}-{number:02d}" for number in range(1, n + 1)] for name, n in HOMES.items()},
        since=FIRST_DAY * DAY_S,
        zone="UTC",
        interval_s=INTERVAL_S,
        detail_s=DETAIL_S,
        rating_w=RATING_W,
        min_contributors=LEAST_CONTRIBUTORS,
        period="day",
        key_bits=key_bits,
        unsafe_small_key=unsafe_small_key,
        unsafe_short_periods=True,
        pages=pages,
        tariff=TARIFF,
    )


def day_of(street: Street, day: int, seed: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield what every meter's sensor gives on a day (days since 1970-01-01), in order of time."""
    rows = [
        (start, home.system_title.hex(), taken, given)
        for home in street.homes
        for start, taken, given in energies(furnish(home.meter, seed), day, DETAIL_S, seed)
    ]
    for start, title, taken, given in sorted(rows):
        yield title, start, taken, given
