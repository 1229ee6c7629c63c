"""MicroPython's unix port with a heap like an ESP32's, and a real concentrator."""

import contextlib
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from cable import Cable
from real_concentrator import Concentrator, copy_provisioning, no_conflict

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
HEAP = "160k"  # an ESP32 has about 160 kB behind its boot; objects of this 64-bit machine are twice as large
INTERVAL_S = 2
SEALS = 500


@contextlib.contextmanager
def meter(folder, carrier, address, heap=HEAP):
    """Run a meter; yields its process, whose output is folder/meter.log."""
    with (folder / "meter.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(MICROPYTHON, "-X", f"heapsize={heap}", "tests/hil/device/unix_meter.py"),
                *(str(folder), carrier, str(address), str(INTERVAL_S)),
            ],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def check(concentrator, starts):
    """The intervals follow each other without a gap, and hold what was measured."""
    assert starts == list(range(starts[0], starts[0] + len(starts) * INTERVAL_S, INTERVAL_S))
    assert no_conflict(concentrator.counts())
    assert {detail.import_mwh for detail in concentrator.details()} == {1000 * INTERVAL_S}


def most_heap(folder):
    return max(int(found) for found in re.findall(r"heap in use: (\d+)", (folder / "meter.log").read_text()))


def test_a_meter_with_an_esp32s_heap_reports_over_tcp_and_after_a_kill(tmp_path, say):
    with Concentrator(tmp_path / "deployment", INTERVAL_S) as concentrator:
        copy_provisioning(concentrator, tmp_path / "meter.json")
        with meter(tmp_path, "tcp", concentrator.port) as process:
            concentrator.await_intervals(3, 90, lambda: process.poll() is None)
        with meter(tmp_path, "tcp", concentrator.port) as process:
            starts = concentrator.await_intervals(6, 90, lambda: process.poll() is None)
        assert concentrator.counts()["stored"] >= 12
        assert no_conflict(concentrator.counts())
        assert {detail.import_mwh for detail in concentrator.details()} == {1000 * INTERVAL_S}
        assert all(later > earlier for earlier, later in pairwise(starts))
    say(f"unix port: {most_heap(tmp_path)} bytes of a heap of {HEAP} in use, code compiled on it included")


def test_a_meter_with_an_esp32s_heap_reports_over_a_serial_line(tmp_path):
    ends = [tmp_path / "gateway-end", tmp_path / "meter-end"]
    with (
        Cable(*ends),
        Concentrator(tmp_path / "deployment", INTERVAL_S, serial=[ends[0]]) as concentrator,
    ):
        copy_provisioning(concentrator, tmp_path / "meter.json")
        with meter(tmp_path, "serial", ends[1]) as process:
            check(concentrator, concentrator.await_intervals(4, 90, lambda: process.poll() is None))


def test_a_heap_that_is_too_small_is_seen(tmp_path):
    copy_provisioning(Concentrator(tmp_path / "deployment", INTERVAL_S), tmp_path / "meter.json")
    with meter(tmp_path, "tcp", 9, heap="64k") as process:
        assert process.wait(120) != 0
    assert "MemoryError" in (tmp_path / "meter.log").read_text()


def test_sealing_a_reading_takes_so_many_milliseconds(say):
    command = f"import sys; sys.path[:0] = ['.', 'tests/hil/device']; import seal_timing; seal_timing.report({SEALS})"
    done = subprocess.run([MICROPYTHON, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    us = int(done.stdout.split()[2])
    say(f"unix port: {us / SEALS / 1000:.3f} ms to seal a READING")
    assert us > 0
