"""The emulated board's own parts: the tests of its flash chip and its waveforms, under node."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_flash_chip_and_the_waveforms_do_what_theirs_do(hil):
    command = ["node", "--test", "tests/hil/flash_chip.mjs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 6" in done.stdout, done.stdout
