"""The prover: what it holds back, above all a root that a fault has touched."""

import copy
import pickle
import secrets
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import gmpy2
import pytest

from paillier import BadProof, Claim, DecryptionFailed, proofs, verify_decryption, verify_decryptions
from paillier.private.key import PrivateKey
from paillier.private.proving import Prover

CONTEXT = b"release 2026-03-01, bills"


@pytest.fixture
def prover(private_key):
    return Prover(private_key)


@pytest.fixture(scope="module")
def claims(encryptor):
    return [Claim(encryptor.encrypt(m), m) for m in (1200, 0, 2**95)]


def break_half(monkeypatch, prime, faults=1):
    """Make exponentiation modulo one prime go wrong by one, the first `faults` times: a glitch, a flipped bit."""
    real = gmpy2.powmod_sec
    left = [faults]

    def faulty(base, exponent, modulus):
        result = real(base, exponent, modulus)
        if modulus == prime and left[0]:
            left[0] -= 1
            return (result + 1) % modulus
        return result

    monkeypatch.setattr(gmpy2, "powmod_sec", faulty)


# --- Faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["p", "q"])
def test_a_fault_in_one_half_would_factor_the_key(prover, private_key, claims, monkeypatch, half):
    """The bug, planted: an unverified root, published, and one gcd that anybody can compute."""
    n = private_key.public.n
    break_half(monkeypatch, getattr(private_key, half))
    root = prover._root(gmpy2.mpz(claims[0].ciphertext) % n)
    other = {"p": private_key.q, "q": private_key.p}[half]
    assert gmpy2.gcd(pow(root, n, n) - claims[0].ciphertext, n) == other


@pytest.mark.parametrize("half", ["p", "q"])
def test_a_fault_in_one_half_of_a_batch_would_factor_the_key(prover, private_key, claims, monkeypatch, half):
    public_key = private_key.public
    n = public_key.n
    monkeypatch.setattr(proofs, "verify_decryptions", lambda *_: None)
    break_half(monkeypatch, getattr(private_key, half))
    root = prover.prove(claims, CONTEXT)
    product = 1
    for e, (c, _) in zip(
        proofs.decryption_weights(public_key, proofs.check_claims(public_key, claims), CONTEXT), claims, strict=True
    ):
        product = product * pow(c, e, n) % n
    other = {"p": private_key.q, "q": private_key.p}[half]
    assert gmpy2.gcd(pow(root, n, n) - product, n) == other


@pytest.mark.parametrize("half", ["p", "q"])
def test_a_root_that_a_fault_has_touched_does_not_leave(prover, private_key, claims, monkeypatch, half):
    break_half(monkeypatch, getattr(private_key, half), faults=3)
    with pytest.raises(DecryptionFailed):
        prover.root(claims[0])
    with pytest.raises(DecryptionFailed):
        prover.prove(claims, CONTEXT)
    with pytest.raises(DecryptionFailed):
        prover.prove_key(CONTEXT)
    # The fault is over: the same prover goes on.
    verify_decryption(prover.public_key, claims[0], prover.root(claims[0]), CONTEXT)
    verify_decryptions(prover.public_key, claims, prover.prove(claims, CONTEXT), CONTEXT)


def test_a_fault_in_the_product_does_not_leave(prover, claims, monkeypatch):
    real = proofs.product_of_powers
    calls = []

    def faulty(bases, weights, modulus):
        calls.append(modulus)
        return (real(bases, weights, modulus) + (len(calls) == 1)) % modulus

    monkeypatch.setattr(proofs, "product_of_powers", faulty)
    with pytest.raises(DecryptionFailed):
        prover.prove(claims, CONTEXT)
    assert len(calls) == 2  # the verifier's product is one of its own


# --- Claims -----------------------------------------------------------------------------------------------------


def test_a_false_claim_is_not_proved(prover, claims):
    with pytest.raises(DecryptionFailed):
        prover.prove([*claims[:2], claims[2]._replace(message=5)], CONTEXT)


def test_the_root_of_a_false_claim_proves_the_true_message_only(prover, claims):
    false = claims[0]._replace(message=1201)
    root = prover.root(false)
    assert root == prover.root(claims[0])
    verify_decryption(prover.public_key, claims[0], root, CONTEXT)
    with pytest.raises(BadProof):
        verify_decryption(prover.public_key, false, root, CONTEXT)


def test_claims_outside_their_ranges_meet_no_secret(prover, private_key, claims, monkeypatch):
    """A ciphertext with a factor in it is refused before any exponentiation by a secret."""

    def unreached(*_):
        raise AssertionError("a secret exponent was used")

    monkeypatch.setattr(gmpy2, "powmod_sec", unreached)
    n = private_key.public.n
    for bad in (Claim(0, 0), Claim(private_key.p, 0), Claim(n * n + 1, 0), Claim(-1, 0), claims[0]._replace(message=n)):
        with pytest.raises(BadProof):
            prover.root(bad)
        with pytest.raises(BadProof):
            prover.prove([*claims, bad], CONTEXT)
    with pytest.raises(BadProof):
        prover.prove([], CONTEXT)


def test_roots_are_plain_integers(prover, claims):
    assert type(prover.root(claims[0])) is int
    assert type(prover.prove(claims, CONTEXT)) is int


def test_a_proof_is_the_same_every_time(prover, claims):
    """Nothing is drawn, so there is no randomness whose repetition would leak."""
    assert prover.prove(claims, CONTEXT) == prover.prove(claims, CONTEXT)
    assert prover.prove_key(CONTEXT) == prover.prove_key(CONTEXT)


# --- What a root tells ------------------------------------------------------------------------------------------


def test_a_root_is_the_randomiser_of_its_ciphertext_and_opens_no_other(prover, iso_encryptor, claims):
    """r^n (1 + m n) is the ciphertext again; with one summand's randomiser known, the rest is the other's."""
    key = prover.public_key
    c1, c2 = (iso_encryptor.encrypt(m) for m in (5, 6))
    r1, r2 = prover.root(Claim(c1, 5)), prover.root(Claim(c2, 6))
    total = prover.root(Claim(c1 * c2 % key.n_squared, 11))
    assert total == r1 * r2 % key.n
    assert total * pow(r1, -1, key.n) % key.n == r2


# --- Manners ----------------------------------------------------------------------------------------------------


def test_a_prover_shows_nothing_and_stays_where_it_is(prover, private_key):
    assert str(private_key.p) not in repr(prover)
    assert repr(prover) == f"<Prover of {private_key.public!r}>"
    assert not hasattr(prover, "__dict__")
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            take(prover)


def test_a_refusal_shows_no_number(prover, claims):
    with pytest.raises(DecryptionFailed) as caught:
        prover.prove([claims[0]._replace(message=77777)], CONTEXT)
    assert not any(character.isdigit() for character in str(caught.value))
    assert caught.value.__cause__ is None


# --- Many roots, verified together ---------------------------------------------------------------------------------


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_many_roots_are_those_of_one_by_one(prover, claims, threads):
    one_by_one = [prover.root(claim) for claim in claims]
    assert prover.roots(claims) == prover.roots(claims, executor=threads) == one_by_one
    assert all(type(root) is int for root in prover.roots(claims))


def test_a_key_of_other_primes_has_its_roots_verified_one_by_one(encryptor, monkeypatch):
    """A sign lost modulo a prime that is 1 mod 4 does not show in the symbol."""
    primes = [p for p in (gmpy2.next_prime(2**256 + 1000 * k) for k in range(60)) if p % 4 == 1][:2]
    key = PrivateKey(*map(int, primes))
    prover = Prover(key)
    claims = [Claim(int((1 + 5 * key.public.n) * pow(7 + k, key.public.n, key.public.n**2)), 5) for k in range(3)]
    claims = [claim._replace(ciphertext=claim.ciphertext % key.public.n**2) for claim in claims]
    assert prover.roots(claims) == [7, 8, 9]
    monkeypatch.setattr(Prover, "_check_roots", None)  # it is not asked
    assert prover.roots(claims) == [7, 8, 9]
    break_half(monkeypatch, key.p)
    with pytest.raises(DecryptionFailed):
        prover.roots(claims)


@pytest.mark.parametrize("half", ["p", "q"])
def test_of_many_roots_none_leaves_where_a_fault_has_touched_one(prover, private_key, claims, monkeypatch, half):
    break_half(monkeypatch, getattr(private_key, half))
    with pytest.raises(DecryptionFailed):
        prover.roots(claims)
    verify_decryption(prover.public_key, claims[2], prover.roots(claims)[2], CONTEXT)


@pytest.mark.parametrize("half", ["p", "q"])
@pytest.mark.parametrize("signs", [(0,), (0, 1), (0, 1, 2)])
def test_a_sign_that_is_lost_modulo_one_prime_is_always_noticed(prover, private_key, claims, monkeypatch, half, signs):
    """Weights alone notice it for an odd one only; even weights are drawn here, so they never do."""
    n, p, q = private_key.public.n, private_key.p, private_key.q
    minus_one = {"p": int(gmpy2.invert(q, p) * 2 * q), "q": int(gmpy2.invert(p, q) * 2 * p)}[half]
    wrong = (1 - minus_one) % n  # -1 modulo one prime, 1 modulo the other
    assert {wrong % p, wrong % q} == ({1, p - 1} if half == "p" else {1, q - 1})
    real = Prover._root
    calls = []

    def without_sign(self, x):
        calls.append(x)
        return real(self, x) * (wrong if len(calls) - 1 in signs else 1) % n

    monkeypatch.setattr(Prover, "_root", without_sign)
    monkeypatch.setattr(secrets, "randbits", lambda bits: 2**126)
    with pytest.raises(DecryptionFailed):
        prover.roots(claims)
    # Planted: without the symbols these roots leave, and one gcd factors the key.
    calls.clear()
    monkeypatch.setattr(gmpy2, "jacobi", lambda a, n: 1)
    root = prover.roots(claims)[0]
    assert gmpy2.gcd(pow(root, n, n) - claims[0].ciphertext, n) in (p, q)


def test_two_faults_that_cancel_out_are_noticed_by_the_weights(prover, claims, monkeypatch):
    """One root times two and another by two: with equal weights the product is right."""
    n = prover.public_key.n
    real, calls = Prover._root, []

    def doubled(self, x):
        calls.append(x)
        return int(real(self, x) * {1: 4, 2: gmpy2.invert(4, n)}.get(len(calls), 1) % n)

    monkeypatch.setattr(Prover, "_root", doubled)
    with pytest.raises(DecryptionFailed):
        prover.roots(claims)
    calls.clear()
    monkeypatch.setattr(secrets, "randbits", lambda bits: 12345)
    assert prover.roots(claims)  # planted: weights that are known beforehand
    assert len(calls) == 3


def test_many_roots_are_of_claims_in_their_ranges_and_by_threads_alone(prover, claims):
    for bad in ([], [claims[0]._replace(ciphertext=0)], [claims[0], claims[1]._replace(message=prover.public_key.n)]):
        with pytest.raises(BadProof):
            prover.roots(bad)
    with ProcessPoolExecutor(1) as processes, pytest.raises(TypeError, match="process"):
        prover.roots(claims, executor=processes)
