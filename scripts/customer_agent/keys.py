"""The customer's private key, from its file."""

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from .configuration import (
    KEY,
    PASSPHRASE,
    Configuration,
    ConfigurationError,
    credential_file,
    read_private,
    read_secret,
)


def read_customer_key(configuration: Configuration) -> EccKey:
    """Return the X25519 private key that `scripts.customer_key` made; raises ConfigurationError, without a secret."""
    path = configuration.key or credential_file(KEY)
    if path is None:
        raise ConfigurationError(f"there is no key: 'key' names its file, or systemd has the credential '{KEY}'")
    pem = read_private(path)
    passphrase = read_secret(configuration.passphrase_file, PASSPHRASE)
    try:
        key = ECC.import_key(pem, passphrase)
    except (ValueError, IndexError, TypeError):
        sealed = b"ENCRYPTED" in pem
        why = "its passphrase does not open it" if sealed and passphrase else "it is not a private key in PEM"
        if sealed and passphrase is None:
            why = f"it needs its passphrase: 'passphrase_file', or systemd's credential '{PASSPHRASE}'"
        raise ConfigurationError(f"the key {path} cannot be used: {why}") from None
    if key.curve != "Curve25519" or not key.has_private():
        raise ConfigurationError(f"the key {path} cannot be used: it is not an X25519 private key")
    return key
