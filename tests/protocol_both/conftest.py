"""CPython runs the firmware's CCM with a stand-in for MicroPython's cryptolib."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "firmware" / "shim"))
