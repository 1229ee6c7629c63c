"""The proof that gcd(n, phi(n)) = 1: whoever has a bad modulus has no proof."""

import json

import gmpy2
import pytest
from gmpy2 import mpz

from paillier import BadProof, KeyProof, PublicKey, proofs, verify_key_proof
from paillier.keys import SMALL_FACTOR_BOUND
from paillier.private.key import PrivateKey, generate_keypair
from paillier.private.proving import Prover

CONTEXT = b"ceremony 2026-03-01"


@pytest.fixture(scope="module")
def proof(private_key):
    return Prover(private_key).prove_key(CONTEXT)


def refused(public_key, proof, context=CONTEXT):
    with pytest.raises(BadProof) as caught:
        verify_key_proof(public_key, proof, context)
    return str(caught.value)


def with_root(proof, place, root):
    return KeyProof((*proof.roots[:place], root, *proof.roots[place + 1 :]))


def prime_above(start):
    return int(gmpy2.next_prime(start))


def prime_one_modulo(p, bits):
    """A prime q = 1 mod p: p divides phi(p q)."""
    q = 2 * p * (2**bits // (2 * p)) + 1
    while not gmpy2.is_prime(q):
        q += 2 * p
    return q


# --- A sound key ------------------------------------------------------------------------------------------------


def test_a_sound_key_is_proved(public_key, proof):
    verify_key_proof(public_key, proof, CONTEXT)
    assert len(proof.roots) == 8  # ceil(128 / log2(2^16))
    assert all(type(root) is int for root in proof.roots)


def test_a_key_of_full_length_is_proved(full_key):
    verify_key_proof(full_key.public, Prover(full_key).prove_key(CONTEXT), CONTEXT)


def test_the_challenges_are_those_computed_by_hand():
    """Made once by a few lines of hashlib and pow(), like the known answer of a decryption proof."""
    p, q = 0xE000000000000000000000000000001B, 0xF0000000000000000000000000000047
    challenges = proofs.key_challenges(PublicKey(p * q), b"vector")
    assert challenges[0] == 0x6DC82BCA7F7F556CA857EFFA19745BBBFB5CB6B119C82CB32483644E425F5ACA
    assert challenges[7] == 0x27218D5F814D801D1D555E0B07BE2D12AB4F2C5BB2417AB1FDBF9928FACBD016
    proof = Prover(PrivateKey(p, q)).prove_key(b"vector")
    assert proof.roots[0] == 0xC98103481CCA7688E1AE1DC562B47D854987617CBE85F58A2B78941D1AD37A21


# --- What binds -------------------------------------------------------------------------------------------------


def test_another_context_is_refused(public_key, proof):
    for context in (b"", CONTEXT + b" ", b"ceremony 2026-03-02"):
        assert refused(public_key, proof, context)


def test_the_roots_of_another_key_are_refused(public_key):
    other = generate_keypair(512, unsafe_small_key=True)
    foreign = Prover(other).prove_key(CONTEXT)
    verify_key_proof(other.public, foreign, CONTEXT)
    assert refused(public_key, KeyProof(tuple(root % public_key.n for root in foreign.roots)))


def test_the_number_of_roots_is_fixed(public_key, proof):
    for roots in ((), proof.roots[:-1], (*proof.roots, proof.roots[0])):
        assert refused(public_key, KeyProof(roots)) == "the key proof does not have 8 roots"


def test_the_order_of_the_roots_is_fixed(public_key, proof):
    assert refused(public_key, KeyProof(proof.roots[::-1]))


@pytest.mark.parametrize("place", [0, 7])
def test_every_root_is_checked_and_in_its_range(public_key, private_key, proof, place):
    root = proof.roots[place]
    n = public_key.n
    for other in (0, 1, -root, root + n, root - n, n - root, n, private_key.p, True, None, str(root), float(2)):
        assert refused(public_key, with_root(proof, place, other))


def test_a_context_is_bytes(public_key, private_key, proof):
    with pytest.raises(TypeError):
        verify_key_proof(public_key, proof, "text")
    with pytest.raises(TypeError):
        Prover(private_key).prove_key("text")


# --- Bad moduli -------------------------------------------------------------------------------------------------


def best_roots(n, prime_powers, context):
    """What a key holder who knows all factors of n can do: (number of true roots, roots with guesses between them).

    An n-th root of rho modulo a prime power f exists exactly if rho^(phi / d) = 1, with d = gcd(n, phi) and phi that of
    f; then it is rho^(n^-1 mod phi / d) for the moduli here, whose phi / d is coprime to n.
    """
    roots, true = [], 0
    for rho in proofs.key_challenges(PublicKey(n), context):
        root, modulus, exists = mpz(0), mpz(1), True
        for f, phi in prime_powers:
            order = phi // gmpy2.gcd(n, phi)
            exists &= gmpy2.powmod(rho, order, f) == 1
            part = gmpy2.powmod(rho, gmpy2.invert(n, order), f)
            root += modulus * ((part - root) * gmpy2.invert(modulus, f) % f)
            modulus *= f
        true += exists
        roots.append(int(root))
    return true, KeyProof(tuple(roots))


def square_free_but_dividing():
    """n = p q with q = 1 modulo p."""
    p = prime_above(2**128)
    q = prime_one_modulo(p, 200)
    return p * q, [(p, p - 1), (q, q - 1)]


def not_square_free():
    """n = p^2 q."""
    p, q = prime_above(2**90), prime_above(2**100)
    return p * p * q, [(p * p, p * (p - 1)), (q, q - 1)]


def with_the_least_prime_that_is_let_in():
    """n = p q with p just above the bound and q = 1 modulo p: one element in 65,537 has a root by chance."""
    p = prime_above(SMALL_FACTOR_BOUND)
    q = prime_one_modulo(p, 260)
    return p * q, [(p, p - 1), (q, q - 1)]


@pytest.mark.parametrize(
    "made", [square_free_but_dividing, not_square_free, with_the_least_prime_that_is_let_in], ids=lambda f: f.__name__
)
def test_a_modulus_that_shares_a_factor_with_its_totient_has_no_proof(made):
    n, prime_powers = made()
    phi = 1
    for _, part in prime_powers:
        phi *= part
    assert gmpy2.gcd(n, phi) != 1
    true, proof = best_roots(n, prime_powers, CONTEXT)
    assert true == 0
    assert refused(PublicKey(n), proof) == "a root of the key proof is not that of its challenge"


def test_the_same_key_holder_proves_a_sound_modulus():
    """What fails above is the modulus and not the way its roots are taken."""
    p, q = prime_above(2**130), prime_above(2**140)
    true, proof = best_roots(p * q, [(p, p - 1), (q, q - 1)], CONTEXT)
    assert true == 8
    verify_key_proof(PublicKey(p * q), proof, CONTEXT)


def test_some_roots_are_no_proof(monkeypatch):
    """With q = 1 modulo 13 one element in 13 has a root: some are soon found, but not eight."""
    q = prime_one_modulo(13, 260)
    n = 13 * q
    monkeypatch.setattr(proofs, "SMALL_FACTOR_BOUND", 11)
    for attempt in range(10_000):
        try:
            true, proof = best_roots(n, [(13, 12), (q, q - 1)], attempt.to_bytes(4, "big"))
        except BadProof:
            continue  # a challenge that 13 divides
        if true:
            break
    assert 0 < true < 8
    assert refused(PublicKey(n), proof, attempt.to_bytes(4, "big"))


def test_a_small_factor_would_let_a_key_holder_try_contexts_until_a_proof_holds(monkeypatch):
    """The bug, planted: without the bound, and with one root instead of eight, n = 3 q is soon "proved"."""
    q = prime_one_modulo(3, 260)
    n = 3 * q
    with monkeypatch.context() as patch:
        patch.setattr(proofs, "SMALL_FACTOR_BOUND", 2)
        patch.setattr(proofs, "KEY_PROOF_ROOTS", 1)
        for attempt in range(10_000):
            context = attempt.to_bytes(4, "big")
            try:
                true, proof = best_roots(n, [(3, 2), (q, q - 1)], context)
            except BadProof:
                continue
            if true:
                break
        verify_key_proof(PublicKey(n), proof, context)
    assert refused(PublicKey(n), proof, context) == "the modulus has a small factor"


@pytest.mark.parametrize("factor", [3, 65521])
def test_a_small_factor_is_refused_before_any_root_is_looked_at(factor):
    n = factor * prime_above(2**260)
    assert refused(PublicKey(n), KeyProof(())) == "the modulus has a small factor"


# --- Written down -----------------------------------------------------------------------------------------------


def test_a_proof_survives_json(public_key, proof):
    text = json.dumps(proof.to_json())
    read = KeyProof.from_json(json.loads(text))
    assert read == proof
    verify_key_proof(public_key, read, CONTEXT)


def test_no_other_document_is_read_as_a_proof(proof):
    good = proof.to_json()["roots"]
    for document in (
        None,
        [],
        {},
        "roots",
        {"roots": None},
        {"roots": "AAAA"},
        {"roots": good[:-1]},
        {"roots": [*good, good[0]]},
        {"roots": good, "more": 1},
        {"roots": [*good[:-1], 7]},
        {"roots": [*good[:-1], ""]},
        {"roots": [*good[:-1], "AAAA" + good[-1]]},
        {"roots": [*good[:-1], good[-1] + "="]},
        {"roots": [*good[:-1], "AAAA"]},
        {"roots": [*good[:-1], "B" * 10**6]},
    ):
        with pytest.raises(BadProof):
            KeyProof.from_json(document)
