"""How time passes in the town: a detail period at a time, at a pace that a person can follow, and never late."""

import asyncio
import time

from ..conductor import Conductor
from .town import DAY_S, DETAIL_S

MILLI = 1000


class Conduct:
    """Passes domain time on. A slow machine makes the days longer; no reading is ever late for it."""

    def __init__(self, conductor: Conductor, day_takes_s: float) -> None:
        self._conductor = conductor
        self._step_takes_s = day_takes_s * DETAIL_S / DAY_S
        self._due = 0.0

    async def boot(self, now: int) -> None:
        """Give every process its first time (UTC seconds)."""
        for role in ("keyholder", "gateway", "street"):
            await self._conductor.advance(role, now * MILLI)

    async def step(self, now: int) -> None:
        """Let a detail period end at ``now``, and wait until all that is due has been sealed, sent and decided.

        The concentrator hears the time first: a load closes at its grace, when its last readings have their verdicts.
        """
        for role in ("keyholder", "gateway", "street", "gateway", "worker"):
            await self._conductor.advance(role, now * MILLI)
        self._due = max(self._due + self._step_takes_s, time.monotonic() - self._step_takes_s)
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))
