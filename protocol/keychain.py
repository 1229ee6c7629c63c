"""The daily key ratchet (README.md, chapter 3). Runs on CPython and on MicroPython alike.

A chain value opens its own day and every later one, and no earlier one: whoever erases it has forgotten the past.
"""

import hashlib

CHAIN = b"hushmeter/v1/chain"
NEXT = b"hushmeter/v1/next"
UP = b"hushmeter/v1/up"
DOWN = b"hushmeter/v1/down"
DETAIL = b"hushmeter/v1/detail"
HELLO = b"hushmeter/v1/hello"
TIME = b"hushmeter/v1/time"
SALT = b"hushmeter/v1/salt"

KEY_BYTES = 32
DAY_S = 86400


def hmac_sha256(key, message):
    """HMAC-SHA-256 (RFC 2104, FIPS 198-1); MicroPython has no hmac module."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key))
    inner.update(message)
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key))
    outer.update(inner.digest())
    return outer.digest()


def equal(a, b):
    """Compare two secrets in a time that does not depend on where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


def epoch_of(utc_s):
    """Return the epoch of a time: UTC days since 1970-01-01."""
    return utc_s // DAY_S


def first_chain(root):
    """Return the chain value of the enrolment epoch. The root is erased once this and the clock keys exist."""
    if len(root) != KEY_BYTES:
        raise ValueError("a root has 32 bytes")
    return hmac_sha256(root, CHAIN)


def clock_keys(root):
    """Return the keys (of HELLO, of TIME): they belong to no day and open no reading."""
    return hmac_sha256(root, HELLO), hmac_sha256(root, TIME)


class Chain:
    """A chain value and the epoch that it belongs to."""

    def __init__(self, epoch, value):
        if len(value) != KEY_BYTES:
            raise ValueError("a chain value has 32 bytes")
        self.epoch = epoch
        self.value = value

    def at(self, epoch):
        """Return the Chain of a later (or the same) epoch; earlier ones cannot be had."""
        if epoch < self.epoch:
            raise ValueError("the chain of an earlier epoch is gone")
        value = self.value
        for _ in range(epoch - self.epoch):
            value = hmac_sha256(value, NEXT)
        return Chain(epoch, value)

    def key(self, label):
        """Return the key of this epoch for one purpose: UP, DOWN or DETAIL."""
        return hmac_sha256(self.value, label)
