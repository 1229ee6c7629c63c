"""The concentrator's own key: an Ed25519 private key in a PEM file, and who may read it."""

import os
import stat
from pathlib import Path

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from .config import ConfigError


def read_identity(path: Path) -> EccKey:
    """Return the concentrator's Ed25519 private key from its PEM file; raises ConfigError."""
    try:
        key = ECC.import_key(path.read_text())
    except OSError as error:
        raise ConfigError(f"'identity_key': cannot read {path}: {error.strerror}") from None
    except (ValueError, IndexError, TypeError):
        raise ConfigError(f"'identity_key': {path} holds no private key") from None
    if key.curve != "Ed25519" or not key.has_private():
        raise ConfigError(f"'identity_key': {path} holds no Ed25519 private key")
    return key


def exposure(path: Path) -> str | None:
    """Return who besides the owner may read the key, in words, or None. Raises OSError where it is not there."""
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return "everybody on this machine"
    if mode & (stat.S_IRGRP | stat.S_IWGRP):
        return "a whole group"
    # Whoever may write the folder may put another key there. systemd's credentials lie in a folder of their own.
    folder = path.resolve().parent.stat().st_mode
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        return "everybody who replaces it in its folder"
    return None


def is_readable(path: Path) -> bool:
    """Say whether this user may read the key."""
    return os.access(path, os.R_OK)
