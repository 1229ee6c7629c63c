"""Makes the test vectors of the agreement (protocol/README.md) anew: `python -m scripts.make_vectors`.

Strategy: every byte is put together here from the specification's tables, over other people's primitives
(pycryptodome's CCM and Ed25519, `hmac`, the `cobs` package, pyhpke) and a walk along the clock. Nothing of
`protocol` is imported: where the vectors and the code agree, two readings of the specification agree.

Keys and randoms are constants, so a second run writes the same bytes. A refusal says of which kind it is
(`refused`) and what is wrong (`because`). `wire` and `keychain` vectors are read by MicroPython as well.
"""
