"""`python -m scripts.calibrate --port PORT`: guides a person through a calibration, and writes it to the meter."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import click

from . import arithmetic
from .arithmetic import Known, Nonsense, Values
from .port import Meter, PortError, Serial

SECONDS = 10
PAIRS = 4000

Say = Callable[[str], None]
Wait = Callable[[str], None]


def calibrate(meter: Meter, known: Sequence[Known], changes: Values, say: Say, wait: Wait) -> Values:
    """Guide through a calibration with one or two known loads; returns the values that the meter holds then.

    ``changes`` are values that replace the meter's first (nominal_mv, nominal_hz, export). ``wait`` shows a text and
    returns when it has been done. Raises Nonsense or PortError; what the meter had before then still holds.
    """
    shown = meter.show()
    held = shown["calibration"] | changes
    if shown["channels"] == 2 and any(load.volts is None for load in known):
        raise Nonsense("this meter has a voltage channel: say --volts, read from a voltmeter at the same time")
    if shown["channels"] == 1:
        known = [Known(load.amperes) for load in known]
    say(f"converter: {shown['channels']} channel(s), {shown['rate_hz']} samples a second")
    if shown["trouble"]:
        say(f"before: {shown['trouble']}; the defaults count")
    adc = None
    loaded = []
    for number, load in enumerate(known):
        wait(f"Switch on the load of {load.amperes:g} A, only its one conductor through the clamp.")
        say(f"before, at {load.amperes:g} A: {reading(meter.observe(SECONDS))}")
        if not number and shown["own_microvolts"]:
            adc = arithmetic.table(meter.pairs(PAIRS))
            say("the chip's own calibration " + ("gives the table" if adc else "says too little: the table stays"))
        loaded.append(meter.observe(SECONDS, adc))
    wait("Switch the load off, and leave the clamp plugged in: nothing may flow through it.")
    at_rest = arithmetic.zero(meter.observe(SECONDS, adc))
    say(f"noise {at_rest.noise_uv / 1000:.2f} mV, bias {at_rest.bias_uv / 1000:.0f} mV")
    rate_hz, nominal_hz = shown["rate_hz"], held["nominal_hz"]
    seen = [arithmetic.point(lines, at_rest, rate_hz, nominal_hz) for lines in loaded]
    values = arithmetic.calibrate(held, at_rest, list(zip(seen, known, strict=True)), adc)
    written: Values = meter.write(values)["calibration"]
    for key in sorted(written):
        if key != "adc" and shown["calibration"].get(key) != written[key]:
            say(f"{key}: {shown['calibration'].get(key)} -> {written[key]}")
    say(f"after, nothing connected: {reading(meter.observe(SECONDS))}")
    wait(f"Switch on the load of {known[-1].amperes:g} A again.")
    say(f"after, at {known[-1].amperes:g} A: {reading(meter.observe(SECONDS))}")
    return written


def reading(seen: Sequence[dict[str, Any]]) -> str:
    """Return what a meter's blocks say, for a person."""
    amperes = math.sqrt(fmean(line["microamperes"] ** 2 for line in seen)) / 1e6
    if seen[0]["microvolts"] is None:
        return f"{amperes:.3f} A, {fmean(line['millivoltamperes'] for line in seen) / 1000:.1f} VA"
    volts = fmean(line["microvolts"] for line in seen) / 1e6
    watts = fmean(line["milliwatts"] for line in seen) / 1000
    return f"{volts:.1f} V, {amperes:.3f} A, {watts:.1f} W"


def known_loads(amperes: Sequence[float], volts: Sequence[float], factor: float) -> list[Known]:
    """Return the loads of the options; raises Nonsense where they do not belong together."""
    if len(amperes) not in (1, 2):
        raise Nonsense("say --amperes once, or twice for two points")
    if volts and len(volts) != len(amperes):
        raise Nonsense("say --volts as often as --amperes")
    return [Known(a, volts[n] if volts else None, factor) for n, a in enumerate(amperes)]


@click.command()
@click.option("--port", required=True, help="the meter's serial port, as mpremote takes it")
@click.option("--amperes", type=float, multiple=True, required=True, help="rms current of the load; twice: two points")
@click.option("--volts", type=float, multiple=True, help="rms voltage of the mains at that time")
@click.option("--power-factor", type=float, default=1.0, show_default=True, help="of the load; 1 is a heater")
@click.option("--nominal-volts", type=float, help="what a clamp alone is to assume")
@click.option("--nominal-hertz", type=click.Choice(["50", "60"]), help="of the mains")
@click.option("--export/--no-export", default=None, help="whether energy may flow out of the house")
def main(
    port: str,
    amperes: tuple[float, ...],
    volts: tuple[float, ...],
    power_factor: float,
    nominal_volts: float | None,
    nominal_hertz: str | None,
    export: bool | None,
) -> None:
    """Calibrate a meter with one known load, or two, and write the values to it."""
    changes: Values = {}
    if nominal_volts is not None:
        changes["nominal_mv"] = round(1000 * nominal_volts)
    if nominal_hertz is not None:
        changes["nominal_hz"] = int(nominal_hertz)
    if export is not None:
        changes["export"] = int(export)
    try:
        loads = known_loads(amperes, volts, power_factor)
        serial = Serial(port)
        try:
            calibrate(Meter(serial), loads, changes, click.echo, lambda text: click.pause(f"{text} Then press a key."))
        finally:
            serial.close()
    except (Nonsense, PortError) as error:
        click.echo(f"calibrate: {error}. Look at what `before` and `after` say to know what the meter holds.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
