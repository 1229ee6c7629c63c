"""Signatures of a whole request, verified ahead of its decisions on every core.

A month of a thousand customers is 240,000 signatures: more work than everything else that a release takes. So they are
verified by processes of their own, which are started anew and hold no private key (a fork would carry it along).

What that may change: nothing. `Proven` holds the very documents that verified, compared in all of type, content,
signer and signature, under the key that this key holder's rosters name for that signer; it lives for one request. The
gate looks a document up in it and verifies by itself what is not there. So a worker that dies costs time and no answer,
and one that lies would have to be run by this process's own user, who could read the private key instead.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence, Set
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor

import structlog

from protocol.documents import Document, public_key_bytes

from ..rosters import RosterBook
from ..signatures import which_verify

CHUNK = 240  # a month of one customer's windows: what a worker is given at once

Proven = Set[Document]
NONE_PROVEN: Proven = frozenset()

log = structlog.get_logger()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def verifying_processes(workers: int) -> ProcessPoolExecutor:
    """Return so many processes for `Verifier`, to be shut down by whoever asked."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_leave_signals_to_parent)


def _leave_signals_to_parent() -> None:
    # The key holder finishes the answer under way and then ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Verifier:
    """Verifies many documents at once. May be called from several threads."""

    def __init__(self, book: RosterBook, deployment: str, executor: Executor | None = None) -> None:
        self._book = book
        self._deployment = deployment
        self._executor = executor

    def proven(self, documents: Sequence[Document]) -> Proven:
        """Return the documents that a rostered concentrator signed; fewer where there is nobody to verify ahead."""
        if self._executor is None or len(documents) <= CHUNK:
            return NONE_PROVEN
        chunks = [documents[at : at + CHUNK] for at in range(0, len(documents), CHUNK)]
        try:
            tasks = [
                self._executor.submit(which_verify, self._deployment, self._keys(chunk), chunk) for chunk in chunks
            ]
            verdicts = [verdict for task in tasks for verdict in task.result()]
        except BrokenExecutor:
            log.error("a verifying process ended: signatures are verified one by one until the key holder is restarted")
            self._executor = None
            return NONE_PROVEN
        return frozenset(document for document, good in zip(documents, verdicts, strict=True) if good)

    def _keys(self, documents: Sequence[Document]) -> dict[str, bytes]:
        signers = {document.signer for document in documents}
        return {signer: public_key_bytes(key) for signer in signers if (key := self._book.signer(signer)) is not None}
