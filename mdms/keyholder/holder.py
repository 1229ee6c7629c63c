"""The key holder: from a request's bytes to an answer's bytes.

Order of one decision, in one transaction: the stored answer, if the identical item has one; the gate; what is
spent; one decryption; the proof; the log entry and the answer; commit. Only then does the answer leave. Killed before
the commit nothing has happened, killed after it the repeated item gets the same bytes.

Items that are asked for together are decided one after the other in that one transaction, each as if it were alone:
its name, its answer and its log entry are its own. They only share the proof's release batch.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import msgspec
import structlog
from Crypto.PublicKey.ECC import EccKey
from Crypto.Random import get_random_bytes

from paillier.errors import DecryptionFailed, PaillierError
from protocol.documents import Document, canonical_json, document_id, to_base64url
from protocol.releases import PROOF_LABEL, RELEASE_BATCH, ReleaseBatch, sign_batch

from ..clock import Clock
from .batches import Opened, prove, together
from .gate import Gate, Permit, Refusal
from .keyring import HeldKey
from .log import sign_entry
from .log_file import LogFile
from .messages import (
    ASK_LATER,
    BAD_DOCUMENT,
    NOT_CLOSED,
    NOT_RELEASABLE,
    UNAVAILABLE,
    WRONG_KEY,
    Asked,
    AskedUnverified,
    Entry,
    Item,
    Request,
    committed,
    joined_answers,
    parse_request,
)
from .opening import may_be_packed, open_sums
from .state import State
from .telling import Proof, told_of
from .verifying import NONE_PROVEN, Proven, Verifier, cores

OPENING_BYTES = 16

log = structlog.get_logger()


class KeyHolder:
    """Answers requests, one at a time. May be called from several threads."""

    def __init__(
        self,
        gate: Gate,
        keyring: Mapping[str, HeldKey],
        state: State,
        log_file: LogFile,
        log_key: EccKey,
        deployment: str,
        clock: Clock,
        verifier: Verifier | None = None,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._state = state
        self._log_file = log_file
        self._log_key = log_key
        self._deployment = deployment
        self._clock = clock
        self._verifier = verifier
        # Roots are worked out beside each other: gmpy2 lets go of Python's lock meanwhile.
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="root")
        self._one_at_a_time = threading.Lock()

    def answer(self, message: bytes) -> bytes:
        """Return the answer to one message; no message makes it raise."""
        request: Request | None
        try:
            request = parse_request(message)
            # Half a surrogate pair parses, and cannot be written again.
            named = [(item.name(), item) for item in _items(request)]
            items = dict(named)
            names = [name for name, _ in named]
        except (ValueError, UnicodeError):
            request = None
            names = [hashlib.sha256(message).hexdigest()]
            items = {}
        # Before the lock: the next request's signatures are verified while this one's sums are opened.
        proven = self._proven(request)
        with self._one_at_a_time:
            try:
                if request is not None and request.policy:
                    return self._policy()
                if request is not None and request.release is not None:
                    return self._release(request.release)
                answers = self._decided({name: items.get(name) for name in names}, proven)
            except sqlite3.Error as error:
                log.error("no decision: database failed", reason=type(error).__name__)
                return canonical_json({"status": UNAVAILABLE})
            except PaillierError as error:
                # The arithmetic contradicted itself: a fault of this machine, whose results must not leave it.
                log.error("no decision: decryption or proof failed", reason=type(error).__name__)
                return canonical_json({"status": UNAVAILABLE})
        if request is not None and request.items is not None:
            return joined_answers([answers[name] for name in names])
        return answers[names[0]]

    def _proven(self, request: Request | None) -> Proven:
        if request is None or self._verifier is None:
            return NONE_PROVEN
        return self._verifier.proven([document for item in _items(request) for document in _documents(item)])

    def _policy(self) -> bytes:
        policy, head = self._gate.policy, self._state.head()
        return canonical_json(
            {
                "status": "policy",
                "k": policy.min_contributors,
                "period": str(policy.periods),
                "unsafe": list(policy.unsafe),
                "head": {"seq": head.seq, "hash": head.hash},
            }
        )

    def _release(self, name: str) -> bytes:
        document = self._state.release_batch(name)
        if document is None:
            return canonical_json({"status": "unknown_release"})
        return canonical_json({"status": "release", "release": msgspec.Raw(document)})

    def _decided(self, items: Mapping[str, Item | None], proven: Proven) -> dict[str, bytes]:
        """Return the answers to items, and to what is no request (None), by their names."""
        answers: dict[str, bytes] = {}
        decisions: dict[str, Permit | Refusal] = {}
        with self._state.deciding():
            now_ms = self._clock.now_ms()
            for name, item in items.items():
                stored = self._state.stored_answer(name)
                if stored is not None:
                    answers[name] = stored
                    continue
                if now_ms is None:
                    answers[name] = canonical_json({"status": NOT_CLOSED})
                    continue
                decision = self._decide(item, now_ms // 1000, proven)
                if isinstance(decision, Refusal) and decision.reason == NOT_CLOSED:
                    answers[name] = canonical_json({"status": decision.reason})
                    continue
                if isinstance(decision, Refusal) and (noted := self._state.noted_answer(name, decision.reason)):
                    answers[name] = noted
                    continue
                # Spent at once and whatever comes out, so that the next item finds it spent.
                self._spend(decision, name)
                decisions[name] = decision
            told = self._tell(decisions)
            for name, decision in decisions.items():
                assert now_ms is not None, "nothing is decided without a clock"
                answers[name] = self._commit(decision.asked, told[name], name, now_ms // 1000)
        if decisions:
            self._log_file.follow()
        for name in decisions:
            log.info("decided", request=name, decision=told[name]["status"])
        return answers

    def _decide(self, item: Item | None, now: int, proven: Proven) -> Permit | Refusal:
        if item is not None and item.load is not None:
            decision = self._gate.decide_load(item.load, self._state, now, proven)
        elif item is not None and item.bill is not None:
            decision = self._gate.decide_bill(item.bill, self._state, now, proven)
        else:
            return Refusal(BAD_DOCUMENT, AskedUnverified())
        if isinstance(decision, Permit) and any(
            part.public_key.fingerprint not in self._keyring for part in decision.parts
        ):
            return Refusal(WRONG_KEY, decision.asked)
        return decision

    def _spend(self, decision: Permit | Refusal, name: str) -> None:
        if isinstance(decision, Permit) and decision.interval_start is not None:
            self._state.spend_load(decision.neighbourhood, decision.interval_start, name)
        if decision.pseudonym is not None:
            self._state.spend_windows(decision.pseudonym, decision.windows, name)

    # --- What an answer tells -------------------------------------------------------------------------------------

    def _tell(self, decisions: Mapping[str, Permit | Refusal]) -> dict[str, dict[str, Any]]:
        """Open what is permitted and prove it. Raises PaillierError for a fault of the machine."""
        permits = {name: decision for name, decision in decisions.items() if isinstance(decision, Permit)}
        told: dict[str, dict[str, Any]] = {
            name: {"status": decision.reason} for name, decision in decisions.items() if isinstance(decision, Refusal)
        }
        told |= {name: {"status": NOT_RELEASABLE} for name in permits}
        opened, proved = self._opened_and_proved(permits)
        proofs = dict(proof for batch in proved for proof in self._keep(*batch))
        for name, several in groupby(opened, key=lambda one: one.name):
            told[name] = told_of([(one, proofs.get(one.number)) for one in several])
        return told

    def _opened_and_proved(
        self, permits: Mapping[str, Permit]
    ) -> tuple[list[Opened], list[tuple[list[Opened], ReleaseBatch]]]:
        try:
            return self._open_and_prove(permits, packed=True)
        except DecryptionFailed:
            if not may_be_packed(permits.values()):
                raise
            # Some sum ran into its neighbour's without a guard bit: whoever signed it did not mean well.
            log.error("alarm: sums that were opened together could not be proved; they are opened one by one")
            return self._open_and_prove(permits, packed=False)

    def _open_and_prove(
        self, permits: Mapping[str, Permit], *, packed: bool
    ) -> tuple[list[Opened], list[tuple[list[Opened], ReleaseBatch]]]:
        found = []
        sums = open_sums(permits, self._keyring, packed=packed)
        for opened in together(sums):
            key = self._keyring[opened[0].part.public_key.fingerprint]
            found.append((opened, prove(key.prover, self._deployment, self._gate.policy, opened, self._threads)))
        for one in sums:
            if not one.part.alone:
                # It stands in no batch, and what is told of it must be right all the same: the proof goes nowhere.
                self._keyring[one.part.public_key.fingerprint].prover.prove([one.claim], PROOF_LABEL)
        return sums, found

    def _keep(self, opened: Sequence[Opened], batch: ReleaseBatch) -> Iterator[tuple[int, Proof]]:
        """Keep the release batch of some sums; yield the number and the proof of each."""
        document = sign_batch(self._log_key, batch)
        name = document_id(RELEASE_BATCH, self._deployment, document.content_bytes())
        self._state.keep_release_batch(name, msgspec.json.encode(document))
        for item, proved in zip(opened, batch.items, strict=True):
            yield item.number, Proof(name, batch.paillier_key, proved.root)

    # --- The log and the memory -----------------------------------------------------------------------------------

    def _commit(self, asked: Asked, decision: dict[str, Any], name: str, now: int) -> bytes:
        before = self._state.head()
        told = decision | {"seq": before.seq + 1, "unsafe": list(self._gate.policy.unsafe)}
        opening = get_random_bytes(OPENING_BYTES)
        document, head = sign_entry(self._log_key, self._deployment, self._entry(asked, told, name, now, opening))
        self._state.append(head, msgspec.json.encode(document).decode())
        answer = canonical_json(told | {"opening": to_base64url(opening)})
        if decision["status"] in ASK_LATER:
            # Logged once, so that nobody tries windows out unseen; but not for good, for what is missing may come.
            self._state.note_answer(name, decision["status"], answer)
        else:
            self._state.keep_answer(name, answer)
        return answer

    def _entry(self, asked: Asked, told: dict[str, Any], name: str, now: int, opening: bytes) -> Entry:
        policy = self._gate.policy
        return Entry(
            seq=told["seq"],
            previous=self._state.head().hash,
            time=now,
            request=name,
            asked=asked,
            decision=told["status"],
            k=policy.min_contributors,
            unsafe=list(policy.unsafe),
            commitment=committed(told, opening),
        )


def _items(request: Request) -> list[Item]:
    if request.items is not None:
        return request.items
    return [] if request.policy or request.release is not None else [Item(request.load, request.bill)]


def _documents(item: Item) -> list[Document]:
    if item.bill is not None:
        return item.bill.windows
    return [item.load] if item.load is not None else []
