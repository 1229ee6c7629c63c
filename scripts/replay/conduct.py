"""Runs a street from the file's first interval until everything is billed. The conductor owns domain time."""

from collections.abc import Callable

from protocol.windows import Span

from ..conductor import Conductor
from .plan import Plan

GRACE_S = 300  # the concentrator's default
HOUR_S = 3600
DAY_S = 86400
ACCEPTED_DELAY_S = 7 * DAY_S


class Conduct:
    """Passes time on. ``progressed`` is told after each step how many readings have been metered."""

    def __init__(self, conductor: Conductor, plan: Plan, progressed: Callable[[int, int], None]) -> None:
        self._conductor = conductor
        self._plan = plan
        self._progressed = progressed
        self._counts: dict[int, int] = {}
        for _, start in plan.readings.energies:
            self._counts[start] = self._counts.get(start, 0) + 1

    async def run(self, everything_decided: Callable[[], bool]) -> None:
        """Run the file, then on until every bill has its decision or can have none any more."""
        await self.boot()
        done = 0
        now = self._plan.readings.first()
        for start in sorted(self._counts):
            end = start + self._plan.interval_s
            while end - now > DAY_S:
                now += DAY_S
                await self.pass_until(now)
            await self.meter(end)
            now = end + GRACE_S
            done += self._counts[start]
            self._progressed(done, now)
        # The concentrator keeps sealed rows until their hour is over.
        now += HOUR_S - now % HOUR_S
        await self.pass_until(now)
        last = self._plan.period_at(self._plan.readings.last()).end
        limit = max(last, now) + ACCEPTED_DELAY_S + 2 * DAY_S
        # What waits now waits for the accepted delay or for its period's end.
        while not everything_decided() and now < limit:
            now += DAY_S
            await self.pass_until(now)
            self._progressed(done, now)

    async def boot(self) -> None:
        """Give every process its first time."""
        first = self._plan.readings.first()
        for role in ("keyholder", "gateway", "street"):
            await self._conductor.advance(role, first * 1000)

    async def meter(self, end: int) -> None:
        """Let an interval end: its readings are sealed, sent, committed, and each has its verdict."""
        await self._conductor.advance("gateway", end * 1000)
        await self._conductor.advance("street", end * 1000)
        # Every frame up to here has its verdict: only now may its load close.
        await self._close(end + GRACE_S)

    async def pass_until(self, now: int) -> None:
        """Let time pass in which nothing was measured: at most a day, for what is erased daily must see every day."""
        await self._conductor.advance("gateway", now * 1000)
        await self._conductor.advance("street", now * 1000)
        await self._close(now)

    async def _close(self, now: int) -> None:
        await self._conductor.advance("keyholder", now * 1000)
        # The gateway settles when everything closed has been accepted, the worker when it has been decided.
        await self._conductor.advance("gateway", now * 1000)
        await self._conductor.advance("worker", now * 1000)


def bills_due(plan: Plan) -> set[tuple[str, Span]]:
    """Return the (meter, period) of which the file holds energy."""
    return {(meter, plan.period_at(start)) for meter, start in plan.readings.energies}
