"""Believable homes for a simulated street: base load, fridge, cooking, heating, an electric car, solar panels.

Invented, not measured: the shapes are everyday ones, and each home and day is drawn from a seed, so that the same seed
gives the same street to the milliwatt-hour. Domain times are taken as local times.
"""

import math
import random
from dataclasses import dataclass

MINUTE_S = 60
DAY_S = 86400
MINUTES = DAY_S // MINUTE_S


@dataclass(frozen=True)
class Home:
    """What stands in a home; powers in watts, times in minutes of the day."""

    name: str
    base_w: int
    fridge_w: int
    fridge_minutes: int
    wakes: int
    sleeps: int
    heat_pump_w: int
    car_w: int
    solar_w: int


def furnish(name: str, seed: int) -> Home:
    """Return a home; the same name and seed give the same home."""
    rng = random.Random(f"{seed}/{name}/home")  # noqa: S311 - a simulation, not a secret
    return Home(
        name=name,
        base_w=rng.randrange(50, 160),
        fridge_w=rng.randrange(60, 120),
        fridge_minutes=rng.randrange(38, 55),
        wakes=rng.randrange(5 * 60 + 30, 8 * 60),
        sleeps=rng.randrange(21 * 60 + 30, 23 * 60 + 50),
        heat_pump_w=rng.choice((0, 0, rng.randrange(700, 1500))),
        car_w=rng.choice((0, 0, 3700, 7400)),
        solar_w=rng.choice((0, 0, rng.randrange(2000, 6500))),
    )


def _add(powers: list[int], start: int, minutes: int, watts: int) -> None:
    for minute in range(max(0, start), min(MINUTES, start + minutes)):
        powers[minute] += watts


def net_powers(home: Home, day: int, seed: int) -> list[int]:
    """Return a day's 1,440 net powers in watts, minute by minute; negative where the roof gives more than is used.

    ``day`` counts from 1970-01-01.
    """
    rng = random.Random(f"{seed}/{home.name}/{day}")  # noqa: S311 - a simulation, not a secret
    powers = [home.base_w + rng.randrange(-8, 9) for _ in range(MINUTES)]
    phase = rng.randrange(home.fridge_minutes)
    for minute in range(MINUTES):
        if (minute + phase) % home.fridge_minutes < home.fridge_minutes // 3:
            powers[minute] += home.fridge_w
    weekend = (day + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    away = not weekend and rng.random() < 0.6
    _add(powers, home.wakes, rng.randrange(25, 60), rng.randrange(120, 400))
    _add(powers, home.wakes + rng.randrange(5, 25), rng.randrange(3, 8), rng.randrange(1500, 2300))
    if not away:
        _add(powers, 12 * 60 + rng.randrange(-30, 45), rng.randrange(15, 40), rng.randrange(900, 2200))
        _add(powers, home.wakes + 60, 9 * 60, rng.randrange(40, 180))
    _add(powers, 18 * 60 + rng.randrange(-45, 75), rng.randrange(20, 55), rng.randrange(1200, 2800))
    _add(powers, 17 * 60 + 30, home.sleeps - 17 * 60 - 30, rng.randrange(120, 380))
    if rng.random() < 0.4:
        _add(powers, rng.randrange(9 * 60, 20 * 60), 75, rng.randrange(500, 1100))  # washing
    for minute in range(MINUTES):
        if home.heat_pump_w and (minute // 20 + phase) % 3 == 0:
            cold = 0.6 + 0.4 * math.cos(2 * math.pi * (minute - 5 * 60) / MINUTES)
            powers[minute] += int(home.heat_pump_w * cold)
    if home.car_w and rng.random() < 0.55:
        _add(powers, rng.randrange(18 * 60, 23 * 60), rng.randrange(60, 200), home.car_w)
    if home.solar_w:
        _shine(powers, home.solar_w, rng)
    return powers


def _shine(powers: list[int], solar_w: int, rng: random.Random) -> None:
    """Take a day's sun off: a bell between half past six and half past five, with clouds."""
    clear = rng.uniform(0.25, 1.0)
    rises, sets = 6 * 60 + 30, 17 * 60 + 30
    cloud = 1.0
    for minute in range(rises, sets):
        if minute % 10 == 0:
            cloud = rng.uniform(max(0.0, 2 * clear - 1), 1.0)
        height = math.sin(math.pi * (minute - rises) / (sets - rises))
        powers[minute] -= int(solar_w * clear * cloud * height**1.5)


def energies(home: Home, day: int, length_s: int, seed: int) -> list[tuple[int, int, int]]:
    """Return (start, import mWh, export mWh) of a day's periods of ``length_s`` seconds, a multiple of 60.

    A watt for a minute is 1000 / 60 mWh. Sums are rounded once each and the remainder carried on within the day.
    """
    if length_s % MINUTE_S or DAY_S % length_s:
        raise ValueError("a period is a multiple of a minute and divides a day")
    powers = net_powers(home, day, seed)
    used = given = told_used = told_given = 0
    result = []
    for minute, power in enumerate(powers, 1):
        used += max(power, 0) * 1000
        given += max(-power, 0) * 1000
        if minute * MINUTE_S % length_s == 0:
            start = day * DAY_S + minute * MINUTE_S - length_s
            result.append((start, used // 60 - told_used, given // 60 - told_given))
            told_used, told_given = used // 60, given // 60
    return result
