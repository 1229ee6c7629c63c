"""Whom and what the vectors are about. None of these keys protects anything; no two share a byte."""

from .blocks import text64

HOP_ROOT = bytes(range(0x00, 0x20))
CUSTOMER_ROOT = bytes(range(0x20, 0x40))
SALT_SECRET = bytes(range(0x40, 0x60))
SIGNING_SEED = bytes(range(0x60, 0x80))
OTHER_SIGNING_SEED = bytes(range(0x80, 0xA0))
CUSTOMER_SECRET = bytes(range(0xA0, 0xC0))
EPHEMERAL_SECRET = bytes(range(0xC0, 0xE0))
TITLE = b"HUS\x00\x00\x00\x01\x2a"
OTHER_TITLE = b"HUS\x00\x00\x00\x01\x2b"
SALT = bytes.fromhex("5a17c0de")
RANDOM = bytes(range(0xE0, 0xEC))
CHALLENGE = bytes(range(0xF0, 0x100))
ENROLMENT = 19_993
EPOCH = 20_000  # 2024-10-04
NO_EPOCH = 0xFFFF
DEPLOYMENT = "vectors"
PSEUDONYM = text64(bytes(range(16)))
FINGERPRINT = text64(bytes(range(32)))
