"""The daemon under a clock that does not wait for the MDMS: `python -m scripts.drain.impatient run --config FILE`.

A conducted clock settles when everything due is closed and uploaded, so with the MDMS away time would stand still.
Here it settles when everything due is closed. The rest is `python -m gateway`.
"""

from collections.abc import AsyncIterator

from gateway import __main__ as gateway
from gateway import serving
from gateway.clock import ConductedClock


class ImpatientClock(ConductedClock):
    """Says that a tick is settled when the daemon asks for the next one."""

    waits = False

    async def ticks(self) -> AsyncIterator[int]:
        """Yield the conductor's times."""
        async for now_ms in super().ticks():
            yield now_ms
            await self.settled(now_ms)


if __name__ == "__main__":
    setattr(serving, "ConductedClock", ImpatientClock)  # noqa: B010 - a class is replaced
    gateway.main()
