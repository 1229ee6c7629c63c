"""The customer's root, sealed to the customer (README.md, chapter 8): HPKE, RFC 9180, base mode.

DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
"""

import hashlib
import struct

import msgspec
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_public_key
from Crypto.PublicKey.ECC import EccKey

from .documents import DocumentError, from_base64url, to_base64url
from .reports import Count, Fingerprint, Pseudonym

ENVELOPE = "customer-envelope"
PURPOSE = b"hushmeter/v1/customer-root"
FINGERPRINT_LABEL = b"hushmeter/v1/customer-key"
ROOT_BYTES = 32
TITLE_BYTES = 8
PSEUDONYM_CHARACTERS = 22


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sealed root of one tenancy, and the key that it is sealed to: logins are sealed to it as well.

    ``public_key`` is base64url of the customer's X25519 public key (32 bytes), ``customer_key`` its fingerprint. The
    meter's title is not in it: the customer reads it off the rows.
    """

    pseudonym: Pseudonym
    epoch: Count
    customer_key: Fingerprint
    public_key: str
    enc: str
    sealed_root: str


def raw_public_key(customer: EccKey) -> bytes:
    """Return the 32 bytes of an X25519 public key (RFC 7748)."""
    return customer.public_key().export_key(format="raw")


def fingerprint(customer: EccKey) -> str:
    """Return what the customer compares outside the portal: base64url SHA-256 of label and X25519 public key."""
    return to_base64url(hashlib.sha256(FINGERPRINT_LABEL + raw_public_key(customer)).digest())


def customer_public_key(envelope: Envelope) -> EccKey:
    """Return the public key that an envelope names; raises DocumentError where it is not its fingerprint's."""
    raw = from_base64url(envelope.public_key, "public key", 32)
    try:
        key = import_x25519_public_key(raw)
    except ValueError:
        raise DocumentError("public key is not an X25519 public key") from None
    if fingerprint(key) != envelope.customer_key:
        raise DocumentError("public key is not the one of its fingerprint")
    return key


def _info(system_title: bytes, pseudonym: str, epoch: int) -> bytes:
    # Bound to meter, account, epoch and purpose: an envelope moved to another account does not open there.
    account = pseudonym.encode("ascii")
    if len(system_title) != TITLE_BYTES or len(account) != PSEUDONYM_CHARACTERS or epoch >> 16:
        # struct would cut or fill them silently, and two meters or accounts could share an info.
        raise ValueError("a title has 8 bytes, a pseudonym 22 characters, an epoch 16 bits")
    return PURPOSE + struct.pack(">8s22sH", system_title, account, epoch)


def seal_root(customer: EccKey, root: bytes, system_title: bytes, pseudonym: str, epoch: int) -> Envelope:
    """Seal a meter's customer root (32 bytes) to the customer's X25519 public key; ValueError for other lengths."""
    if len(root) != ROOT_BYTES:
        raise ValueError("a root has 32 bytes")
    cipher = HPKE.new(
        receiver_key=customer.public_key(),
        aead_id=HPKE.AEAD.AES256_GCM,
        info=_info(system_title, pseudonym, epoch),
    )
    sealed = cipher.seal(root)
    return Envelope(
        pseudonym=pseudonym,
        epoch=epoch,
        customer_key=fingerprint(customer),
        public_key=to_base64url(raw_public_key(customer)),
        enc=to_base64url(cipher.enc),
        sealed_root=to_base64url(sealed),
    )


def open_root(customer: EccKey, envelope: Envelope, system_title: bytes) -> bytes:
    """Open an envelope with the customer's private key; raises DocumentError when it is not for it."""
    enc = from_base64url(envelope.enc, "enc", 32)
    sealed = from_base64url(envelope.sealed_root, "sealed root", ROOT_BYTES + 16)
    try:
        # A point of low order is refused while the context is set up.
        info = _info(system_title, envelope.pseudonym, envelope.epoch)
        cipher = HPKE.new(receiver_key=customer, aead_id=HPKE.AEAD.AES256_GCM, enc=enc, info=info)
        root = cipher.unseal(sealed)
    except ValueError:
        raise DocumentError("this envelope does not open with this key, meter and account") from None
    return root
