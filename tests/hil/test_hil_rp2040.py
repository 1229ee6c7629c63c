"""A whole RP2040, emulated: flashed with mpremote, its ADC fed with a waveform, a real concentrator on its UART."""

import json
import math
from itertools import pairwise

import pytest
from console import Console
from real_concentrator import Concentrator, no_conflict
from romfs import DEVICE, ROOT
from vector_blob import blob, judged

from scripts.firmware_package import build, compile_file
from scripts.hil.mpremote import mpremote
from scripts.hil.rp2040 import FLASH_BYTES, Rp2040, flash_image

pytestmark = pytest.mark.timeout(1800)

INTERVAL_S = 10
HEAP_BYTES = 65536
AMPERES = 8.0
# 20 A a volt around the middle of the range: the clamp of device/clamp.py
ADC = {"0": {"volts": 1.65, "sines": [[AMPERES / 20 * math.sqrt(2), 50, 0]], "noise": 0.002}}
EXPECTED_MWH = 230 * AMPERES * INTERVAL_S / 3.6
PATIENCE_S = 900
BLOB_ADDRESS = 0x10000000 + FLASH_BYTES  # behind the chip's two megabytes: the emulated one has room
SEALS = 20


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The firmware's files and the test's, compiled for the RP2040."""
    made = build(tmp_path_factory.mktemp("package") / "files", "armv6m")
    for name in ("clamp", "rp2_main"):
        compile_file(DEVICE / f"{name}.py", f"{name}.py", made.parent / f"{name}.mpy", "armv6m")
    return made


@pytest.fixture
def flash(hil, tmp_path):
    """A new chip with MicroPython on it."""
    file = tmp_path / "flash.bin"
    file.write_bytes(flash_image(hil.rp2040.read_bytes()))
    return file


@pytest.fixture(scope="module")
def installed(hil, package, tmp_path_factory):
    """A chip with MicroPython and the firmware on it, put there by mip, and what figures need."""
    file = tmp_path_factory.mktemp("installed") / "flash.bin"
    file.write_bytes(flash_image(hil.rp2040.read_bytes()))
    with Rp2040(file) as board:
        mpremote("mip", "install", str(package), console=board.console.path, folder=ROOT)
        for name in ("blob_vectors", "seal_timing", "converting"):
            copy(board, (DEVICE / f"{name}.py", f"{name}.py"))
        copy(board, (ROOT / "tests" / "micropython" / "vectors.py", "vectors.py"))
    return file


def copy(board, *files):
    """Put (path, name on the board) there as a person does."""
    for path, name in files:
        mpremote("resume", "fs", "cp", str(path), f":{name}", console=board.console.path)


def test_a_flashed_meter_measures_reports_in_time_within_its_heap_and_survives_a_power_cut(
    flash, package, tmp_path, say
):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"rate_hz": 1000, "interval_s": INTERVAL_S}))
    line = tmp_path / "line"
    with Concentrator(tmp_path / "deployment", INTERVAL_S, serial=[line]) as concentrator:
        with Rp2040(flash, ADC) as board:
            line.symlink_to(board.line.path)
            mpremote("romfs", "deploy", str(package.parent), console=board.console.path)
            keys = (concentrator.provisioning, "meter.json")
            copy(board, (DEVICE / "main.py", "main.py"), (settings, "settings.json"), keys)
            mpremote("reset", console=board.console.path)
            board.await_start()
            with Console(board.console.path) as console:
                starts = concentrator.await_intervals(2, PATIENCE_S, console.sound)
            came = board.report()
            board.cut_power()
        line.unlink()
        check_first_run(concentrator, console, starts, say)
        say(
            f"RP2040: {came.emulated_s:.0f} s emulated in {came.wall_s:.0f} s, {came.flash_operations} flash operations"
        )
        with Rp2040(flash, ADC) as board:
            line.symlink_to(board.line.path)
            with Console(board.console.path) as console:
                after = concentrator.await_intervals(len(starts) + 1, PATIENCE_S, console.sound)
        assert after[: len(starts)] == starts
        check_details(concentrator)


def check_first_run(concentrator, console, starts, say):
    assert starts[1] == starts[0] + INTERVAL_S
    (first,) = console.figures("first_reading_ms")
    ends_ms = (first["of"] + INTERVAL_S) * 1000
    assert first["of"] == -(-first["known_ms"] // (INTERVAL_S * 1000)) * INTERVAL_S
    assert 0 <= first["first_reading_ms"] - ends_ms < 2000
    say(f"RP2040: first READING {first['first_reading_ms'] - ends_ms} ms after the first interval's end")
    peak = max(each["heap"] for each in console.figures("heap"))
    say(f"RP2040: at most {peak} bytes of heap in use, of {HEAP_BYTES} that it has here")
    assert 0 < peak <= HEAP_BYTES
    assert console.figures("lost")[-1]["lost"] == 0


def check_details(concentrator):
    """What came is what the ADC was fed with, and no register ever went back, over the power cut."""
    assert no_conflict(concentrator.counts())
    details = concentrator.details()
    assert len(details) >= 3
    for detail in details:
        assert detail.import_mwh == pytest.approx(EXPECTED_MWH, rel=0.02)
    for before, behind in pairwise(details):
        assert behind.import_register == before.import_register + behind.import_mwh


def run(board, command):
    return mpremote("exec", command, console=board.console.path, timeout_s=1200).strip()


def test_every_official_ccm_vector_is_right_and_sealing_takes_so_long(installed, vectors, tmp_path, say):
    cases, count = blob(vectors)
    flash = tmp_path / "flash.bin"
    flash.write_bytes(installed.read_bytes() + cases)
    with Rp2040(flash) as board:
        us = int(run(board, f"import seal_timing; seal_timing.report({SEALS})").split()[2])
        say(f"RP2040: {us / SEALS / 1000:.2f} ms to seal a READING at 125 MHz")
        printed = run(board, f"import blob_vectors as v; v.report_at({BLOB_ADDRESS}, {len(cases)})")
    say(f"RP2040: {printed}")
    right, refused, wrong = judged(printed)
    assert (right + refused, wrong) == (count, 0)


@pytest.mark.parametrize("renews", [False, True])
def test_two_channels_stay_apart_and_every_turn_counts_once(installed, tmp_path, renews):
    flash = tmp_path / "flash.bin"
    flash.write_bytes(installed.read_bytes())
    with Rp2040(flash, {"0": {"volts": 0, "stuck": 1000}, "1": {"volts": 0, "stuck": 3000}}) as board:
        figures = run(board, f"import converting; converting.run({renews})").split()[1:]
    us, turns, mixed, lost, late, lost_later, first, second = map(int, figures)
    assert (mixed, lost) == (0, 0)
    assert abs(turns - 2000 * us // 1_000_000) <= 4
    # Asked a second late it says what it has and what it has not, and together that is the second.
    assert lost_later > 0
    assert abs(late + lost_later - 2000) <= 80
    assert (first, second) == (1000, 3000)
