"""Whether this machine's clock may be believed: a Raspberry Pi has no clock that runs while it is off.

A wrong clock would close loads that never change again, erase keys that meters still need, and tell a street's meters
a wrong time. Until the clock is trusted none of that happens; meters' frames are taken by the times that they carry.
"""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from .ledger import Ledger

log = structlog.get_logger()

SYSTEM = "system"
SYNCHRONISED = "synchronised"
TRUSTS = (SYSTEM, SYNCHRONISED)

# Made by systemd-timesyncd when it has set the clock since the last boot (systemd-timesyncd.service(8), FILES).
MARKER = Path("/run/systemd/timesync/synchronized")
STA_UNSYNC = 0x0040  # linux/timex.h
TIME_ERROR = 5
ASK_EVERY_S = 1.0
WAITED_FOR = "clock is waited for"  # a fact of the ledger, for those who look at it from outside


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), down to the field that is read; the rest is room that the kernel fills."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_long * 32),
    )


def kernel_says_synchronised() -> bool:
    """Ask the kernel, without changing anything (adjtimex(2), modes 0); False where it may not be asked."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False  # another system than Linux
    return 0 <= state < TIME_ERROR and not timex.status & STA_UNSYNC


def synchronised() -> bool:
    """Say whether NTP has set this machine's clock since it was switched on."""
    return kernel_says_synchronised() or os.path.exists(MARKER)


class ClockTrust:
    """Asks until the answer is yes, and then no more: a clock that was right once only drifts."""

    def __init__(
        self,
        asks: Callable[[], bool] = synchronised,
        machine_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asks = asks
        self._machine_s = machine_s
        self._given = False
        self._asked: float | None = None
        self._noted: bool | None = None

    def given(self) -> bool:
        """Say whether the clock is trusted; asks the machine at most once a second."""
        if not self._given:
            now = self._machine_s()
            if self._asked is None or now - self._asked >= ASK_EVERY_S:
                self._asked = now
                self._given = self._asks()
        return self._given

    def note(self, ledger: Ledger) -> None:
        """Say a change in the log and keep it for ``gateway status``; in the ledger's thread."""
        given = self.given()
        if given == self._noted:
            return
        if not given:
            log.warning(
                "the clock is not synchronised: frames are taken, nothing is closed or erased and meters get no time"
            )
        elif self._noted is not None:
            log.info("the clock is synchronised: what is due is closed now")
        if ledger.fact(WAITED_FOR, 0) != (not given):
            with ledger.transaction():
                ledger.set_fact(WAITED_FOR, int(not given))
        self._noted = given


def trust_of(setting: str) -> ClockTrust:
    """Return the trust of a configuration's ``clock_trust``."""
    return ClockTrust() if setting == SYNCHRONISED else ClockTrust(lambda: True)
