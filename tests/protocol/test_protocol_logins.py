"""The customer's login: only the key's owner answers, only to the origin that it sees, never in clear."""

import hashlib
import hmac
import json
import secrets
from pathlib import Path

import msgspec
import pytest
from Crypto.PublicKey import ECC
from hypothesis import given
from hypothesis import strategies as st

from protocol import logins
from protocol.documents import DocumentError, from_base64url, parse
from protocol.logins import Answer, Challenge, answer_challenge, is_right, login_info, seal_challenge

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ME = "AAECAwQFBgcICQoLDA0ODw"
HERE = "https://portal.example.org"
NAME = "MDEyMzQ1Njc4OTo7PD0-Pw"


@pytest.fixture(scope="module")
def key():
    return ECC.generate(curve="Curve25519")


def sealed(key, origin=HERE, account=ME, expires=1000):
    return seal_challenge(key, secrets.token_bytes(32), NAME, origin, account, expires)


def test_the_right_key_answers_and_no_other(key):
    challenge, expected = sealed(key)
    assert is_right(answer_challenge(key, challenge, HERE, ME), expected)
    with pytest.raises(DocumentError, match="does not open"):
        answer_challenge(ECC.generate(curve="Curve25519"), challenge, HERE, ME)


def test_the_answer_is_not_what_was_sealed(key):
    secret = secrets.token_bytes(32)
    challenge, expected = seal_challenge(key, secret, NAME, HERE, ME, 1000)
    answer = from_base64url(answer_challenge(key, challenge, HERE, ME).answer, "answer")
    assert answer == expected
    assert secret not in (answer, hmac.new(b"", secret, hashlib.sha256).digest())


@pytest.mark.parametrize(
    ("origin", "account", "expires"),
    [
        ("https://portal.example.com", ME, 1000),
        ("http://portal.example.org", ME, 1000),
        (HERE, ME.lower(), 1000),
        (HERE, ME, 1001),
    ],
)
def test_a_challenge_for_elsewhere_or_another_account_or_time_stays_shut(key, origin, account, expires):
    challenge, _ = sealed(key)
    with pytest.raises(DocumentError, match="does not open"):
        answer_challenge(key, msgspec.structs.replace(challenge, expires=expires), origin, account)


def test_a_wrong_answer_is_wrong_in_every_byte(key):
    _, expected = sealed(key)
    for at in range(32):
        wrong = bytearray(expected)
        wrong[at] ^= 1
        assert not is_right(Answer(NAME, logins.to_base64url(bytes(wrong))), expected)
    # Not canonical: the last character has bits that stand for nothing.
    assert not is_right(Answer(NAME, "B" * 43), expected)


def test_no_two_logins_share_an_info():
    seen = {
        login_info(origin, account, expires)
        for origin in (HERE, HERE + ":1", "")
        for account in (ME, ME[::-1])
        for expires in (0, 1, (1 << 32) - 1)
    }
    assert len(seen) == 18
    for wrong in (
        (HERE + "x" * 255, ME, 0),
        (HERE, ME + "A", 0),
        (HERE, ME[1:], 0),
        (HERE, ME, 1 << 32),
        (HERE, ME, -1),
    ):
        with pytest.raises(ValueError, match="origin"):
            login_info(*wrong)


@given(st.binary(max_size=200))
def test_nonsense_is_refused_with_a_reason(data):
    for kind in (logins.Asked, Challenge, Answer):
        with pytest.raises(DocumentError):
            parse(data, kind)


@given(enc=st.text(max_size=60), sealed=st.text(max_size=90))
def test_a_hostile_challenge_is_refused_with_a_reason(key, enc, sealed):
    with pytest.raises(DocumentError):
        answer_challenge(key, Challenge(NAME, enc, sealed, 0), HERE, ME)


# --- The vectors ------------------------------------------------------------------------------------------------


def book():
    return json.loads((VECTORS / "logins.json").read_text())


def secret_key(text):
    return ECC.construct(curve="Curve25519", seed=bytes.fromhex(text))


def test_the_challenge_of_the_vectors_gets_its_answer():
    vectors = book()
    info = b"".join(bytes.fromhex(value) for _, value in vectors["info"])
    challenge = parse(msgspec.json.encode(vectors["challenge"]), Challenge)
    assert login_info(vectors["origin"], vectors["account"], challenge.expires) == info
    answer = answer_challenge(secret_key(vectors["customer_secret"]), challenge, vectors["origin"], vectors["account"])
    assert msgspec.to_builtins(answer) == vectors["answer"]


def test_every_refused_challenge_of_the_vectors_is_refused_with_its_reason():
    cases = book()["refused"]
    assert len(cases) > 15
    for case in cases:
        with pytest.raises(DocumentError) as refused:
            challenge = Challenge(**case["challenge"])
            answer_challenge(secret_key(case["customer_secret"]), challenge, case["origin"], case["account"])
        assert str(refused.value) == case["reason"], case["because"]


@pytest.mark.parametrize("name", ["PURPOSE", "ANSWER"])
def test_the_vectors_notice_a_planted_bug(monkeypatch, name):
    monkeypatch.setattr(logins, name, b"")
    with pytest.raises((AssertionError, DocumentError)):
        test_the_challenge_of_the_vectors_gets_its_answer()
