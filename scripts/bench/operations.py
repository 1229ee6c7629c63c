"""What this repository's library enters: every operation and mode, each with a check by another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import paillier
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey
from paillier.private.packed_decryption import PackedDecryptor
from paillier.private.proving import Prover
from paillier.proofs import Claim, verify_decryption, verify_decryptions

from .rows import ONLY, OURS
from .timing import Contender, use_every_core

BATCH_OF_PROOF = 1_000
ONE_BY_ONE = "one-by-one"
CONTEXT = b"benchmark"
FAST_EXPONENT_BITS = 512
POOL_SIZE = 64
PACKED_SLOT_BITS = 48
PACKED_GUARD_BITS = 8
BILL_BOUND = 17_250 * 31 * 24 * 1000 + 1  # mWh: more than 17.25 kW (3 x 25 A) makes of a month
VALIDATED_TOGETHER = 100

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Table:
    """What a table costs."""

    mode: str
    bits: int
    window_bits: int
    exponent_bits: int
    entries: int
    memory_bytes: int
    build_seconds: float


class Ours:
    """Everything of one key that the contenders share: encryptors with their tables, a decryptor, a batch of sums."""

    def __init__(self, private_key: PrivateKey) -> None:
        key = private_key.public
        self.private_key = private_key
        self.key = key
        fast_bits = FAST_EXPONENT_BITS if key.bits > 2 * FAST_EXPONENT_BITS else None
        self.encryptors = {
            "strict": paillier.Encryptor(key, window_bits=paillier.WIDE_WINDOW_BITS),
            "strict-pi": paillier.Encryptor(key, window_bits=paillier.PI_WINDOW_BITS),
            "fast-512": paillier.Encryptor(key, window_bits=paillier.WIDE_WINDOW_BITS, exponent_bits=fast_bits),
            "no-table": paillier.Encryptor(key),
            "iso": paillier.Encryptor(key, mode="iso"),
        }
        self.strict = self.encryptors["strict"]
        self.decryptor = Decryptor(private_key)
        self._phe = private_key.to_phe()
        # A sum of two slots, as long as the ones that a key holder opens; shorter under a key for tests.
        self.below = 1 << min(paillier.ENERGY_SLOTS.slots * paillier.ENERGY_SLOTS.slot_bits, key.bits // 2 - 130)
        self.m1, self.m2 = self.below - 1_234_567, 7_654_321

    def opens_to(self, c: int, m: int) -> bool:
        """Say whether both this library and phe decrypt a ciphertext to a message."""
        return self.decryptor.decrypt(c) == m and bool(self._phe.raw_decrypt(c) == m)

    def tables(self) -> list[Table]:
        """Return what the tables of this key cost."""
        found = [(mode, encryptor.table) for mode, encryptor in self.encryptors.items()]
        return [
            Table(mode, self.key.bits, t.window_bits, t.exponent_bits, t.entries, t.memory_bytes, t.build_seconds)
            for mode, t in found
            if t is not None
        ]


# --- Encryption and sums ----------------------------------------------------------------------------------------


def of_encryption(ours: Ours) -> Iterator[Contender]:
    """Yield encryption in each mode, and what an accumulator costs: one reading, and one emission."""
    m = ours.m1
    for mode, encryptor in ours.encryptors.items():
        yield Contender("encrypt", mode, OURS, _bound(encryptor.encrypt, m), _fresh(ours, encryptor.encrypt, m))
    pool = paillier.RandomiserPool(ours.strict, POOL_SIZE)
    yield Contender(
        "encrypt",
        "pool",
        OURS,
        _bound(pool.encrypt, m),
        lambda: pool.fill(POOL_SIZE) == POOL_SIZE and _fresh(ours, pool.encrypt, m)() and pool.misses == 0,
        before=lambda _: pool.fill(POOL_SIZE),
        most_calls=POOL_SIZE,
    )
    folded = paillier.Accumulator(ours.strict)
    yield Contender("fold", ONLY, OURS, _bound(folded.fold, ours.m2), lambda: _folds(ours))
    kept = paillier.Accumulator(ours.strict)
    kept.fold(m)
    yield Contender("emit", ONLY, OURS, kept.emit, _fresh(ours, lambda _: kept.emit(), m))


def of_addition(ours: Ours) -> Iterator[Contender]:
    """Yield the sum of two ciphertexts."""
    key = ours.key
    c1, c2 = (ours.strict.encrypt(m) for m in (ours.m1, ours.m2))
    yield Contender(
        "add",
        ONLY,
        OURS,
        lambda: paillier.add(key, c1, c2),
        lambda: ours.opens_to(paillier.add(key, c1, c2), ours.m1 + ours.m2),
    )


def of_validation(ours: Ours) -> Iterator[Contender]:
    """Yield the check of a ciphertext that arrives: alone, and as one of many."""
    key = ours.key
    good = [ours.strict.encrypt(m) for m in range(VALIDATED_TOGETHER)]
    bad = [*good[:-1], good[-1] + key.n_squared]
    yield Contender(
        "validate",
        "single",
        OURS,
        lambda: paillier.validate(key, good[0]),
        lambda: (
            not _refuses(lambda: paillier.validate(key, good[0])) and _refuses(lambda: paillier.validate(key, bad[-1]))
        ),
    )
    yield Contender(
        "validate",
        f"{VALIDATED_TOGETHER} together",
        OURS,
        lambda: paillier.validate_many(key, good),
        lambda: (
            not _refuses(lambda: paillier.validate_many(key, good))
            and _refuses(lambda: paillier.validate_many(key, bad))
        ),
        values=VALIDATED_TOGETHER,
    )


# --- Decryption -------------------------------------------------------------------------------------------------


def of_decryption(ours: Ours) -> Iterator[Contender]:
    """Yield the decryption of one sum, and of packed values for each value."""
    decryptor, below, m = ours.decryptor, ours.below, ours.m1
    c = ours.strict.encrypt(m)

    def opens(decrypt: Callable[[int], int]) -> bool:
        messages = [0, 1, m, below - 1]  # the least, the greatest within the bound, and ordinary ones
        ciphertexts = [ours.strict.encrypt(message) for message in messages]
        return [decrypt(c) for c in ciphertexts] == messages and all(map(ours.opens_to, ciphertexts, messages))

    executor = ThreadPoolExecutor(2, initializer=use_every_core)
    ways: dict[str, Callable[[int], int]] = {
        "crt": decryptor.decrypt,
        "half-crt": lambda c: decryptor.decrypt(c, below=below),
        "two-threads": lambda c: decryptor.decrypt(c, executor=executor),
    }
    for mode, decrypt in ways.items():
        yield Contender(
            "decrypt",
            mode,
            OURS,
            _bound(decrypt, c),
            _bound(opens, decrypt),
            every_core=mode == "two-threads",
        )
    yield from _of_packed_values(ours)


def _of_packed_values(ours: Ours) -> Iterator[Contender]:
    slots = (ours.key.bits - 3) // PACKED_SLOT_BITS  # 63 at 3072 bits
    packing = paillier.Packing(slots, PACKED_SLOT_BITS, PACKED_GUARD_BITS)
    packing.check_fits(ours.key)
    values = [slot**2 + 1 for slot in range(slots)]
    packed = ours.strict.encrypt(packing.pack(values))
    decryptor = ours.decryptor
    yield Contender(
        "decrypt_packed_value",
        "encrypted-packed",
        OURS,
        lambda: packing.unpack(decryptor.decrypt(packed)),
        lambda: (
            list(packing.unpack(decryptor.decrypt(packed))) == values
            and ours.opens_to(packed, sum(value << slot * PACKED_SLOT_BITS for slot, value in enumerate(values)))
        ),
        values=slots,
    )
    # What a billing run opens: a month's import and export, each customer's in a ciphertext of its own. The time is
    # that of making packs of them and opening those.
    holder = PackedDecryptor.densest(decryptor, paillier.ENERGY_SLOTS, below=BILL_BOUND)
    bills = [paillier.ENERGY_SLOTS.pack((BILL_BOUND - 1 - i, i)) for i in range(holder.layout.plaintexts)]
    ciphertexts = [ours.strict.encrypt(m) for m in bills]
    yield Contender(
        "decrypt_packed_value",
        "packed-by-key-holder",
        OURS,
        lambda: holder.decrypt(ciphertexts),
        lambda: holder.decrypt(ciphertexts) == bills and all(map(ours.opens_to, ciphertexts[-2:], bills[-2:])),
        values=len(bills) * paillier.ENERGY_SLOTS.slots,
    )


# --- Proofs -----------------------------------------------------------------------------------------------------


class Claims:
    """A thousand sums and their ciphertexts, and the one root that proves them."""

    def __init__(self, ours: Ours) -> None:
        self.key = ours.key
        self.prover = Prover(ours.private_key)
        self.true = [Claim(ours.strict.encrypt(m), m) for m in range(1, BATCH_OF_PROOF + 1)]
        self.root = self.prover.prove(self.true, CONTEXT)
        middle = BATCH_OF_PROOF // 2
        self.one_wrong = [*self.true]
        self.one_wrong[middle] = Claim(self.true[middle].ciphertext, self.true[middle].message + 1)


def of_proving(claims: Claims) -> Iterator[Contender]:
    """Yield the proof of a thousand sums by one root."""
    yield Contender(
        "prove_1000",
        "batch",
        OURS,
        lambda: claims.prover.prove(claims.true, CONTEXT),
        lambda: _verifies(claims, claims.prover.prove(claims.true, CONTEXT)),
    )


def of_verifying(claims: Claims, one_by_one: int) -> Iterator[Contender]:
    """Yield the check of a thousand sums: by one root, and each by its own as measured on the first few of them."""
    key, root = claims.key, claims.root
    yield Contender(
        "verify_1000",
        "batch",
        OURS,
        lambda: verify_decryptions(key, claims.true, root, CONTEXT),
        lambda: _verifies(claims, root),
    )
    few = [(claim, claims.prover.root(claim)) for claim in claims.true[:one_by_one]]

    def verify_few() -> None:
        for claim, its_root in few:
            verify_decryption(key, claim, its_root, CONTEXT)

    yield Contender(
        "verify_1000",
        ONE_BY_ONE,
        OURS,
        verify_few,
        lambda: (
            not _refuses(verify_few)
            and _refuses(lambda: verify_decryption(key, claims.one_wrong[BATCH_OF_PROOF // 2], few[0][1], CONTEXT))
        ),
        values=one_by_one / BATCH_OF_PROOF,
    )


# --- Checks -----------------------------------------------------------------------------------------------------


def _bound(function: Callable[[T], R], argument: T) -> Callable[[], R]:
    return lambda: function(argument)


def _fresh(ours: Ours, encrypt: Callable[[int], int], m: int) -> Callable[[], bool]:
    """A check: two ciphertexts of one message open to it and differ, in their randomisers too."""

    def check() -> bool:
        c1, c2 = encrypt(m), encrypt(m)
        return ours.opens_to(c1, m) and ours.opens_to(c2, m) and (c1 - c2) % ours.key.n != 0

    return check


def _folds(ours: Ours) -> bool:
    accumulator = paillier.Accumulator(ours.strict)
    for m in (ours.m1, ours.m2, 0, 1):
        accumulator.fold(m)
    emitted = accumulator.emit(), accumulator.emit()
    return emitted[0] != emitted[1] and all(ours.opens_to(c, ours.m1 + ours.m2 + 1) for c in emitted)


def _verifies(claims: Claims, root: int) -> bool:
    """Say whether a root proves the true claims and does not prove them with one wrong sum among them."""
    verify_decryptions(claims.key, claims.true, root, CONTEXT)
    return _refuses(lambda: verify_decryptions(claims.key, claims.one_wrong, root, CONTEXT))


def _refuses(call: Callable[[], object]) -> bool:
    with suppress(paillier.PaillierError):
        call()
        return False
    return True
