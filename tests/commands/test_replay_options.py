"""Bad input to `make replay` is one clear line each, status 2, and no output."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.readings import Readings
from scripts.replay.plan import BadOptions, make_plan

ROOT = Path(__file__).resolve().parents[2]
GOOD = [("m1", "north", 1451606400, "1.5"), ("m2", "north", 1451606400, "2.5")]


def replay(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "scripts.replay", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(readings_file, tmp_path, *arguments, rows=GOOD):
    out = tmp_path / "out"
    done = replay("--readings", readings_file(rows), "--out", out, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    return done.stderr


def test_a_bad_row_ends_with_status_2_and_no_output(readings_file, tmp_path):
    said = refused(readings_file, tmp_path, rows=[*GOOD, ("m1", "north", 1451606400, "1")])
    assert said == "replay: line 4: meter m1 has interval 1451606400 already, on line 2\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--key-bits", 1024), "--key-bits 1024 is less than 2048"),
        (("--min-contributors", 1), "--min-contributors must be 2 or more"),
        (("--zone", "Europe/Nowhere"), "'Europe/Nowhere' is not a time zone"),
        (("--zone", "../../etc/passwd"), "is not a time zone"),
        (("--interval-s", 0), "--interval-s must be positive"),
        (("--interval-s", 640), "does not divide 3 hours"),
        (("--interval-s", 3600, "--zone", "Asia/Kathmandu"), "a billing window starts at"),
        (("--period", "week"), "'week' is not one of"),
        (("--rating-w", 0), "--rating-w must be positive"),
    ],
)
def test_a_bad_option_is_named(readings_file, tmp_path, arguments, reason):
    start = 1451606400 // (640 * 45) * (640 * 45)
    rows = [("m1", "north", start if 640 in arguments else 1451606400, "1.5")]
    assert reason in refused(readings_file, tmp_path, *arguments, rows=rows)


def test_a_folder_that_is_not_empty_is_left_alone(readings_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    done = replay("--readings", readings_file(GOOD), "--out", out)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in out.iterdir()] == ["kept.txt"]


def planned(energies, **options):
    readings = Readings(10800, {name: "n" for name, _ in energies}, dict.fromkeys(energies, 1))
    arguments = {
        "zone_name": "UTC",
        "period": "month",
        "key_bits": 3072,
        "unsafe_small_key": False,
        "min_contributors": 10,
    }
    return make_plan(readings, **{**arguments, **options})


def windows_of_january(count):
    return [("m", 1451606400 + 10800 * number) for number in range(count)]


def test_a_full_month_needs_no_unsafe_flag():
    assert not planned(windows_of_january(248)).unsafe_short_periods
    assert not planned(windows_of_january(124)).unsafe_short_periods


def test_a_month_that_is_less_than_half_filled_implies_the_flag():
    plan = planned(windows_of_january(123))
    assert plan.unsafe_short_periods
    assert any("123 of a period's 248 windows" in warning for warning in plan.warnings)


def test_a_day_implies_the_flag():
    assert planned(windows_of_january(248), period="day").unsafe_short_periods


def test_the_whole_file_is_a_period_of_its_own():
    plan = planned(windows_of_january(28), period="all")
    assert not plan.unsafe_short_periods
    assert plan.period_setting == f"fixed:1451606400:{1451606400 + 28 * 10800}"
    assert planned(windows_of_january(27), period="all").unsafe_short_periods


def test_a_file_that_does_not_exist_is_one_line(tmp_path):
    done = replay("--readings", tmp_path / "none.csv", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_bad_options_are_an_exception_of_their_own():
    with pytest.raises(BadOptions):
        planned([("m", 0)], key_bits=512)
