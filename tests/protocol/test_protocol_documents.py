"""Signed documents. Rule 1: whatever a stranger wrote, `verify` and `parse` raise DocumentError and nothing else."""

import contextlib
import json

import msgspec
import pytest
from Crypto.Signature import eddsa
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_bench import KEY, OTHER_KEY, official

from protocol import documents
from protocol.documents import (
    BadSignature,
    Document,
    DocumentError,
    canonical_json,
    document_id,
    from_base64url,
    import_public_key,
    key_id,
    parse,
    public_key_bytes,
    sign,
    to_base64url,
    verify,
)

KIND, DEPLOYMENT, CONTENT = "interval-load", "elm-street", b'{"a":1}'
GOOD = sign(KEY, KIND, DEPLOYMENT, CONTENT)


class Small(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    text: str = ""


def changed(document=GOOD, **members):
    return msgspec.structs.replace(document, **members)


def flips(data):
    for place in range(len(data) * 8):
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        yield bytes(altered)


# --- Signatures ---------------------------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was_signed():
    assert verify(GOOD, DEPLOYMENT, KEY.public_key()) == CONTENT
    assert GOOD.content_bytes() == CONTENT


def test_a_signature_is_the_same_every_time():
    assert sign(KEY, KIND, DEPLOYMENT, CONTENT) == GOOD


def test_every_flipped_bit_of_the_content_is_refused():
    for content in flips(CONTENT):
        with pytest.raises(BadSignature):
            verify(changed(content=to_base64url(content)), DEPLOYMENT, KEY)


def test_every_flipped_bit_of_the_signature_is_refused():
    for signature in flips(from_base64url(GOOD.signature, "signature")):
        with pytest.raises(BadSignature):
            verify(changed(signature=to_base64url(signature)), DEPLOYMENT, KEY)


@pytest.mark.parametrize("kind", ["", "interval-loae", "interval-loa", "interval-loadx", "roster", "Interval-load"])
def test_another_type_is_refused(kind):
    with pytest.raises(BadSignature):
        verify(changed(type=kind), DEPLOYMENT, KEY)


@pytest.mark.parametrize("deployment", ["", "elm-streeu", "elm-stree", "elm-streets", "Elm-street"])
def test_another_deployment_is_refused(deployment):
    with pytest.raises(BadSignature):
        verify(GOOD, deployment, KEY)


def test_another_label_is_refused(monkeypatch):
    monkeypatch.setattr(documents, "LABEL", b"hushmeter/v2/signed")
    with pytest.raises(BadSignature):
        verify(GOOD, DEPLOYMENT, KEY)


def test_another_key_is_refused():
    with pytest.raises(BadSignature):
        verify(GOOD, DEPLOYMENT, OTHER_KEY)


@pytest.mark.parametrize("signer", ["", "A" * 43, key_id(OTHER_KEY), key_id(KEY)[:-1]])
def test_a_signer_that_is_not_the_key_is_refused(signer):
    with pytest.raises(BadSignature):
        verify(changed(signer=signer), DEPLOYMENT, KEY)


def test_letters_cannot_move_between_type_deployment_and_content():
    document = sign(KEY, "ab", "cd", b"ef")
    for kind, deployment, content in (
        ("a", "bcd", b"ef"),
        ("abc", "d", b"ef"),
        ("ab", "cde", b"f"),
        ("ab", "c", b"def"),
    ):
        with pytest.raises(BadSignature):
            verify(changed(document, type=kind, content=to_base64url(content)), deployment, KEY)


@given(st.tuples(st.text(), st.text(), st.binary()), st.tuples(st.text(), st.text(), st.binary()))
@settings(max_examples=200, deadline=None)
def test_two_documents_have_one_name_only_if_they_are_one(a, b):
    assert (document_id(*a) == document_id(*b)) == (a == b)


def test_the_content_may_have_a_mebibyte_and_no_byte_more():
    at_most = sign(KEY, KIND, DEPLOYMENT, bytes(1 << 20))
    assert verify(at_most, DEPLOYMENT, KEY) == bytes(1 << 20)
    with pytest.raises(DocumentError, match="longer than a mebibyte"):
        verify(sign(KEY, KIND, DEPLOYMENT, bytes((1 << 20) + 1)), DEPLOYMENT, KEY)


def test_nothing_is_parsed_before_the_signature_is_verified(monkeypatch):
    monkeypatch.setattr(msgspec.json, "decode", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(BadSignature):
        verify(GOOD, DEPLOYMENT, OTHER_KEY)


def test_every_official_signature_vector_is_accepted_or_refused_as_it_says(monkeypatch):
    monkeypatch.setattr(documents, "signed_bytes", lambda kind, deployment, content: content)
    right = 0
    for group in official("wycheproof/ed25519_test.json")["testGroups"]:
        key = import_public_key(to_base64url(bytes.fromhex(group["publicKey"]["pk"])))
        for case in group["tests"]:
            document = Document(
                KIND, to_base64url(bytes.fromhex(case["msg"])), key_id(key), to_base64url(bytes.fromhex(case["sig"]))
            )
            try:
                is_valid = verify(document, DEPLOYMENT, key) == bytes.fromhex(case["msg"])
            except DocumentError:
                is_valid = False
            assert is_valid == (case["result"] == "valid"), (case["tcId"], case["comment"], case["flags"])
            right += 1
    assert right == 151


def ignores_the_type(kind, deployment, content, whole=documents.signed_bytes):
    return whole("", deployment, content)


def ignores_the_deployment(kind, deployment, content, whole=documents.signed_bytes):
    return whole(kind, "", content)


def forgets_the_lengths(kind, deployment, content):
    return documents.LABEL + kind.encode() + deployment.encode() + content


@pytest.mark.parametrize(
    ("planted", "document", "deployment"),
    [
        (ignores_the_type, ("ab", "cd", b"ef", "xy"), "cd"),
        (ignores_the_deployment, ("ab", "cd", b"ef", "ab"), "xy"),
        (forgets_the_lengths, ("ab", "cd", b"ef", "abc"), "d"),
    ],
)
def test_a_planted_bug_in_what_is_signed_would_be_seen(monkeypatch, planted, document, deployment):
    kind, signed_for, content, presented = document
    for is_planted in (False, True):
        if is_planted:
            monkeypatch.setattr(documents, "signed_bytes", planted)
        forged = changed(sign(KEY, kind, signed_for, content), type=presented)
        if is_planted:
            assert verify(forged, deployment, KEY) == content
        else:
            with pytest.raises(BadSignature):
                verify(forged, deployment, KEY)


# --- Keys ---------------------------------------------------------------------------------------------------------


def test_a_public_key_comes_back_from_its_text():
    key = import_public_key(to_base64url(public_key_bytes(KEY)))
    assert key_id(key) == key_id(KEY)
    assert not key.has_private()


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), b"\xff" * 32, b"\xed" + b"\xff" * 30 + b"\x7f"])
def test_what_is_no_public_key_is_refused(data):
    with pytest.raises(DocumentError):
        import_public_key(to_base64url(data))


def test_a_new_key_signs_and_no_two_are_the_same():
    first, second = documents.generate_signing_key(), documents.generate_signing_key()
    assert key_id(first) != key_id(second)
    assert verify(sign(first, KIND, DEPLOYMENT, CONTENT), DEPLOYMENT, first.public_key()) == CONTENT


# --- base64url ----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_bytes_have_one_spelling(data):
    text = to_base64url(data)
    assert from_base64url(text, "it") == data
    for other in (text + "=", text + "==", "=" + text, text + "\n", " " + text):
        with pytest.raises(DocumentError):
            from_base64url(other, "it")


@given(st.text(max_size=40) | st.text("AQgw-_+/=\n", max_size=12))
@settings(max_examples=500)
def test_any_text_is_refused_or_is_the_spelling_of_its_bytes(text):
    try:
        data = from_base64url(text, "it")
    except DocumentError as error:
        assert str(error) in ("it is not base64url", "it is not canonical base64url")
    else:
        assert to_base64url(data) == text


def test_a_length_is_held():
    assert from_base64url("AAAA", "it", 3) == bytes(3)
    for length in (0, 2, 4):
        with pytest.raises(DocumentError, match=f"it has 3 bytes, not {length}"):
            from_base64url("AAAA", "it", length)


# --- Parsing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b"{}",
        b'{"number":1',
        b'{"number":1}x',
        b'{"number":1}\x00',
        b'\xef\xbb\xbf{"number":1}',
        b'{"number":1,"other":2}',
        b'{"number":1.0}',
        b'{"number":1.5}',
        b'{"number":1e2}',
        b'{"number":1e400}',
        b'{"number":NaN}',
        b'{"number":Infinity}',
        b'{"number":"1"}',
        b'{"number":true}',
        b'{"number":null}',
        b'{"number":0x1}',
        b'{"number":01}',
        b'{"number":1,"text":2}',
        b'{"number":1,"text":null}',
        b'{"number":1,"text":"\\ud800"}',
        b'{"number":1,"text":"\xff"}',
        b'{"number":1,"text":"\xed\xa0\x80"}',
        b'{"\xff":1}',
        b"{'number':1}",
        b'{"number":' + b"9" * 5000 + b"}",
        b'{"number":-' + b"9" * 5000 + b"}",
        b'{"number":0.' + b"1" * 5000 + b"}",
        b'{"number":' + b"[" * 100_000,
        b"[" * 100_000,
        b'{"other":' * 100_000,
        b'{"number":1,"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"' + b"a" * 100_000 + b'":1}',
        b"9" * 1_000_000,
    ],
    ids=lambda content: content[:24].decode("latin-1") + f" ({len(content)})",
)
def test_content_that_is_not_strictly_its_type_is_refused_with_a_short_reason(content):
    with pytest.raises(DocumentError) as caught:
        parse(content, Small)
    assert len(str(caught.value)) < 250


def test_deep_nests_are_refused_in_a_free_form_too():
    for content in (b'{"a":' * 50_000, b"[" * 50_000 + b"]" * 50_000):
        with pytest.raises(DocumentError):
            parse(content, dict[str, object] | list[object])


def test_canonical_json_sorts_its_members_and_has_no_white_space():
    assert canonical_json({"b": 1, "a": {"d": "é", "c": None}}) == '{"a":{"c":null,"d":"é"},"b":1}'.encode()
    assert canonical_json(Small(3, "x")) == b'{"number":3,"text":"x"}'


@given(st.builds(Small, st.integers(-(2**63), 2**64 - 1), st.text()))
def test_canonical_json_comes_back(value):
    content = canonical_json(value)
    assert parse(content, Small) == value
    assert canonical_json(parse(content, Small)) == content


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("number"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=500, deadline=None)
def test_fuzz_parse_raises_a_document_error_only(content):
    with contextlib.suppress(DocumentError):
        assert isinstance(parse(content, Small), Small)


TEXTS = st.text(max_size=30) | st.sampled_from([GOOD.type, GOOD.content, GOOD.signer, GOOD.signature, "\ud800"])


@given(st.builds(Document, TEXTS, TEXTS, TEXTS, TEXTS), TEXTS.filter(lambda text: "\ud800" not in text))
@settings(max_examples=300, deadline=None)
def test_fuzz_verify_raises_a_document_error_only_and_takes_nothing_but_the_original(document, deployment):
    try:
        verify(document, deployment, KEY)
    except DocumentError:
        assert (document, deployment) != (GOOD, DEPLOYMENT)
    else:
        assert (document, deployment) == (GOOD, DEPLOYMENT)


def test_the_fuzz_would_notice_a_parser_that_lets_another_error_through(monkeypatch):
    monkeypatch.setattr(documents, "DocumentError", KeyError)
    with pytest.raises(BaseException) as caught:
        test_fuzz_parse_raises_a_document_error_only()
    assert "KeyError" in repr(caught.value)


def test_a_library_that_accepted_s_plus_the_order_would_be_seen(monkeypatch):
    real = eddsa.new

    class Lax:
        def __init__(self, key, mode):
            self._real = real(key, mode)

        def verify(self, message, signature):
            order = 2**252 + 27742317777372353535851937790883648493
            s = int.from_bytes(signature[32:], "little") % order
            self._real.verify(message, signature[:32] + s.to_bytes(32, "little"))

    monkeypatch.setattr(documents.eddsa, "new", Lax)
    with pytest.raises(AssertionError, match="SignatureMalleability"):
        test_every_official_signature_vector_is_accepted_or_refused_as_it_says(monkeypatch)
