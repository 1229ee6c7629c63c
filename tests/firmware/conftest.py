"""CPython runs the firmware's files with a stand-in for MicroPython's cryptolib."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "shim")]
