"""A sum that absorbs a message by one small product, and is let out only under a fresh randomiser.

Any ciphertext is a + b n with a, b < n, and c (1 + m n) = a + (b + a m mod n) n mod n^2. So once an accumulator
has a randomiser, adding m to it takes one product of a with the short m: about a microsecond, where a
ciphertext of its own takes a randomiser of its own.

**Why its state must not get out.** Folding changes b and leaves a. Whoever sees the state twice computes
c2 c1^-1 = 1 + m n mod n^2 and reads the sum m of what was folded in between by one division, without any key. One
state is an ordinary ciphertext, and safe. Therefore

- the state is let out at most once. `emit` multiplies it by a randomiser drawn for this one emission and then
  forgotten: what was emitted is as fresh as any ciphertext, unlinkable to the state and to every other emission.
  `close` lets out the state itself, under the randomiser that it was opened with, and ends the accumulator: one
  state is an ordinary ciphertext, and there is no second;
- a stored ciphertext is multiplied by a fresh randomiser when it is opened again, for it lies in storage;
- an accumulator has no copy, no pickle and no content in its repr.

**What memory shows.** One look at the memory gives one ciphertext. Two looks at the same accumulator, hours apart
(or a look at a forked child's and at its parent's, or a look and what `close` lets out), give the sum of what was
folded between them; that is the price of folding, besides the readings themselves that pass through the same
memory. Where it is too high, encrypt each reading by itself. A thief of the pool that feeds it can undo the
emissions that this pool will blind: two of them are two states. The bound on the sum is kept in coarse steps, so
that it counts messages and tells none.

A forked child may go on with its copy: what it emits is multiplied by randomisers of its own, since it draws from
the operating system and finds its pools empty; and `close` in another process than the one that opened it emits,
or the two would let out two states. Sums that both emit count what was folded before the fork twice.
"""

from __future__ import annotations

import os
import threading
from operator import index
from typing import NoReturn

from gmpy2 import mpz

from . import ciphertext
from .encryption import Encryptor
from .errors import PlaintextOutOfRange
from .keys import PublicKey
from .pool import RandomiserPool

BOUND_STEPS = 4  # messages are told apart by quarters of the length of n only


class Accumulator:
    """An open sum of messages 0 <= m < n, opened with a randomiser of `encryptor`.

    Holds 0, or the message of the stored ciphertext `c`; then `most` must say how large that message may be. It
    is validated and must not come from anywhere else: with a false `most` the sum can wrap around.

    It counts how large its sum may be and refuses to let it reach n, where it would begin again at 0. For this
    each message counts as the largest of its size: 2^L - 1 with L the next multiple of floor(|n| / 4), n - 1 at
    most. At 3072 bits 2^2304 messages of 768 bits have room, but next to one of full length no other has.

    Threads may share it. Raises TypeError if one of `c` and `most` is given without the other, BadCiphertext as
    `validate` does, and PlaintextOutOfRange unless 0 <= most < n. What is closed raises ValueError.
    """

    __slots__ = ("__a", "__b", "__encryptor", "__key", "__most", "__opened_by", "__terms")

    def __init__(self, encryptor: Encryptor | RandomiserPool, c: int | None = None, *, most: int | None = None) -> None:
        if (c is None) != (most is None):
            raise TypeError("a stored ciphertext comes with `most`, the largest sum that it may hold")
        key = encryptor.public_key
        most = 0 if most is None else index(most)
        if not 0 <= most < key.n:
            raise PlaintextOutOfRange("the largest sum is not in the range 0 <= most < n")
        if c is None:
            c = ciphertext.ONE
        else:
            ciphertext.validate(key, c)
        self.__key = key
        self.__encryptor = encryptor
        self.__b, self.__a = divmod(encryptor.draw() * index(c) % key.n_squared_mpz, key.n_mpz)
        self.__opened_by = os.getpid()
        self.__most = most
        self.__terms = 0

    @property
    def public_key(self) -> PublicKey:
        """The key of the sum."""
        return self.__key

    @property
    def terms(self) -> int:
        """How many messages were folded in since it was opened."""
        return self.__terms

    @property
    def most(self) -> int:
        """How large the sum may be: what to store beside an emission, for opening it again."""
        return self.__most

    def fold(self, m: int) -> None:
        """Add m to the sum; 0 <= m < n.

        Raises PlaintextOutOfRange for any other m and for a sum that might reach n; the sum is then as before.
        """
        m = index(m)
        key = self.__key
        if not 0 <= m < key.n:
            raise PlaintextOutOfRange("the message is not in the range 0 <= m < n")
        step = key.bits // BOUND_STEPS
        size = -(-m.bit_length() // step) or 1
        with _folding:
            self.__require_open()
            most = self.__most + min((1 << step * size) - 1, key.n - 1)
            if most >= key.n:
                raise PlaintextOutOfRange("the sum might reach n, where it would begin again at 0")
            self.__most = most
            self.__terms += 1
            self.__b = (self.__b + self.__a * m) % key.n_mpz

    def emit(self) -> int:
        """Return a ciphertext of the sum under a randomiser drawn for this emission; the sum stays open."""
        fresh = self.__encryptor.draw()
        with _folding:
            self.__require_open()
            state = self.__a + self.__b * self.__key.n_mpz
        return int(state * fresh % self.__key.n_squared_mpz)

    def close(self) -> int:
        """Return a ciphertext of the sum under the randomiser that it was opened with, and end.

        It draws no randomiser, so a sum that is opened and closed costs one; in a forked child it costs two.
        """
        if os.getpid() != self.__opened_by:
            closed = self.emit()
            with _folding:
                self.__a = self.__b = mpz(0)
            return closed
        with _folding:
            self.__require_open()
            state = self.__a + self.__b * self.__key.n_mpz
            self.__a = self.__b = mpz(0)
        return int(state)

    def __require_open(self) -> None:
        if not self.__a:  # no unit is 0 modulo n
            raise ValueError("the accumulator is closed: its sum was let out")

    def __repr__(self) -> str:
        return f"<Accumulator of {self.__key!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an accumulator is not pickled or copied: emit() its sum")

    def __getstate__(self) -> NoReturn:
        raise TypeError("an accumulator is not pickled or copied: emit() its sum")


# One lock for all: folding holds it for a microsecond, and Python runs one fold at a time anyway.
_folding = threading.RLock()
# Held across a fork, so that no child inherits a fold half done, or the lock of a thread that it does not have.
os.register_at_fork(before=_folding.acquire, after_in_parent=_folding.release, after_in_child=_folding.release)
