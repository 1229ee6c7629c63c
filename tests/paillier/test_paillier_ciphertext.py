"""Sums of ciphertexts are ciphertexts of sums; what is no ciphertext is refused."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paillier
from paillier import (
    ONE,
    BadCiphertext,
    Encryptor,
    PlaintextOutOfRange,
    add,
    add_many,
    add_plain,
    subtract,
    validate,
    validate_many,
)
from paillier import ciphertext as ciphertext_module

messages = st.integers(0, 2**512)


@settings(deadline=None)
@given(a=messages, b=messages)
def test_a_sum_of_ciphertexts_opens_to_the_sum(public_key, encryptor, decryptor, a, b):
    a, b = a % public_key.n, b % public_key.n
    c = add(public_key, encryptor.encrypt(a), encryptor.encrypt(b))
    assert decryptor.decrypt(c) == (a + b) % public_key.n


@settings(deadline=None)
@given(a=messages, b=messages)
def test_a_difference_of_ciphertexts_opens_to_the_difference(public_key, encryptor, decryptor, a, b):
    a, b = a % public_key.n, b % public_key.n
    c = subtract(public_key, encryptor.encrypt(a), encryptor.encrypt(b))
    assert decryptor.decrypt(c) == (a - b) % public_key.n


@settings(deadline=None)
@given(a=messages, b=messages)
def test_a_plain_number_is_added_inside(public_key, encryptor, decryptor, a, b):
    a, b = a % public_key.n, b % public_key.n
    assert decryptor.decrypt(add_plain(public_key, encryptor.encrypt(a), b)) == (a + b) % public_key.n


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 2**64), min_size=1, max_size=12))
def test_many_ciphertexts_open_to_their_sum(public_key, encryptor, iso_encryptor, decryptor, values):
    kinds = (encryptor, iso_encryptor)
    c = add_many(public_key, (kinds[i % 2].encrypt(value) for i, value in enumerate(values)))
    assert decryptor.decrypt(c) == sum(values)


def test_a_digit_of_the_sum_tells_a_lost_or_repeated_term(public_key, encryptor, decryptor):
    terms = [encryptor.encrypt(8**i) for i in range(20)]
    assert oct(decryptor.decrypt(add_many(public_key, terms))) == "0o" + "1" * 20
    assert oct(decryptor.decrypt(add_many(public_key, terms + terms[4:5])))[-5] == "2"
    assert oct(decryptor.decrypt(add_many(public_key, terms[:4] + terms[5:])))[-5] == "0"


def test_one_is_neutral(public_key, encryptor):
    c = encryptor.encrypt(5)
    assert add(public_key, ONE, c) == add(public_key, c, ONE) == subtract(public_key, c, ONE) == c
    assert add_many(public_key, []) == ONE
    assert paillier.product is add_many


def test_a_ciphertext_minus_itself_is_one_and_does_not_leave(public_key, encryptor):
    c = encryptor.encrypt(5)
    assert subtract(public_key, c, c) == ONE
    with pytest.raises(BadCiphertext, match="not blinded"):
        paillier.to_bytes(public_key, subtract(public_key, c, c))


def test_a_ciphertext_without_inverse_is_not_subtracted(public_key, private_key):
    with pytest.raises(BadCiphertext, match="shares a factor"):
        subtract(public_key, 5, private_key.p)


@pytest.mark.parametrize("m", [-1, 2**512])
def test_a_plain_number_out_of_range_is_refused(public_key, m):
    with pytest.raises(PlaintextOutOfRange):
        add_plain(public_key, ONE, m)


@pytest.mark.parametrize("c", [1.0, "1", None])
def test_the_arithmetic_takes_integers_only(public_key, c):
    for operation in (add, subtract, add_plain):
        with pytest.raises(TypeError):
            operation(public_key, c, 1)
    with pytest.raises(TypeError):
        add_many(public_key, [1, c])
    with pytest.raises(TypeError):
        validate(public_key, c)


REFUSALS = {
    "zero": (lambda key: 0, "range 0 < c < n"),
    "negative": (lambda key: -5, "range 0 < c < n"),
    "n^2": (lambda key: key.public.n_squared, "range 0 < c < n"),
    "c + n^2": (lambda key: Encryptor(key.public).encrypt(3) + key.public.n_squared, "range 0 < c < n"),
    "n": (lambda key: key.public.n, "shares a factor"),
    "a multiple of p": (lambda key: 10 * key.p, "shares a factor"),
    "a multiple of q": (lambda key: key.q * key.q, "shares a factor"),
    "one": (lambda key: ONE, "not blinded"),
    "1 + m n": (lambda key: 1 + 1234 * key.public.n, "not blinded"),
    "an open sum": (lambda key: add_plain(key.public, ONE, 1234), "not blinded"),
    "-(1 + m n)": (lambda key: key.public.n_squared - 1 - 1234 * key.public.n, "not blinded"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_number_that_is_no_ciphertext_is_refused_with_its_reason(private_key, public_key, decryptor, make, reason):
    c = make(private_key)
    for door in (lambda: validate(public_key, c), lambda: decryptor.decrypt(c)):
        with pytest.raises(BadCiphertext, match=reason) as caught:
            door()
        assert not re.search(r"[0-9]{3}", str(caught.value))
    if 0 <= c < public_key.n_squared:
        encoded = c.to_bytes(public_key.ciphertext_bytes, "big")
        with pytest.raises(BadCiphertext, match=reason):
            paillier.from_bytes(public_key, encoded)
        with pytest.raises(BadCiphertext, match=reason):
            paillier.from_base64url(public_key, paillier.base64url.encode(encoded))
    with pytest.raises(BadCiphertext, match=reason):
        paillier.to_bytes(public_key, c)


def test_every_encryption_validates(public_key, encryptor, iso_encryptor):
    for m in (0, 1, public_key.n - 1):
        validate(public_key, encryptor.encrypt(m))
        validate(public_key, iso_encryptor.encrypt(m))


@settings(deadline=None)
@given(m=st.integers(0, 2**500))
def test_a_ciphertext_survives_its_encodings(public_key, encryptor, m):
    c = encryptor.encrypt(m)
    data, text = paillier.to_bytes(public_key, c), paillier.to_base64url(public_key, c)
    assert len(data) == 128 and len(text) == 171
    assert paillier.from_bytes(public_key, data) == c
    assert paillier.from_base64url(public_key, text) == c


def test_a_small_ciphertext_keeps_its_leading_zeros(public_key):
    assert paillier.to_bytes(public_key, 2) == bytes(127) + b"\x02"
    assert paillier.from_bytes(public_key, bytes(127) + b"\x02") == 2


@pytest.mark.parametrize("change", [lambda b: b[1:], lambda b: b"\0" + b, lambda b: b + b"\0", lambda b: b""])
def test_bytes_of_another_length_are_refused(public_key, encryptor, change):
    with pytest.raises(BadCiphertext, match="128 bytes"):
        paillier.from_bytes(public_key, change(paillier.to_bytes(public_key, encryptor.encrypt(1))))


BROKEN_TEXTS = {
    "padding": lambda text: text + "=",
    "padding in place": lambda text: text[:-1] + "=",
    "newline": lambda text: text + "\n",
    "newline in place": lambda text: text[:-1] + "\n",
    "one character less": lambda text: text[:-1],
    "the standard alphabet": lambda text: "+" + text[1:],
    "trailing bits": lambda text: text[:-1] + chr(ord(text[-1]) + 1),
    "nothing": lambda text: "",
    "a number": lambda text: 5,
    "bytes": lambda text: text.encode(),
    "non-ASCII": lambda text: "\u0661" + text[1:],
}


@pytest.mark.parametrize("broken", BROKEN_TEXTS.values(), ids=BROKEN_TEXTS.keys())
def test_a_text_in_another_spelling_is_refused(public_key, encryptor, broken):
    text = paillier.to_base64url(public_key, encryptor.encrypt(1))
    with pytest.raises(BadCiphertext, match=r"fixed length|base64url"):
        paillier.from_base64url(public_key, broken(text))


def test_a_missing_gcd_would_be_noticed(private_key, public_key, monkeypatch):
    monkeypatch.setattr(ciphertext_module.gmpy2, "gcd", lambda a, b: 1)
    with pytest.raises(pytest.fail.Exception), pytest.raises(BadCiphertext):
        validate(public_key, 10 * private_key.p)


def test_good_ciphertexts_pass_together(public_key, encryptor, iso_encryptor):
    validate_many(public_key, [])
    validate_many(public_key, (kind.encrypt(m) for kind in (encryptor, iso_encryptor) for m in range(5)))


@pytest.mark.parametrize("position", [0, 3, 7])
@pytest.mark.parametrize(("make", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_one_bad_ciphertext_among_many_is_named(private_key, public_key, encryptor, make, reason, position):
    many = [encryptor.encrypt(m) for m in range(8)]
    many[position] = make(private_key)
    with pytest.raises(BadCiphertext, match=rf"at position {position}: .*{reason}") as caught:
        validate_many(public_key, iter(many))
    assert not re.search(r"[0-9]{3}", str(caught.value))


def test_the_first_of_several_bad_ciphertexts_is_named(private_key, public_key, encryptor):
    c = encryptor.encrypt(1)
    # The shared factor shows at the end only, after the others have been seen.
    for bad in ([c, private_key.p, ONE], [c, private_key.q, 0], [c, private_key.p, private_key.q]):
        with pytest.raises(BadCiphertext, match="at position 1: the ciphertext shares a factor"):
            validate_many(public_key, bad)


def test_many_ciphertexts_cost_one_gcd(public_key, encryptor, monkeypatch):
    calls = []
    honest = ciphertext_module.gmpy2.gcd
    many = [encryptor.encrypt(m) for m in range(8)]
    monkeypatch.setattr(ciphertext_module.gmpy2, "gcd", lambda a, b: calls.append(1) or honest(a, b))
    validate_many(public_key, many)
    assert len(calls) == 1


def test_a_gcd_of_the_last_instead_of_the_product_would_be_noticed(private_key, public_key, encryptor, monkeypatch):
    honest = ciphertext_module.gmpy2.gcd
    last = encryptor.encrypt(1)
    monkeypatch.setattr(ciphertext_module.gmpy2, "gcd", lambda a, b: honest(last, b))
    with pytest.raises(pytest.fail.Exception), pytest.raises(BadCiphertext):
        validate_many(public_key, [private_key.p, last])


@pytest.mark.parametrize("c", [1.0, "1", None])
def test_validating_many_takes_integers_only(public_key, encryptor, c):
    with pytest.raises(TypeError):
        validate_many(public_key, [encryptor.encrypt(1), c])
