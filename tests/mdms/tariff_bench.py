"""Tariffs for tests: one band, or a day and a night, in UTC and from the streets' first month on."""

import msgspec
from mdms_bench import DEPLOYMENT, MARCH

from protocol.tariffs import Band, Tariff, TariffBook, Times, sign_tariff, tariff_id

ALL_DAY = [Times("all", 0, 24)]
NIGHT = [Times("all", 0, 6), Times("all", 21, 24)]
DAY_TIME = [Times("all", 6, 21)]


def tariff(*bands, **changes):
    """A tariff of the given bands; by default EUR, everybody's, from March on, without charge or tax."""
    facts = {
        "name": "house",
        "version": 1,
        "valid_from": MARCH,
        "zone": "UTC",
        "currency": "EUR",
        "neighbourhoods": [],
        "bands": list(bands),
        "standing_micro": 0,
        "standing_per": "day",
        "tax_ppm": 0,
    }
    return Tariff(**{**facts, **changes})


def flat(micro=312_500, **changes):
    return tariff(Band("all", ALL_DAY, micro, 0), **changes)


def day_and_night(**changes):
    """15 hours of day, 9 of night: of March's 248 windows 155 and 93."""
    return tariff(Band("day", DAY_TIME, 400_000, 80_000), Band("night", NIGHT, 200_000, 60_000), **changes)


def book_of(operator, *tariffs):
    """The book of tariffs as their signed documents name them."""
    return TariffBook({tariff_id(sign_tariff(operator, DEPLOYMENT, one), DEPLOYMENT): one for one in tariffs})


def write_tariffs(folder, operator, *tariffs):
    """Write signed tariffs into a folder; returns it."""
    folder.mkdir(exist_ok=True)
    for one in tariffs:
        document = sign_tariff(operator, DEPLOYMENT, one)
        (folder / f"{one.name}.v{one.version}.json").write_bytes(msgspec.json.encode(document))
    return folder
