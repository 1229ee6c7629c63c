"""The customer's envelope: bound to meter, account and epoch, and read and written by another library's HPKE.

RFC 9180 prints no vectors for our very suite (X25519 with AES-256-GCM). Those of its two halves are run here, X25519
with the other ciphers and AES-256-GCM with P-521; the whole is held by pyhpke and tests/vectors/envelope.json.
"""

import itertools

import msgspec
import pytest
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key, key_agreement
from Crypto.PublicKey import ECC
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_bench import CUSTOMER, KEY, official, vectors
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, OpenError

from protocol import envelopes
from protocol.documents import DocumentError, canonical_json, from_base64url, parse, sign, to_base64url, verify
from protocol.envelopes import ENVELOPE, Envelope, fingerprint, open_root, seal_root

TITLE, PSEUDONYM, EPOCH, ROOT = b"HUS\x00\x00\x00\x01\x2a", "A" * 22, 20_000, bytes(range(32))
GOOD = seal_root(CUSTOMER, ROOT, TITLE, PSEUDONYM, EPOCH)
SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
LOW_ORDER = [case["envelope"]["enc"] for case in vectors("envelope.json")["refused"] if "low order" in case["because"]]


def changed(**members):
    return msgspec.structs.replace(GOOD, **members)


def info(title=TITLE, pseudonym=PSEUDONYM, epoch=EPOCH):
    return b"hushmeter/v1/customer-root" + title + pseudonym.encode() + epoch.to_bytes(2, "big")


def raw(key):
    return key.public_key().export_key(format="raw")


# --- Binding ------------------------------------------------------------------------------------------------------


def test_an_envelope_opens_to_the_root_for_its_customer_meter_account_and_epoch():
    assert open_root(CUSTOMER, GOOD, TITLE) == ROOT


def test_an_envelope_tells_its_account_epoch_and_customer_and_not_the_meter():
    assert (GOOD.pseudonym, GOOD.epoch, GOOD.customer_key) == (PSEUDONYM, EPOCH, fingerprint(CUSTOMER))
    assert to_base64url(TITLE) not in canonical_json(GOOD).decode()
    assert TITLE not in from_base64url(GOOD.sealed_root, "root")


@pytest.mark.parametrize("title", [TITLE[:-1] + b"\x2b", bytes(8), TITLE[:7], TITLE + b"\x00", b"", TITLE * 2])
def test_another_meters_title_does_not_open_it(title):
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER, GOOD, title)


@pytest.mark.parametrize("pseudonym", ["A" * 21 + "Q", "B" + "A" * 21, "A" * 21, "A" * 23, "", "é" * 11, "é" * 22])
def test_an_envelope_moved_to_another_account_does_not_open(pseudonym):
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER, changed(pseudonym=pseudonym), TITLE)


@pytest.mark.parametrize("epoch", [0, EPOCH - 1, EPOCH + 1, 0xFFFF, 0x10000, EPOCH + 0x10000, -1])
def test_an_envelope_moved_to_another_epoch_does_not_open(epoch):
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER, changed(epoch=epoch), TITLE)


def test_another_customer_does_not_open_it():
    with pytest.raises(DocumentError, match="does not open"):
        open_root(ECC.generate(curve="Curve25519"), GOOD, TITLE)


def test_the_public_key_alone_does_not_open_it():
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER.public_key(), GOOD, TITLE)


def test_every_flipped_bit_of_the_sealed_root_is_refused():
    sealed = from_base64url(GOOD.sealed_root, "root")
    for place in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[place // 8] ^= 1 << place % 8
        with pytest.raises(DocumentError, match="does not open"):
            open_root(CUSTOMER, changed(sealed_root=to_base64url(altered)), TITLE)


def test_an_ill_formed_envelope_is_refused():
    for member, text in (
        ("enc", ""),
        ("enc", GOOD.enc + "="),
        ("enc", GOOD.enc[:-1]),
        ("enc", to_base64url(bytes(33))),
        ("sealed_root", ""),
        ("sealed_root", to_base64url(bytes(47))),
        ("sealed_root", to_base64url(bytes(49))),
        ("sealed_root", to_base64url(bytes(1 << 20))),
        ("sealed_root", "*" * 64),
    ):
        with pytest.raises(DocumentError):
            open_root(CUSTOMER, changed(**{member: text}), TITLE)


def test_what_is_sealed_has_a_root_a_title_and_an_account_of_the_right_length():
    for root, title, pseudonym, epoch in (
        (ROOT[:31], TITLE, PSEUDONYM, EPOCH),
        (ROOT + b"\x00", TITLE, PSEUDONYM, EPOCH),
        (ROOT, TITLE[:7], PSEUDONYM, EPOCH),
        (ROOT, TITLE + b"\x00", PSEUDONYM, EPOCH),
        (ROOT, TITLE, "A" * 21, EPOCH),
        (ROOT, TITLE, "A" * 23, EPOCH),
        (ROOT, TITLE, PSEUDONYM, 0x10000),
        (ROOT, TITLE, PSEUDONYM, -1),
    ):
        with pytest.raises(ValueError):
            seal_root(CUSTOMER, root, title, pseudonym, epoch)


def test_no_two_envelopes_share_an_ephemeral_key():
    assert len({seal_root(CUSTOMER, ROOT, TITLE, PSEUDONYM, EPOCH).enc for _ in range(20)}) == 20


def test_an_envelope_travels_as_a_signed_document():
    document = sign(KEY, ENVELOPE, "elm-street", canonical_json(GOOD))
    envelope = parse(verify(document, "elm-street", KEY), Envelope)
    assert open_root(CUSTOMER, envelope, TITLE) == ROOT


def test_a_binding_that_is_left_out_would_be_seen(monkeypatch):
    moved = changed(pseudonym="B" + "A" * 21)
    monkeypatch.setattr(envelopes, "_info", lambda title, pseudonym, epoch: info(pseudonym=PSEUDONYM))
    with pytest.raises(pytest.fail.Exception):
        test_an_envelope_moved_to_another_account_does_not_open(moved.pseudonym)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=48, max_size=48))
@settings(max_examples=100, deadline=None)
def test_fuzz_opening_raises_a_document_error_only(enc, sealed):
    with pytest.raises(DocumentError):
        open_root(CUSTOMER, changed(enc=to_base64url(enc), sealed_root=to_base64url(sealed)), TITLE)


# --- Points of low order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enc", LOW_ORDER)
def test_an_ephemeral_key_of_low_order_is_refused(enc):
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER, changed(enc=enc), TITLE)


@pytest.mark.parametrize("enc", LOW_ORDER)
def test_no_root_is_sealed_to_a_customers_key_of_low_order(enc):
    with pytest.raises(ValueError, match="Invalid Curve25519"):
        seal_root(import_x25519_public_key(from_base64url(enc, "enc")), ROOT, TITLE, PSEUDONYM, EPOCH)


def test_every_official_x25519_vector_is_right_or_refused():
    refused = 0
    for case in official("wycheproof/x25519_test.json")["testGroups"][0]["tests"]:
        private = import_x25519_private_key(bytes.fromhex(case["private"]))
        try:
            public = import_x25519_public_key(bytes.fromhex(case["public"]))
            shared = key_agreement(static_priv=private, static_pub=public, kdf=bytes)
        except ValueError:
            refused += 1
            assert not int(case["shared"], 16), (case["tcId"], case["comment"])
        else:
            assert shared.hex() == case["shared"], (case["tcId"], case["comment"])
    assert refused > 20


# --- Other people's HPKE ------------------------------------------------------------------------------------------


def test_pyhpke_opens_what_we_seal():
    context = SUITE.create_recipient_context(
        from_base64url(GOOD.enc, "enc"), SUITE.kem.deserialize_private_key(CUSTOMER.seed), info()
    )
    assert context.open(from_base64url(GOOD.sealed_root, "root"), b"") == ROOT


def test_we_open_what_pyhpke_seals():
    enc, context = SUITE.create_sender_context(SUITE.kem.deserialize_public_key(raw(CUSTOMER)), info())
    sealed = context.seal(ROOT, b"")
    assert open_root(CUSTOMER, changed(enc=to_base64url(enc), sealed_root=to_base64url(sealed)), TITLE) == ROOT


def test_associated_data_or_another_info_of_pyhpke_is_refused_by_us_and_by_it():
    key = SUITE.kem.deserialize_public_key(raw(CUSTOMER))
    for sent_info, aad in ((info(), b"x"), (info() + b"\x00", b""), (info()[1:], b""), (b"", b"")):
        enc, context = SUITE.create_sender_context(key, sent_info)
        sealed = context.seal(ROOT, aad)
        with pytest.raises(DocumentError, match="does not open"):
            open_root(CUSTOMER, changed(enc=to_base64url(enc), sealed_root=to_base64url(sealed)), TITLE)
        with pytest.raises(OpenError):
            SUITE.create_recipient_context(enc, SUITE.kem.deserialize_private_key(CUSTOMER.seed), info()).open(
                sealed, b""
            )


def test_a_second_message_of_a_context_is_no_root():
    enc, context = SUITE.create_sender_context(SUITE.kem.deserialize_public_key(raw(CUSTOMER)), info())
    context.seal(ROOT, b"")
    second = context.seal(ROOT, b"")
    with pytest.raises(DocumentError, match="does not open"):
        open_root(CUSTOMER, changed(enc=to_base64url(enc), sealed_root=to_base64url(second)), TITLE)


CURVES = {0x20: "Curve25519", 0x12: "NIST P-521"}


def recipient(vector):
    secret = bytes.fromhex(vector["skRm"])
    if vector["kem_id"] == 0x20:
        return ECC.construct(curve="Curve25519", seed=secret)
    return ECC.construct(curve=CURVES[vector["kem_id"]], d=int.from_bytes(secret, "big"))


def test_the_library_opens_and_exports_what_rfc_9180_prints_in_base_mode():
    opened = exported = 0
    for vector in official("hpke/rfc9180_appendix_a.json")["vectors"]:
        if vector["mode"] != 0 or vector["kem_id"] not in CURVES:
            continue
        context = HPKE.new(
            receiver_key=recipient(vector),
            aead_id=HPKE.AEAD(vector["aead_id"]),
            enc=bytes.fromhex(vector["enc"]),
            info=bytes.fromhex(vector["info"]),
        )
        # The library counts the messages itself; the RFC prints numbers 0, 1 and 2 and leaves gaps behind them.
        in_a_row = itertools.takewhile(lambda each: each[0] == each[1]["seq"], enumerate(vector["encryptions"]))
        for _, message in in_a_row:
            sealed, aad = bytes.fromhex(message["ct"]), bytes.fromhex(message["aad"])
            assert context.unseal(sealed, aad).hex() == message["pt"]
            opened += 1
        for export in vector["exports"]:
            value = context.export(bytes.fromhex(export["exporter_context"]), export["L"])
            assert value.hex() == export["exported_value"]
            exported += 1
    assert (opened, exported) == (9, 12)


# --- The fingerprint ----------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_public_key_alone():
    assert fingerprint(CUSTOMER) == fingerprint(CUSTOMER.public_key())
    assert fingerprint(CUSTOMER) != fingerprint(ECC.generate(curve="Curve25519"))
    assert len(fingerprint(CUSTOMER)) == 43


def test_the_envelope_names_the_customers_key():
    key = envelopes.customer_public_key(GOOD)
    assert envelopes.raw_public_key(key) == envelopes.raw_public_key(CUSTOMER)


def test_a_key_that_is_not_its_fingerprints_is_refused():
    other = ECC.generate(curve="Curve25519")
    swapped = msgspec.structs.replace(GOOD, public_key=to_base64url(envelopes.raw_public_key(other)))
    with pytest.raises(DocumentError, match="not the one of its fingerprint"):
        envelopes.customer_public_key(swapped)
    with pytest.raises(DocumentError):
        envelopes.customer_public_key(msgspec.structs.replace(GOOD, public_key="AA"))
