"""The private half: whatever needs the factors of a modulus. Only a key holder and a key ceremony import it.

key: the factors, made and written down. decryption, packed_decryption: one sum, many at once. proving: what a
verifier checks with the public key alone. recovery: a key as printed shares.
"""
