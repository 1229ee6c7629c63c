"""The live relay: fresh sealed rows sent on at once, as signed segments that nobody keeps.

Best effort. The rows stay in the ledger until their hour's segment has been accepted, so whatever happens here loses
nothing: an upload that fails is not repeated, and where the line is too slow the oldest rows are left to their hour.
"""

import asyncio
from collections.abc import Callable

import structlog

from protocol.reports import MAX_BATCH, DetailSegment

from .outbox import Outbox
from .uploader import BACK_OFF_S, FAILED, InThread, UploadFailed, post

log = structlog.get_logger()

LIVE_S = 0.5  # how long a fresh row waits at most before it is signed and sent
SENT = "sent"


class LiveRelay:
    """The task that sends fresh rows on. ``in_ledger`` and ``in_live`` run a call in the right thread."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        in_ledger: InThread,
        in_live: InThread,
        outcome: Callable[[str, int], None] = lambda outcome, rows: None,
    ) -> None:
        """``outcome`` is told "sent" or "failed" and of how many rows."""
        self._url = url
        self._outbox = outbox
        self._in_ledger = in_ledger
        self._in_live = in_live
        self._outcome = outcome
        self._failures = 0

    async def run(self) -> None:
        """Look for fresh rows and send them, for as long as the daemon runs."""
        while True:
            await asyncio.sleep(LIVE_S if not self._failures else BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1])
            while segments := await self._in_ledger(self._outbox.segments.fresh, MAX_BATCH):
                if not await self._send(segments):
                    break

    async def _send(self, segments: list[DetailSegment]) -> bool:
        rows = sum(len(segment.rows) for segment in segments)
        try:
            # Whatever the verdict is: the hour's segment gets the same one, and its alarm.
            await self._in_live(self._post, segments)
        except UploadFailed as error:
            if not self._failures:
                log.warning("the live relay failed; the rows are kept and go with their hour", reason=str(error))
            self._failures += 1
            self._outcome(FAILED, rows)
            return False
        self._failures = 0
        self._outcome(SENT, rows)
        return True

    def _post(self, segments: list[DetailSegment]) -> None:
        post(self._url, [self._outbox.transient(segment) for segment in segments])
