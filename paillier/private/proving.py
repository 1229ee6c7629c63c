"""Making the proofs that `paillier.proofs` verifies: what only the holder of the factors can do.

Both kinds need n-th roots modulo n: x^(1/n mod p - 1) modulo p, the same modulo q, joined by Chinese
remainders. **Rule 1: no root leaves unverified.** A computing fault in one half gives a root that is right
modulo one prime and wrong modulo the other, and gcd(root^n - x, n) is then a factor of n: one published
fault would open every ciphertext (Boneh, DeMillo, Lipton, EUROCRYPT 1997). **Rule 2: only one's own sums.** A
prover takes n-th roots of whatever it is handed; as a service for foreign ciphertexts it would open each of
them. What may be proved is decided by whoever calls it, as with a decryptor.

**Many roots are verified together**: with weights e_j of 128 bits that the operating system draws when the roots are
there, (product of root_j^e_j)^n must be the product of all x_j^e_j (Bellare, Garay, Rabin, EUROCRYPT 1998, the small
exponents test). One exponentiation by n serves all of them. With u_j = root_j / (the true root), the test asks that
the product of u_j^(n e_j) is 1, modulo p and modulo q. Raising to n is a bijection, so nothing but the u_j counts; and
whatever the other weights are, a u_j of order d leaves one e_j in d: 2^-128 for an order of 2^128 or more. What is left
are errors of a smaller order (Boyd, Pavlovski, ASIACRYPT 2000). There are fewer than 2^256 of those among the 2^1536
elements modulo a prime, and the arithmetic knows one: -1, a lost sign. So the **Jacobi symbols** are compared as well,
root by root: with p = q = 3 mod 4 a sign that is lost modulo one prime turns the symbol of n, for n is odd and a root
has the symbol of its power. Where a sign is lost modulo both, root^n = -x modulo n, from which no gcd gives a factor;
the weights then find it for an odd e_j, and whoever reads the proof does. A key whose primes are others, made
elsewhere, has its roots verified one by one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NoReturn

import gmpy2
from gmpy2 import mpz

from .. import proofs
from ..errors import BadProof, DecryptionFailed
from ..keys import PublicKey
from ..proofs import SOUNDNESS_BITS, Claim, KeyProof
from .decryption import require_threads, without_lock
from .key import PrivateKey


class Prover:
    """Proves a key's form, and what ciphertexts under it decrypt to. Cannot be pickled.

    As in a decryptor, the exponentiations by secrets are those of `powmod_sec`, and the few divisions and
    products around them are ordinary GMP: do not offer proofs of chosen ciphertexts to whoever can time them.
    """

    __slots__ = ("_p", "_p_exponent", "_p_inverse", "_public_key", "_q", "_q_exponent")

    def __init__(self, private_key: PrivateKey) -> None:
        n = private_key.public.n_mpz
        self._public_key = private_key.public
        self._p, self._q = mpz(private_key.p), mpz(private_key.q)
        # They exist, for a private key has gcd(n, (p - 1)(q - 1)) = 1.
        self._p_exponent = gmpy2.invert(n, self._p - 1)
        self._q_exponent = gmpy2.invert(n, self._q - 1)
        self._p_inverse = gmpy2.invert(self._p, self._q)

    @property
    def public_key(self) -> PublicKey:
        """The key that proofs are about."""
        return self._public_key

    def prove_key(self, context: bytes) -> KeyProof:
        """Return the proof that gcd(n, phi(n)) = 1, bound to `context`; about 85 ms at 3072 bits.

        Raises DecryptionFailed for a fault of the machine.
        """
        challenges = proofs.key_challenges(self._public_key, context)
        return KeyProof(tuple(self._checked_root(challenge) for challenge in challenges))

    def root(self, claim: Claim) -> int:
        """Return the root that proves one claim, for `verify_decryption`; about 11 ms at 3072 bits.

        It is that of c modulo n, in which the message has no part. So it is checked against faults, but a
        false claim is not noticed here: its root proves the true message and fails the verifier.
        Raises BadProof for a claim outside its ranges, DecryptionFailed for a fault of the machine.
        """
        ((c, _),) = proofs.check_claims(self._public_key, (claim,))
        return self._checked_root(c % self._public_key.n_mpz)

    def roots(self, claims: Sequence[Claim], *, executor: Executor | None = None) -> list[int]:
        """Return what `root` returns for each claim, in their order; about 3 ms each at 3072 bits.

        They are verified together, as the top of this file says. executor: a ThreadPoolExecutor, whose threads work
        roots out at the same time.
        Raises BadProof for no claims or one outside its ranges, DecryptionFailed for a fault of the machine, TypeError
        for an executor without threads.
        """
        require_threads(executor)
        n = self._public_key.n_mpz
        powers = [c % n for c, _ in proofs.check_claims(self._public_key, claims)]
        find = self._root if self._signs_show else self._checked_root
        if executor is None:
            roots = [find(x) for x in powers]
        else:
            roots = list(executor.map(partial(without_lock, find), powers))
        if self._signs_show:
            self._check_roots(roots, powers)
        return roots

    def prove(self, claims: Sequence[Claim], context: bytes) -> int:
        """Return the one root that proves all claims in their order, bound to `context`.

        Takes about 90 ms for 1,000 claims at 3072 bits, and once more as long as a verifier, for it is
        verified from the claims before it leaves.
        Raises BadProof for no claims or one outside its ranges, DecryptionFailed if the root does not prove
        them: a claim is false, or the machine made a fault.
        """
        n = self._public_key.n_mpz
        checked = proofs.check_claims(self._public_key, claims)
        weights = proofs.decryption_weights(self._public_key, checked, context)
        # 1 + n is 1 modulo n, so the messages enter the root through the weights alone.
        root = self._root(proofs.product_of_powers([c % n for c, _ in checked], weights, n))
        try:
            proofs.verify_decryptions(self._public_key, claims, root, context)
        except BadProof:
            raise DecryptionFailed("the proof does not hold: a claim is false or the arithmetic failed") from None
        return root

    def __repr__(self) -> str:
        return f"<Prover of {self._public_key!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a prover holds a private key and is not pickled or copied")

    def _checked_root(self, x: mpz) -> int:
        """Return the n-th root of a unit x modulo n, verified.

        root^n = x modulo n is the very condition under which gcd(root^n - x, n) gives no factor; and as
        raising to n is a bijection of the units, it leaves no other root than the true one.
        """
        root = self._root(x)
        if gmpy2.powmod(root, self._public_key.n_mpz, self._public_key.n_mpz) != x:
            raise DecryptionFailed("the arithmetic of a root failed")
        return root

    @property
    def _signs_show(self) -> bool:
        """Whether a sign that is lost modulo one prime turns the Jacobi symbol: for p = q = 3 mod 4."""
        return bool(self._p % 4 == 3 and self._q % 4 == 3)

    def _check_roots(self, roots: Sequence[int], powers: Sequence[mpz]) -> None:
        """Refuse roots unless each is that of its power, all at once; the argument is at the top of this file."""
        n = self._public_key.n_mpz
        # Only now: whatever went wrong before did not know them.
        weights = [secrets.randbits(SOUNDNESS_BITS) for _ in roots]
        signs = all(gmpy2.jacobi(root, n) == gmpy2.jacobi(x, n) for root, x in zip(roots, powers, strict=True))
        left = gmpy2.powmod(proofs.product_of_powers([mpz(root) for root in roots], weights, n), n, n)
        if not signs or left != proofs.product_of_powers(powers, weights, n):
            raise DecryptionFailed("the arithmetic of a root failed")

    def _root(self, x: mpz) -> int:
        """Return the n-th root of a unit x modulo n. It must not leave unverified."""
        root_p = gmpy2.powmod_sec(x % self._p, self._p_exponent, self._p)
        root_q = gmpy2.powmod_sec(x % self._q, self._q_exponent, self._q)
        return int(root_p + self._p * ((root_q - root_p) * self._p_inverse % self._q))
