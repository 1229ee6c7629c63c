"""AES-CCM from ECB and CBC: one example of RFC 3610, the lengths, and what an altered frame does."""

from binascii import unhexlify

from firmware.meter.seal import Ccm

KEY = unhexlify("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")
NONCE = unhexlify("00000003020100a0a1a2a3a4a5")
AAD = unhexlify("0001020304050607")
PLAINTEXT = unhexlify("08090a0b0c0d0e0f101112131415161718191a1b1c1d1e")
SEALED = unhexlify("588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0")


def refuses(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_packet_vector_1_of_rfc_3610_seals_and_opens():
    ccm = Ccm(8)
    assert ccm.seal(KEY, NONCE, PLAINTEXT, AAD) == SEALED
    assert ccm.open(KEY, NONCE, SEALED, AAD) == PLAINTEXT


def test_every_flipped_bit_is_refused():
    ccm = Ccm()
    sealed = ccm.seal(KEY + KEY, NONCE, PLAINTEXT, AAD)
    for place in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[place // 8] ^= 1 << place % 8
        assert refuses(ccm.open, KEY + KEY, NONCE, bytes(altered), AAD)
    assert refuses(ccm.open, KEY + KEY, NONCE, sealed, AAD + b"\x00")
    assert refuses(ccm.open, KEY + KEY, NONCE, sealed, AAD[:-1])


def test_a_truncated_frame_is_refused_at_every_length():
    ccm = Ccm()
    sealed = ccm.seal(KEY, NONCE, PLAINTEXT, AAD)
    for length in range(len(sealed)):
        assert refuses(ccm.open, KEY, NONCE, sealed[:length], AAD)


def test_only_the_tag_lengths_of_the_standard_are_accepted():
    for length in range(-1, 20):
        assert refuses(Ccm, length) == (length not in (4, 6, 8, 10, 12, 14, 16))


def test_only_the_nonce_lengths_of_the_standard_are_accepted():
    for length in range(20):
        assert refuses(Ccm().seal, KEY, bytes(length), b"x", b"") == (not 7 <= length <= 13)
        assert refuses(Ccm().open, KEY, bytes(length), bytes(17), b"")  # refused, or a wrong tag


def test_a_192_bit_key_is_refused_as_by_the_chips():
    for length in range(40):
        assert refuses(Ccm().seal, bytes(length), NONCE, b"x", b"") == (length not in (16, 32))
        assert refuses(Ccm().open, bytes(length), NONCE, bytes(17), b"")


def test_the_associated_data_ends_where_its_length_would_take_another_encoding():
    ccm = Ccm()
    longest = bytes(0xFEFF)
    assert ccm.open(KEY, NONCE, ccm.seal(KEY, NONCE, b"x", longest), longest) == b"x"
    assert refuses(ccm.seal, KEY, NONCE, b"x", bytes(0xFF00))


def test_a_message_fits_the_length_field_that_its_nonce_leaves():
    ccm = Ccm()
    longest = bytes(65535)
    assert ccm.open(KEY, NONCE, ccm.seal(KEY, NONCE, longest, b""), b"") == longest
    assert refuses(ccm.seal, KEY, NONCE, bytes(65536), b"")
    assert not refuses(ccm.seal, KEY, NONCE[:12], bytes(65536), b"")


def test_an_empty_message_is_a_tag_alone():
    ccm = Ccm()
    sealed = ccm.seal(KEY, NONCE, b"", AAD)
    assert len(sealed) == 16
    assert ccm.open(KEY, NONCE, sealed, AAD) == b""
    assert len(ccm.seal(KEY, NONCE, b"", b"")) == 16


def test_the_arguments_are_left_unchanged():
    ccm = Ccm()
    plaintext = bytearray(PLAINTEXT)
    sealed = ccm.seal(KEY, NONCE, plaintext, AAD)
    assert plaintext == PLAINTEXT
    kept = bytes(sealed)
    ccm.open(KEY, NONCE, sealed, AAD)
    assert sealed == kept
