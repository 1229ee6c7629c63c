"""Carries closed reports to the MDMS until it has given its verdict on each; the MDMS knows a report again."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog

from protocol.documents import DocumentError, parse
from protocol.reports import FINAL, MAX_BATCH, Batch, BatchAnswer, ItemVerdict

from .operation import advice
from .outbox import Outbox, Waiting

log = structlog.get_logger()

PATH = "/api/v1/reports"
TIMEOUT_S = 30
MAX_ANSWER = 1 << 20
FAILED = "failed"
BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

InThread = Callable[..., Awaitable[Any]]


class UploadFailed(Exception):
    """Nothing was decided: the reports stay in the outbox and are sent again."""


def post(url: str, reports: list[Waiting]) -> list[ItemVerdict]:
    """Send a batch and return its verdicts; raises UploadFailed. Blocks for up to TIMEOUT_S at each step."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        body = msgspec.json.encode(Batch([report.document for report in reports]))
        connection.request("POST", parts.path.rstrip("/") + PATH, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read(MAX_ANSWER)
        if response.status != 200:
            raise UploadFailed(f"the MDMS answered {response.status}: {advice.answered(response.status)}")
        answer: BatchAnswer = parse(data, BatchAnswer)
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a host's name that is none
        raise UploadFailed(f"the MDMS cannot be reached: {advice.unreachable(error)}") from None
    except DocumentError:
        raise UploadFailed("the MDMS's answer cannot be read") from None
    finally:
        connection.close()
    if [verdict.id for verdict in answer.verdicts] != [report.id for report in reports]:
        raise UploadFailed("the MDMS's answer does not fit the reports")
    if any(verdict.verdict not in FINAL for verdict in answer.verdicts):
        raise UploadFailed("the MDMS's answer holds a verdict that is none")
    return answer.verdicts


class Uploader:
    """The task that empties the outbox. ``in_ledger`` and ``in_background`` run a call in the right thread."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        in_transaction: InThread,
        in_ledger: InThread,
        in_background: InThread,
        outcome: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """``outcome`` is told every verdict, and "failed" for an upload without any."""
        self._outcome = outcome
        self._url = url
        self._outbox = outbox
        self._in_transaction = in_transaction
        self._in_ledger = in_ledger
        self._in_background = in_background
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._drained.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Wait until everything that stood in the outbox has its verdict."""
        await self._drained.wait()

    async def run(self) -> None:
        """Send, oldest first, for as long as the daemon runs."""
        failures = 0
        while True:
            self._wake.clear()
            waiting: list[Waiting] = await self._in_ledger(self._outbox.waiting, MAX_BATCH)
            if not waiting:
                if not self._wake.is_set():
                    self._drained.set()
                await self._wake.wait()
                continue
            try:
                verdicts = await self._in_background(post, self._url, waiting)
            except UploadFailed as error:
                log.warning("upload failed; the reports are kept and sent again", reason=str(error))
                self._outcome(FAILED)
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            pairs = [(item.seq, verdict) for item, verdict in zip(waiting, verdicts, strict=True)]
            await self._in_transaction(self._outbox.decide, pairs, _alarm)
            for verdict in verdicts:
                self._outcome(verdict.verdict)


def _alarm(verdict: str, reason: str) -> None:
    log.error(
        "alarm: the MDMS did not take a report; it is kept",
        verdict=verdict,
        reason=reason,
        means=advice.not_taken(verdict, reason),
    )
