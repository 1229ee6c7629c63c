"""The key holder: from a request's bytes to an answer's bytes.

Order of one decision, in one transaction: the stored answer, if the identical request has one; the gate; one
decryption; what is spent, the log entry and the answer; commit. Only then does the answer leave. Killed before the
commit nothing has happened, killed after it the repeated request gets the same bytes.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from Crypto.PublicKey.ECC import EccKey
from Crypto.Random import get_random_bytes

from paillier import ciphertext
from paillier.decryption import Decryptor
from paillier.errors import PaillierError
from paillier.packing import ENERGY_SLOTS
from protocol.documents import canonical_json, to_base64url

from ..clock import Clock
from .gate import Gate, Permit, Refusal
from .log import sign_entry
from .log_file import LogFile
from .messages import (
    ASK_LATER,
    BAD_DOCUMENT,
    NOT_CLOSED,
    NOT_RELEASABLE,
    RELEASED,
    UNAVAILABLE,
    WRONG_KEY,
    Asked,
    AskedUnverified,
    Entry,
    Request,
    committed,
    parse_request,
)
from .state import State

OPENING_BYTES = 16

log = structlog.get_logger()


class KeyHolder:
    """Answers requests, one at a time. May be called from several threads."""

    def __init__(
        self,
        gate: Gate,
        keyring: Mapping[str, Decryptor],
        state: State,
        log_file: LogFile,
        log_key: EccKey,
        deployment: str,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._state = state
        self._log_file = log_file
        self._log_key = log_key
        self._deployment = deployment
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def answer(self, message: bytes) -> bytes:
        """Return the answer to one message; no message makes it raise."""
        request: Request | None
        try:
            request = parse_request(message)
            # One request has one name however its JSON was spaced.
            name = hashlib.sha256(canonical_json(request)).hexdigest()
        except (ValueError, UnicodeError):
            request, name = None, hashlib.sha256(message).hexdigest()
        with self._one_at_a_time:
            try:
                if request is not None and request.policy:
                    return self._policy()
                return self._decided(request, name)
            except sqlite3.Error as error:
                log.error("no decision: database failed", reason=type(error).__name__)
                return canonical_json({"status": UNAVAILABLE})

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

    def _decided(self, request: Request | None, name: str) -> bytes:
        with self._state.deciding():
            stored = self._state.stored_answer(name)
            if stored is not None:
                return stored
            now_ms = self._clock.now_ms()
            if now_ms is None:
                return canonical_json({"status": NOT_CLOSED})
            decision = self._decide(request, now_ms // 1000)
            if isinstance(decision, Refusal) and decision.reason in ASK_LATER:
                return canonical_json({"status": decision.reason})
            answer, status = self._commit(decision, name, now_ms // 1000)
        self._log_file.follow()
        log.info("decided", request=name, decision=status)
        return answer

    def _decide(self, request: Request | None, now: int) -> Permit | Refusal:
        if request is not None and request.load is not None:
            decision = self._gate.decide_load(request.load, self._state, now)
        elif request is not None and request.bill is not None:
            decision = self._gate.decide_bill(request.bill, self._state, now)
        else:
            return Refusal(BAD_DOCUMENT, AskedUnverified())
        if isinstance(decision, Permit) and decision.public_key.fingerprint not in self._keyring:
            return Refusal(WRONG_KEY, decision.asked)
        return decision

    def _commit(self, decision: Permit | Refusal, name: str, now: int) -> tuple[bytes, str]:
        told: dict[str, Any]
        if isinstance(decision, Permit):
            told = self._open(decision)
            self._spend(decision, name)
        else:
            told = {"status": decision.reason}
        before = self._state.head()
        told |= {"seq": before.seq + 1, "unsafe": list(self._gate.policy.unsafe)}
        opening = get_random_bytes(OPENING_BYTES)
        entry = self._entry(decision.asked, told, name, now, opening)
        document, head = sign_entry(self._log_key, self._deployment, entry)
        self._state.append(head, msgspec.json.encode(document).decode())
        answer = canonical_json(told | {"opening": to_base64url(opening)})
        self._state.keep_answer(name, answer)
        return answer, told["status"]

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

    def _spend(self, permit: Permit, name: str) -> None:
        if permit.interval_start is not None:
            self._state.spend_load(permit.neighbourhood, permit.interval_start, name)
        if permit.pseudonym is not None:
            self._state.spend_windows(permit.pseudonym, permit.windows, name)

    def _open(self, permit: Permit) -> dict[str, Any]:
        """Decrypt the one sum of a permit. Why it is impossible, where it is, never leaves."""
        try:
            total = ciphertext.product(permit.public_key, permit.ciphertexts)
            plaintext = self._keyring[permit.public_key.fingerprint].decrypt(total)
            import_mwh, export_mwh = ENERGY_SLOTS.unpack(plaintext)
        except PaillierError:
            return {"status": NOT_RELEASABLE}
        if max(import_mwh, export_mwh) > permit.most_mwh:
            return {"status": NOT_RELEASABLE}
        return {"status": RELEASED, "import_mwh": import_mwh, "export_mwh": export_mwh}
