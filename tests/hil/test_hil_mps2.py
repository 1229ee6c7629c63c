"""MicroPython's qemu port on a Cortex-M3 (mps2-an385): a meter over its second UART, and what sealing costs."""

import os
import re

import pytest
import romfs
from real_concentrator import Concentrator, no_conflict
from vector_blob import blob, judged

from scripts.hil.mpremote import mpremote
from scripts.hil.mps2 import BLOB_ADDRESS, ROMFS_ADDRESS, TICK_NS, Mps2

INTERVAL_S = 2
SEALS = 50


@pytest.fixture
def board(hil, tmp_path):
    """Start a board with these files in its memory; ended with the test."""
    running = []

    def start(files, memory=None, icount_shift=None):
        tests = {path.name: path for path in (romfs.DEVICE / "seal_timing.py", romfs.DEVICE / "blob_vectors.py")}
        tests["vectors.py"] = romfs.ROOT / "tests" / "micropython" / "vectors.py"
        image = romfs.build(tmp_path, {**tests, **files})
        running.append(Mps2(hil.mps2, tmp_path, {ROMFS_ADDRESS: image, **(memory or {})}, icount_shift))
        mpremote("exec", romfs.mount(ROMFS_ADDRESS, image), console=running[-1].console)
        return running[-1]

    yield start
    for each in running:
        each.stop()


def test_a_meter_reports_over_the_second_uart_to_a_real_concentrator(board, tmp_path, say):
    port = tmp_path / "line"
    with Concentrator(tmp_path / "deployment", INTERVAL_S, serial=[port]) as concentrator:
        pool = tmp_path / "pool.bin"
        pool.write_bytes(os.urandom(16384))
        names = ("mps2.py", "mps2_meter.py")
        files = {name: romfs.DEVICE / name for name in names}
        started = board({**files, "pool.bin": pool, "meter.json": concentrator.provisioning})
        port.symlink_to(started.line)
        live = f"import mps2_meter; mps2_meter.live({INTERVAL_S})"
        mpremote("resume", "exec", "--no-follow", live, console=started.console)
        starts = concentrator.await_intervals(4, 120, started.lives)
        counts = concentrator.counts()
        assert starts == list(range(starts[0], starts[0] + len(starts) * INTERVAL_S, INTERVAL_S))
        assert no_conflict(counts)
        assert {detail.import_mwh for detail in concentrator.details()} == {1000 * INTERVAL_S}
    say(f"mps2-an385: {counts['stored']} frames stored by the concentrator, {counts.get('duplicate', 0)} sent twice")


def instructions(board, shift):
    """Return how many instructions a READING takes to be sealed, counted by QEMU."""
    started = board({}, icount_shift=shift)
    command = f"import seal_timing; seal_timing.report({SEALS})"
    printed = mpremote("resume", "exec", command, console=started.console)
    ticks = int(re.fullmatch(r"sealed \d+ \d+ (\d+)\s*", printed)[1])
    return ticks * TICK_NS / 2**shift / SEALS


def test_sealing_a_reading_is_counted_in_instructions(board, say):
    counted = instructions(board, 0)
    say(f"mps2-an385: {counted:.0f} instructions to seal a READING")
    # Virtual time is nothing but instructions: told to pass four times as fast it gives the same count.
    assert instructions(board, 2) == pytest.approx(counted, rel=0.01)


def test_sealing_a_reading_takes_so_many_milliseconds(board, say):
    started = board({})
    command = f"import seal_timing; seal_timing.report({SEALS})"
    us = int(mpremote("resume", "exec", command, console=started.console).split()[2])
    say(f"mps2-an385: {us / SEALS / 1000:.3f} ms to seal a READING, as fast as this host emulates")
    assert us > 0


def test_every_official_ccm_vector_is_right(board, vectors, tmp_path, say):
    cases, count = blob(vectors)
    file = tmp_path / "cases.bin"
    file.write_bytes(cases)
    started = board({}, {BLOB_ADDRESS: file})

    def run(ccm):
        command = f"import blob_vectors as v; v.report_at({BLOB_ADDRESS}, {len(cases)}, v.{ccm})"
        return mpremote("resume", "exec", command, console=started.console).strip()

    printed = run("Ccm")
    say(f"mps2-an385: {printed}")
    right, refused, wrong = judged(printed)
    assert (right + refused, wrong) == (count, 0)
    assert judged(run("Blunt"))[2] > 0  # a planted bug is seen
