"""Proofs of decryption as a verifier meets them, who has the public key alone."""

import hashlib
import re
import secrets
from functools import reduce

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paillier import (
    BadProof,
    Claim,
    PublicKey,
    add_many,
    proofs,
    root_from_base64url,
    root_to_base64url,
    verify_decryption,
    verify_decryptions,
)
from paillier.private.key import PrivateKey, generate_keypair
from paillier.private.proving import Prover

CONTEXT = b"release 2026-03-01, loads"
MESSAGES = (0, 1, 4200, 2**96 - 1)


@pytest.fixture(scope="module")
def prover(private_key):
    return Prover(private_key)


@pytest.fixture(scope="module")
def claims(encryptor, public_key):
    return [Claim(encryptor.encrypt(m), m) for m in (*MESSAGES, public_key.n - 1)]


@pytest.fixture(scope="module")
def root(prover, claims):
    return prover.prove(claims, CONTEXT)


@pytest.fixture(scope="module")
def thousand(encryptor):
    return [Claim(encryptor.encrypt(m), m) for m in (secrets.randbits(96) for _ in range(1000))]


@pytest.fixture(scope="module")
def thousand_root(prover, thousand):
    return prover.prove(thousand, CONTEXT)


def refused(public_key, claims, root, context=CONTEXT):
    with pytest.raises(BadProof):
        verify_decryptions(public_key, claims, root, context)
    return True


def changed(claims, place, **fields):
    return [*claims[:place], claims[place]._replace(**fields), *claims[place + 1 :]]


# --- What is proved ---------------------------------------------------------------------------------------------


def test_one_root_proves_a_thousand_sums(public_key, thousand, thousand_root):
    verify_decryptions(public_key, thousand, thousand_root, CONTEXT)
    assert thousand_root.bit_length() <= public_key.bits


@pytest.mark.parametrize("place", [0, 499, 999])
def test_one_wrong_sum_in_a_thousand_is_refused(public_key, thousand, thousand_root, place):
    assert refused(public_key, changed(thousand, place, message=thousand[place].message + 1), thousand_root)


@given(st.lists(st.integers(0, 2**96), min_size=1, max_size=12), st.binary(max_size=40))
def test_whatever_is_encrypted_can_be_proved(encryptor, prover, messages, context):
    claims = [Claim(encryptor.encrypt(m), m) for m in messages]
    verify_decryptions(encryptor.public_key, claims, prover.prove(claims, context), context)


@given(st.data())
def test_no_other_message_is_proved_by_the_same_root(public_key, claims, root, data):
    place = data.draw(st.integers(0, len(claims) - 1))
    m = data.draw(st.integers(0, public_key.n - 1).filter(lambda m: m != claims[place].message))
    assert refused(public_key, changed(claims, place, message=m), root)


@given(st.lists(st.integers(0, 2**96), min_size=1, max_size=8))
def test_a_sum_of_ciphertexts_is_proved_like_a_ciphertext(encryptor, prover, messages):
    key = encryptor.public_key
    claim = Claim(add_many(key, map(encryptor.encrypt, messages)), sum(messages))
    verify_decryption(key, claim, prover.root(claim), CONTEXT)
    verify_decryptions(key, [claim], prover.prove([claim], CONTEXT), CONTEXT)


def test_ciphertexts_of_both_modes_are_proved_together(public_key, encryptor, iso_encryptor, prover):
    claims = [Claim(each.encrypt(7), 7) for each in (encryptor, iso_encryptor)]
    verify_decryptions(public_key, claims, prover.prove(claims, CONTEXT), CONTEXT)


def test_a_batch_may_name_a_ciphertext_twice_and_must_then_agree_with_itself(public_key, claims, prover):
    twice = [claims[2], claims[2]]
    root = prover.prove(twice, CONTEXT)
    verify_decryptions(public_key, twice, root, CONTEXT)
    # Off by one upwards and downwards: without weights these would cancel.
    torn = [claims[2]._replace(message=4201), claims[2]._replace(message=4199)]
    assert refused(public_key, torn, root)


# --- What binds -------------------------------------------------------------------------------------------------


def test_the_order_binds(public_key, claims, root):
    assert refused(public_key, [claims[1], claims[0], *claims[2:]], root)


def test_every_claim_binds(public_key, claims, root):
    assert refused(public_key, claims[:-1], root)
    assert refused(public_key, [*claims, claims[0]], root)
    assert refused(public_key, [*claims, Claim(1, 0)], root)  # multiplies the product by 1


def test_two_swapped_sums_are_refused(public_key, claims, root):
    m0, m1 = claims[0].message, claims[1].message
    assert refused(public_key, changed(changed(claims, 0, message=m1), 1, message=m0), root)


def test_the_context_binds(public_key, claims, root):
    for context in (b"", CONTEXT + b" ", CONTEXT[:-1], b"release 2026-03-02, loads"):
        assert refused(public_key, claims, root, context)


def test_the_label_binds(public_key, claims, root, monkeypatch):
    monkeypatch.setattr(proofs, "DECRYPTION_PROOF_LABEL", b"hushmeter/v2/paillier-decryption-proof")
    assert refused(public_key, claims, root)


def test_the_border_between_context_and_claims_binds(public_key, claims):
    """A context that swallows the bytes after it is another transcript."""
    n = public_key.n.to_bytes(public_key.modulus_bytes, "big")
    plain = proofs.decryption_weights(public_key, proofs.check_claims(public_key, claims), b"")
    swallowing = proofs.decryption_weights(
        public_key, proofs.check_claims(public_key, claims), len(n).to_bytes(4, "big") + n
    )
    assert plain != swallowing


def test_the_key_binds(public_key, claims, root):
    other = generate_keypair(512, unsafe_small_key=True).public
    assert refused(other, claims, root)


def test_the_root_of_another_key_is_refused(public_key, claims):
    other = Prover(generate_keypair(512, unsafe_small_key=True))
    foreign = [Claim(c % other.public_key.n_squared, m % other.public_key.n) for c, m in claims]
    assert refused(public_key, claims, other.root(foreign[0]) % public_key.n)


def test_the_root_of_another_batch_is_refused(public_key, claims, prover):
    assert refused(public_key, claims, prover.prove(claims[:2], CONTEXT))


def test_a_root_of_one_claim_is_none_of_a_batch_of_one(public_key, claims, prover):
    assert refused(public_key, claims[:1], prover.root(claims[0]))
    with pytest.raises(BadProof):
        verify_decryption(public_key, claims[0], prover.prove(claims[:1], CONTEXT), CONTEXT)


# --- Ranges -----------------------------------------------------------------------------------------------------


def test_another_number_for_the_same_ciphertext_is_refused(public_key, claims, root):
    c = claims[1].ciphertext
    for other in (c + public_key.n_squared, c - public_key.n_squared, -c):
        assert refused(public_key, changed(claims, 1, ciphertext=other), root)


def test_another_number_for_the_same_message_is_refused(public_key, claims, root):
    for m in (claims[1].message + public_key.n, claims[1].message - public_key.n):
        assert refused(public_key, changed(claims, 1, message=m), root)


def test_another_number_for_the_same_root_is_refused(public_key, claims, root):
    for other in (root + public_key.n, root - public_key.n, public_key.n - root, 0, 1, public_key.n):
        assert refused(public_key, claims, other)


def test_the_negative_of_a_root_is_the_root_of_the_negative(public_key, claims, root, prover):
    """(-R)^n = -(R^n), for n is odd: so R has no second form below n."""
    n, n_squared = public_key.n, public_key.n_squared
    assert pow(n - root, n, n_squared) == n_squared - pow(root, n, n_squared)
    single = prover.root(claims[0])
    with pytest.raises(BadProof):
        verify_decryption(public_key, claims[0], n - single, CONTEXT)


@pytest.mark.parametrize("bad", [True, False, None, 1.0, "1", b"\x01"], ids=repr)
def test_what_is_no_integer_is_refused(public_key, claims, root, bad):
    assert refused(public_key, claims, bad)
    assert refused(public_key, changed(claims, 0, message=bad), root)
    assert refused(public_key, changed(claims, 0, ciphertext=bad), root)


def test_gmp_integers_are_integers(public_key, claims, root):
    verify_decryptions(public_key, [Claim(*map(gmpy2.mpz, claim)) for claim in claims], gmpy2.mpz(root), CONTEXT)


def test_no_claims_are_no_proof(public_key):
    assert refused(public_key, [], 1)


def test_a_context_is_bytes(public_key, claims, root):
    with pytest.raises(TypeError):
        verify_decryptions(public_key, claims, root, "text")
    with pytest.raises(TypeError):
        verify_decryption(public_key, claims[0], root, "text")


# --- The zero that proves anything ------------------------------------------------------------------------------


def test_zero_is_refused_as_ciphertext_and_as_root(public_key, private_key, claims, root):
    for c in (0, private_key.p, private_key.q * public_key.n):
        assert refused(public_key, changed(claims, 0, ciphertext=c), root)
        assert refused(public_key, changed(claims, 0, ciphertext=c), 0)
    for r in (0, private_key.p, private_key.q):
        assert refused(public_key, claims, r)


def test_without_the_ranges_zero_would_prove_any_sum(public_key, claims, monkeypatch):
    """The bug, planted: the equation alone holds for c = 0 and R = 0 whatever the messages are."""
    lie = changed(changed(claims, 0, ciphertext=0), 1, message=10**9)
    monkeypatch.setattr(proofs, "check_claims", lambda key, claims: [Claim(*map(gmpy2.mpz, each)) for each in claims])
    monkeypatch.setattr(proofs, "_checked_root", lambda key, root: gmpy2.mpz(root))
    # The division by all c is what stops this equation; written without it, the zero passes.
    with pytest.raises(ZeroDivisionError):
        verify_decryptions(public_key, lie, 0, CONTEXT)
    n, n_squared = public_key.n, public_key.n_squared
    weights = weights_by_hand(public_key, lie, CONTEXT)
    product = 1
    for e, (c, m) in zip(weights, lie, strict=True):
        product = product * pow(c, e, n_squared) * (1 - e * m * n) % n_squared
    assert product == pow(0, n, n_squared)
    monkeypatch.undo()
    assert refused(public_key, lie, 0)


def test_without_weights_two_errors_would_cancel(public_key, claims, prover, monkeypatch):
    """The bug, planted: with all weights 1 a kilowatt hour moves from one customer to the other unseen."""
    moved = changed(changed(claims, 2, message=3200), 1, message=1001)
    monkeypatch.setattr(proofs, "decryption_weights", lambda key, claims, context: [1] * len(claims))
    root = prover.prove(claims, CONTEXT)
    verify_decryptions(public_key, moved, root, CONTEXT)
    monkeypatch.undo()
    assert refused(public_key, moved, root)


def test_weights_that_miss_the_messages_would_prove_a_lie(public_key, claims, prover, monkeypatch):
    """The bug, planted: if the messages do not enter the hash, its weights are known before they are chosen."""
    known = proofs.decryption_weights(public_key, proofs.check_claims(public_key, claims), CONTEXT)
    monkeypatch.setattr(proofs, "decryption_weights", lambda key, claims, context: known)
    root = prover.prove(claims, CONTEXT)
    e0, e1 = known[:2]
    lie = changed(claims, 0, message=claims[0].message + e1)
    lie = changed(lie, 1, message=(claims[1].message - e0) % public_key.n)
    verify_decryptions(public_key, lie, root, CONTEXT)
    monkeypatch.undo()
    assert refused(public_key, lie, root)


def test_a_difference_that_is_a_multiple_of_a_factor_is_refused(public_key, private_key, claims, root):
    for factor in (private_key.p, private_key.q):
        assert refused(public_key, changed(claims, 0, message=factor), root)


# --- The transcript, by hand ------------------------------------------------------------------------------------


def weights_by_hand(public_key, claims, context):
    """The transcript of the specification in the docstring, by other means than the library's."""
    size = (public_key.n.bit_length() + 7) // 8
    length = (public_key.n_squared.bit_length() + 7) // 8
    text = b"hushmeter/v1/paillier-decryption-proof".hex()
    text += f"{len(context):08x}{context.hex()}{size:08x}{public_key.n:0{2 * size}x}{len(claims):08x}"
    text += "".join(f"{c:0{2 * length}x}{m:0{2 * size}x}" for c, m in claims)
    seed = hashlib.shake_256(bytes.fromhex(text)).hexdigest(64)
    return [int(hashlib.shake_256(bytes.fromhex(f"{seed}{j:08x}")).hexdigest(16), 16) for j in range(len(claims))]


# Made once by a few lines of hashlib and pow(): a key of 256 bits; two ciphertexts r^n (1 + m n), r = 2 and 3, whose
# root is 2^e_0 3^e_1.
VECTOR_N = 0xE000000000000000000000000000001B * 0xF0000000000000000000000000000047
VECTOR_MESSAGES = (1000, 2**96 + 5)
VECTOR_WEIGHTS = [0xD5D825AAA6DCE8B50338F3E17E2485CE, 0x3962B73330D5DA6606F3FCF2DE9B6943]
VECTOR_ROOT = 0x21BDB119C82BE2DC449852219A1C1FDD3C900AC86E4FC8E71836BDEE64503AE3


def test_the_known_answer_is_found():
    key = PublicKey(VECTOR_N)
    claims = [
        Claim(pow(r, key.n, key.n_squared) * (1 + m * key.n) % key.n_squared, m)
        for r, m in zip((2, 3), VECTOR_MESSAGES, strict=True)
    ]
    assert weights_by_hand(key, claims, b"vector") == VECTOR_WEIGHTS
    assert proofs.decryption_weights(key, proofs.check_claims(key, claims), b"vector") == VECTOR_WEIGHTS
    prover = Prover(PrivateKey(0xE000000000000000000000000000001B, 0xF0000000000000000000000000000047))
    assert prover.prove(claims, b"vector") == VECTOR_ROOT
    verify_decryptions(key, claims, VECTOR_ROOT, b"vector")
    assert [prover.root(claim) for claim in claims] == [2, 3]


def test_the_weights_are_those_computed_by_hand(public_key, claims):
    checked = proofs.check_claims(public_key, claims)
    assert proofs.decryption_weights(public_key, checked, CONTEXT) == weights_by_hand(public_key, claims, CONTEXT)


def test_the_product_of_powers_is_the_product_of_the_powers(public_key):
    for count in (1, 2, 3, 17, 300):
        bases = [gmpy2.mpz(secrets.randbelow(public_key.n)) for _ in range(count)]
        weights = [secrets.randbits(128) for _ in range(count - 1)] + [(0, 1, 2**128 - 1)[count % 3]]
        expected = reduce(
            lambda product, each: product * pow(*each, public_key.n_squared) % public_key.n_squared,
            zip(map(int, bases), weights, strict=True),
            1,
        )
        assert proofs.product_of_powers(bases, weights, public_key.n_squared_mpz) == expected


# --- A single claim ---------------------------------------------------------------------------------------------


def test_a_root_proves_its_claim_and_no_other(public_key, claims, prover):
    r = prover.root(claims[2])
    verify_decryption(public_key, claims[2], r, CONTEXT)
    for wrong in (claims[2]._replace(message=4201), claims[1], Claim(claims[1].ciphertext, 4200)):
        with pytest.raises(BadProof):
            verify_decryption(public_key, wrong, r, CONTEXT)


def test_a_single_claim_is_held_to_its_ranges(public_key, private_key, claims, prover):
    c, m = claims[2]
    r = prover.root(claims[2])
    n, n_squared = public_key.n, public_key.n_squared
    for claim in (Claim(c + n_squared, m), Claim(c, m + n), Claim(-c, m), Claim(c, -m), Claim(0, m), Claim(c, True)):
        with pytest.raises(BadProof):
            verify_decryption(public_key, claim, r, CONTEXT)
    for other in (r + n, -r, n - r, 0, True, private_key.p):
        with pytest.raises(BadProof):
            verify_decryption(public_key, claims[2], other, CONTEXT)


# --- A root, written down ---------------------------------------------------------------------------------------


def test_a_root_has_one_text_of_a_fixed_length(public_key, root):
    text = root_to_base64url(public_key, root)
    assert len(text) == 86  # 64 bytes
    assert root_from_base64url(public_key, text) == root
    assert type(root_from_base64url(public_key, text)) is int
    assert len(root_to_base64url(public_key, 1)) == 86


def test_no_other_text_is_read_as_a_root(public_key, root):
    text = root_to_base64url(public_key, root)
    for bad in (
        text + "=",
        text + "==",
        text[:-1],
        " " + text[1:],
        "+" + text[1:],
        "é" * 86,
        "",
        None,
        7,
        text.encode(),
    ):
        with pytest.raises(BadProof):
            root_from_base64url(public_key, bad)
    assert text[-1] in "AQgw"  # the last of 64 bytes leaves four bits over, which must be zero
    with pytest.raises(BadProof):
        root_from_base64url(public_key, text[:-1] + chr(ord(text[-1]) + 1))


def test_what_is_no_unit_below_n_has_no_text(public_key, private_key):
    size = public_key.modulus_bytes
    for bad in (0, -1, public_key.n, public_key.n + 1, private_key.p, True):
        with pytest.raises(BadProof):
            root_to_base64url(public_key, bad)
    for bad in (0, public_key.n, private_key.p):
        with pytest.raises(BadProof):
            root_from_base64url(public_key, proofs.base64url.encode(bad.to_bytes(size, "big")))


def test_a_refusal_shows_no_number(public_key, claims, root):
    for bad_claims, bad_root in ((changed(claims, 2, message=4201), root), (claims, root + public_key.n)):
        with pytest.raises(BadProof) as caught:
            verify_decryptions(public_key, bad_claims, bad_root, CONTEXT)
        assert not re.search(r"\d\d", str(caught.value))


def test_a_proof_at_full_length(full_key):
    key = full_key.public
    claims = [Claim((1 + m * key.n) * pow(m + 2, key.n, key.n_squared) % key.n_squared, m) for m in range(3)]
    root = Prover(full_key).prove(claims, CONTEXT)
    verify_decryptions(key, claims, root, CONTEXT)
    assert len(root_to_base64url(key, root)) == 512
    assert refused(key, changed(claims, 0, message=1), root)
