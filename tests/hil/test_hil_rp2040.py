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


@pytest.fixture
def package(tmp_path):
    """The firmware's files and the test's, compiled for the RP2040."""
    made = build(tmp_path / "package", "armv6m")
    for name in ("clamp", "rp2_main"):
        compile_file(DEVICE / f"{name}.py", f"{name}.py", made.parent / f"{name}.mpy", "armv6m")
    return made


@pytest.fixture
def flash(hil, tmp_path):
    """A new chip with MicroPython on it."""
    file = tmp_path / "flash.bin"
    file.write_bytes(flash_image(hil.rp2040.read_bytes()))
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


def test_every_official_ccm_vector_is_right_and_sealing_takes_so_long(flash, package, vectors, say):
    cases, count = blob(vectors)
    with flash.open("r+b") as file:
        file.seek(FLASH_BYTES)
        file.write(cases)
    with Rp2040(flash) as board:
        mpremote("mip", "install", str(package), console=board.console.path, folder=ROOT)
        copy(
            board,
            (DEVICE / "blob_vectors.py", "blob_vectors.py"),
            (DEVICE / "seal_timing.py", "seal_timing.py"),
            (ROOT / "tests" / "micropython" / "vectors.py", "vectors.py"),
        )

        def run(command):
            return mpremote("exec", command, console=board.console.path, timeout_s=1200).strip()

        us = int(run(f"import seal_timing; seal_timing.report({SEALS})").split()[2])
        say(f"RP2040: {us / SEALS / 1000:.2f} ms to seal a READING at 125 MHz")
        printed = run(f"import blob_vectors as v; v.report_at({BLOB_ADDRESS}, {len(cases)})")
    say(f"RP2040: {printed}")
    right, refused, wrong = judged(printed)
    assert (right + refused, wrong) == (count, 0)
