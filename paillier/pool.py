"""Randomisers made in idle time, so that encrypting a reading takes microseconds when it arrives.

**What a thief of the pool gets.** A randomiser is a key for one use: whoever has it reads the one ciphertext that
it blinds. A stolen pool therefore decrypts the ciphertexts that it *will* blind, `most` of them, and none that it
has blinded before. So a pool lives in memory only, is small, and cannot be pickled, copied or shown.

**What reuse would give away.** Two ciphertexts under one randomiser differ by 1 + (m1 - m2) n, from which anyone
takes the difference by one division. So each randomiser leaves the pool once, in whatever thread; and a forked
child, which would otherwise hand out the same ones as its parent, starts with an empty pool. Python's own forks
do that. A machine that is snapshotted and resumed twice is beyond what a program can see: do not do it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from operator import index
from typing import NoReturn

from gmpy2 import mpz

from . import ciphertext
from .encryption import Encryptor
from .errors import PlaintextOutOfRange
from .keys import PublicKey


class RandomiserPool:
    """Encrypts as its Encryptor does, with randomisers that `fill` drew ahead: about 5 us each at 3072 bits.

    `most` is how many it holds at most, 1 KiB or less each. With none left it draws on the spot, at the
    encryptor's own pace, and counts a miss. Threads may share it. Raises ValueError unless `most` is positive.
    """

    __slots__ = ("__encryptor", "__lock", "__misses", "__most", "__waiting", "__weakref__")

    def __init__(self, encryptor: Encryptor, most: int = 256) -> None:
        most = index(most)
        if most < 1:
            raise ValueError("a pool holds at least one randomiser")
        self.__encryptor = encryptor
        self.__most = most
        self.__waiting: deque[mpz] = deque()
        self.__misses = 0
        self.__lock = threading.Lock()
        _pools.add(self)

    @property
    def public_key(self) -> PublicKey:
        """The key that this encrypts under."""
        return self.__encryptor.public_key

    @property
    def most(self) -> int:
        """How many randomisers it holds at most."""
        return self.__most

    @property
    def misses(self) -> int:
        """How many randomisers were wanted when none was left."""
        return self.__misses

    def __len__(self) -> int:
        return len(self.__waiting)

    def fill(self, number: int = 1) -> int:
        """Draw up to `number` randomisers, to `most` in all, and return how many were added."""
        added = 0
        while added < number and len(self.__waiting) < self.__most:
            drawn = self.__encryptor.draw()
            with self.__lock:  # another thread may have filled it meanwhile
                if len(self.__waiting) >= self.__most:
                    break
                self.__waiting.append(drawn)
            added += 1
        return added

    def encrypt(self, m: int) -> int:
        """Return a fresh ciphertext of m; 0 <= m < n. Raises PlaintextOutOfRange."""
        m = index(m)
        key = self.__encryptor.public_key
        if not 0 <= m < key.n:  # before a randomiser is spent
            raise PlaintextOutOfRange("the message is not in the range 0 <= m < n")
        n, n_squared = key.n_mpz, key.n_squared_mpz
        s = self.draw()
        # s (1 + m n) = s + (s m mod n) n mod n^2, where m is short as a rule
        c = s + s % n * m % n * n
        return int(c if c < n_squared else c - n_squared)

    def rerandomise(self, c: int) -> int:
        """Return another ciphertext of the same message, as `Encryptor.rerandomise` does."""
        ciphertext.require_unit(self.__encryptor.public_key, c)
        return ciphertext.add(self.__encryptor.public_key, c, self.draw())

    def randomiser(self) -> int:
        """Return a randomiser that was never handed out before, itself an encryption of 0.

        It decrypts what it blinds: keep it in memory only, use it once, never log it.
        """
        return int(self.draw())

    def draw(self) -> mpz:
        """Return `randomiser` in GMP's form, for this library's own arithmetic."""
        try:
            return self.__waiting.popleft()  # one step, which no other thread can come between
        except IndexError:
            with self.__lock:
                self.__misses += 1
            return self.__encryptor.draw()

    def __repr__(self) -> str:
        return f"<RandomiserPool of {self.__encryptor.public_key!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a pool of randomisers is not pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a pool of randomisers is not pickled or copied")

    def _start_anew(self) -> None:
        """Forget the parent's randomisers, and its lock, which a thread left behind may hold."""
        self.__waiting = deque()
        self.__misses = 0
        self.__lock = threading.Lock()


_pools: weakref.WeakSet[RandomiserPool] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for pool in list(_pools):
        pool._start_anew()


os.register_at_fork(after_in_child=_start_anew_in_child)
