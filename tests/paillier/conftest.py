"""Keys that the tests of `paillier` share. 512 bits are for volume and never for anything else."""

import pytest

from paillier import Encryptor, PublicKey
from paillier.private.decryption import Decryptor
from paillier.private.key import PrivateKey, generate_keypair

_SMALL_KEY = generate_keypair(512, unsafe_small_key=True)


@pytest.fixture(scope="session")
def private_key() -> PrivateKey:
    return _SMALL_KEY


@pytest.fixture(scope="session")
def public_key() -> PublicKey:
    return _SMALL_KEY.public


@pytest.fixture(scope="session")
def encryptor(public_key: PublicKey) -> Encryptor:
    return Encryptor(public_key)


@pytest.fixture(scope="session")
def iso_encryptor(public_key: PublicKey) -> Encryptor:
    return Encryptor(public_key, mode="iso")


@pytest.fixture(scope="session")
def decryptor(private_key: PrivateKey) -> Decryptor:
    return Decryptor(private_key)


@pytest.fixture(scope="session")
def full_key() -> PrivateKey:
    return generate_keypair(3072)
