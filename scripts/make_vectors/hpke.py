"""HPKE with fixed keys, for envelopes and logins (chapters 8 and 10)."""

from Crypto.PublicKey import ECC
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKeyPair

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
# X25519 points of low order and their other spellings: the shared secret would be all zeros (RFC 7748, section 6.1).
LOW_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)


def key_pair(secret: bytes) -> tuple[KEMKeyPair, bytes]:
    """Return an X25519 pair as HPKE takes it, and the public key's 32 bytes."""
    public: bytes = ECC.construct(curve="Curve25519", seed=secret).public_key().export_key(format="raw")
    kem = SUITE.kem
    return KEMKeyPair(kem.deserialize_private_key(secret), kem.deserialize_public_key(public)), public
