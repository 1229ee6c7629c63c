"""A whole RP2040, emulated: flashed with mpremote, its ADC fed with a waveform, a real concentrator on its UART."""

import json
import re
from itertools import pairwise

import pytest
from console import Console
from loads import AMPERES, BOTH, CLAMP, FACTOR, INTERVAL_S, VOLTS, check_energy
from real_concentrator import Concentrator, no_conflict
from romfs import DEVICE, ROOT
from vector_blob import blob, judged

from scripts.firmware_package import build, compile_file
from scripts.hil.mpremote import mpremote
from scripts.hil.rp2040 import FLASH_BYTES, Rp2040, flash_image

pytestmark = pytest.mark.timeout(1800)

HEAP_BYTES = 65536  # all that the meter has: rp2_main.py takes the rest away before anything of it is loaded
BLOCK_BYTES = 16  # the unit of MicroPython's heap on this board
PATIENCE_S = 900
BLOB_ADDRESS = 0x10000000 + FLASH_BYTES  # behind the chip's two megabytes: the emulated one has room
SEALS = 20


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The firmware's files and the test's, compiled for the RP2040."""
    made = build(tmp_path_factory.mktemp("package") / "files", "armv6m")
    compile_file(DEVICE / "rp2_main.py", "rp2_main", made.parent / "rp2_main.mpy", "armv6m")
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


def install(board, package, concentrator, load, folder):
    """Put the firmware, the test's files, the settings and the keys on a board, and start it."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps(load.settings))
    mpremote("romfs", "deploy", str(package.parent), console=board.console.path)
    keys = (concentrator.provisioning, "meter.json")
    copy(board, (DEVICE / "main.py", "main.py"), (settings, "settings.json"), keys)
    mpremote("reset", console=board.console.path)
    board.await_start()


def test_a_flashed_meter_measures_reports_in_time_within_its_heap_and_survives_a_power_cut(
    flash, package, tmp_path, say
):
    line = tmp_path / "line"
    with Concentrator(tmp_path / "deployment", INTERVAL_S, serial=[line]) as concentrator:
        with Rp2040(flash, CLAMP.adc) as board:
            line.symlink_to(board.line.path)
            install(board, package, concentrator, CLAMP, tmp_path)
            with Console(board.console.path) as console:
                starts = concentrator.await_intervals(2, PATIENCE_S, console.sound)
            came = board.report()
            board.cut_power()
        line.unlink()
        check_first_run(console, starts, say)
        check_heap(console, say)
        check_energy(console.figures("turns"), CLAMP, say)
        say(
            f"RP2040: {came.emulated_s:.0f} s emulated in {came.wall_s:.0f} s, {came.flash_operations} flash operations"
        )
        with Rp2040(flash, CLAMP.adc) as board:
            line.symlink_to(board.line.path)
            with Console(board.console.path) as console:
                after = concentrator.await_intervals(len(starts) + 1, PATIENCE_S, console.sound)
        assert after[: len(starts)] == starts
        check_details(concentrator, CLAMP, starts[-1] + INTERVAL_S)


def test_two_channels_give_real_energy_that_the_concentrator_receives_as_measured(flash, package, tmp_path, say):
    line = tmp_path / "line"
    with Concentrator(tmp_path / "deployment", INTERVAL_S, serial=[line]) as concentrator:
        with Rp2040(flash, BOTH.adc) as board:
            line.symlink_to(board.line.path)
            install(board, package, concentrator, BOTH, tmp_path)
            with Console(board.console.path) as console:
                starts = concentrator.await_intervals(2, PATIENCE_S, console.sound)
        check_heap(console, say)
        check_energy(console.figures("turns"), BOTH, say)
        check_details(concentrator, BOTH, starts[-1] + INTERVAL_S)
        check_real(concentrator.details(), say)


def check_first_run(console, starts, say):
    assert starts[1] == starts[0] + INTERVAL_S
    (first,) = console.figures("first_reading_ms")
    ends_ms = (first["of"] + INTERVAL_S) * 1000
    assert first["of"] == -(-first["known_ms"] // (INTERVAL_S * 1000)) * INTERVAL_S
    assert 0 <= first["first_reading_ms"] - ends_ms < 2000
    say(f"RP2040: first READING {first['first_reading_ms'] - ends_ms} ms after the first interval's end")


def check_heap(console, say):
    heaps = console.figures("heap")
    parts = ", ".join(f"{each['heap']} with the {each['with']}" for each in heaps if "with" in each)
    say(f"RP2040: bytes of heap in use at the start: {parts}")
    peak = max(each["heap"] for each in heaps)
    say(f"RP2040: at most {peak} bytes of heap in use after a collection, of {HEAP_BYTES} that there are")
    (there,) = console.figures("bytes_of_heap")
    assert 0 < peak < there["bytes_of_heap"] <= HEAP_BYTES
    pieces = [int(found) * BLOCK_BYTES for found in re.findall(r"max free sz: (\d+)", "\n".join(console.lines))]
    say(f"RP2040: the largest free piece of the heap is never less than {min(pieces)} bytes")
    first, *_, last = console.figures("lost")
    say(
        f"RP2040: nothing else ran for {last['late']} ms at most; "
        f"{first['lost']} turns of the converter were lost at the start, {last['lost'] - first['lost']} later"
    )
    # While the code is loaded nobody takes what is converted; from then on nothing is lost.
    assert (last["lost"] - first["lost"], last["fault"]) == (0, None)


def check_real(details, say):
    """What the customer opens says volts, amperes and a power factor: a voltage was there, and the phase counted."""
    for each in details:
        assert abs(each.decivolts / 10 / VOLTS - 1) < 0.005
        assert abs(each.centiamperes / 100 / AMPERES - 1) < 0.005
        assert abs(each.power_factor / 1000 - FACTOR) < 0.005
    last = details[-1]
    say(f"RP2040: {last.decivolts / 10} V, {last.centiamperes / 100} A, power factor {last.power_factor / 1000}")


def check_details(concentrator, load, cut_s):
    """What came is what the ADC was fed with, and no register ever went back, over the power cut behind ``cut_s``."""
    assert no_conflict(concentrator.counts())
    details = concentrator.details()
    assert len(details) >= 2 and details[1].end <= cut_s
    expected_mwh = load.mwh_a_second * INTERVAL_S
    for detail in details:
        # A period ends with a block, which is up to 0.22 s, and one is looked for up to 0.2 s late. The one in which
        # the power came back holds what was measured since.
        assert detail.import_mwh <= 1.05 * expected_mwh
        assert detail.end > cut_s or detail.import_mwh >= 0.95 * expected_mwh
    # Measured, not estimated, but for the period before the time was known.
    assert all(detail.quality == load.quality for detail in details[1:] if detail.end <= cut_s)
    for before, behind in pairwise(details):
        more = behind.import_register - before.import_register - behind.import_mwh
        # What a start measures before its first period, or bridges, is in the registers alone.
        assert more == 0 or (behind.end > cut_s and 0 < more <= load.mwh_a_second)


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
