"""`make metrology`: how exact the meter is, on waveforms through an emulated converter."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from . import converter, meter, plot, trial
from .trial import PERCENT, Result

LIMITS = ((1, 2.0), (5, 1.0))  # from this share of the range, in per cent, so many per cent of error
CONSERVED = 0.1  # per cent


def limit(percent: float) -> float:
    """Return the error that is allowed at a share of the range, in per cent."""
    return [most for least, most in LIMITS if percent >= least][-1]


def worst(results: Sequence[Result], least: float, below: float = 101) -> float:
    """Return the largest error, in per cent, between two shares of the range."""
    return max(abs(result.error) for result in results if least <= result.percent < below)


@click.command()
@click.option(
    "--picture", type=click.Path(path_type=Path), default=Path("out/metrology.svg"), show_default=True, help="the curve"
)
@click.option("--quick", is_flag=True, help="one meter of each kind only")
def main(picture: Path, quick: bool) -> None:
    """Calibrate emulated meters with one known load each, and measure what they make of a house's currents."""
    failures: list[str] = []
    results: list[Result] = []
    say = click.echo
    chip = converter.Chip(1)
    say(f"range {meter.RANGE_A:g} A: at crest factor 3 its peaks still lie in the converter's linear range")
    say(
        f"converter: 12 bits, noise {chip.noise:g} counts rms, bow {chip.bow:g} counts, scale off by"
        f" {100 * (chip.reference - 1):.1f} %; mains wandering by {100 * converter.DRIFT:g} %; clamp leading by"
        f" {meter.PHASE_DEG:g} degrees"
    )
    say(f"calibrated with one load of {meter.KNOWN_A:g} A; records of {trial.RECORD_S} s; errors in per cent\n")
    with tempfile.TemporaryDirectory() as folder:
        benches = trial.benches(Path(folder))
        for bench in [benches[2], benches[8]] if quick else benches:
            values = meter.calibrated(bench)
            found = trial.measured(bench)
            results += found
            _table(bench.name, found)
            failures += _rest(bench)
            if bench.rate_hz == 2000 and bench.hertz == 50:
                failures += _hour(trial.hour(bench, values))
            say()
    failures += [
        f"{r.bench}, {r.load}, {r.percent:g} %: {r.error:+.2f} %" for r in results if abs(r.error) > limit(r.percent)
    ]
    picture.parent.mkdir(parents=True, exist_ok=True)
    caption = f"{len({r.bench for r in results})} emulated meters, four loads each, after a one-point calibration"
    picture.write_text(plot.svg(results, caption))
    say(f"error curve: {picture}")
    for failure in failures:
        say(f"beyond its limit: {failure}")
    say(f"worst error, 1-5 % of range: {worst(results, 1, 5):.2f} %")
    say(f"worst error, 5-100 % of range: {worst(results, 5):.2f} %")
    sys.exit(1 if failures else 0)


def _table(name: str, results: Sequence[Result]) -> None:
    click.echo(f"{name:<34}" + "".join(f"{percent:>8} %" for percent in PERCENT))
    for load in dict.fromkeys(result.load for result in results):
        errors = [result.error for result in results if result.load == load]
        click.echo(f"  {load:<32}" + "".join(f"{error:>+10.2f}" for error in errors))


def _rest(bench: meter.Bench) -> list[str]:
    energy, found = trial.nothing_connected(bench)
    click.echo(f"  nothing connected, a minute: {energy} mWh")
    return [f"{bench.name}, nothing connected: {energy} mWh, {found}"] if energy or found else []


def _hour(hour: trial.Hour) -> list[str]:
    click.echo(
        f"  an hour in {hour.periods} periods: {hour.counted} mWh; the same counts integrated in floats:"
        f" {hour.integrated:.0f} mWh, {hour.unconserved:+.3f} %; the truth: {hour.truth:.0f} mWh"
    )
    return [f"an hour's energy: {hour.unconserved:+.3f} %"] if abs(hour.unconserved) > CONSERVED else []


if __name__ == "__main__":
    main()
