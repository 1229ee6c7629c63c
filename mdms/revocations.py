"""The operator's signed revocations, as this server is shown them: they say on a page that a meter is revoked."""

from pathlib import Path

from Crypto.PublicKey.ECC import EccKey

from protocol.documents import DocumentError
from protocol.revocations import Revocation, open_revocation

from .errors import CannotStart
from .rosters import read_document


def load_revocations(directory: Path | None, deployment: str, operator: EccKey) -> dict[str, Revocation]:
    """Return revocations (*.json) by system title; raises CannotStart naming the file. A missing folder holds none."""
    found: dict[str, Revocation] = {}
    if directory is None or not directory.exists():
        return found
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise CannotStart(f"revocations {directory}: {error.strerror}") from None
    for path in paths:
        try:
            revocation = open_revocation(read_document(path), deployment, operator)
        except DocumentError as error:
            raise CannotStart(f"revocation {path}: {error}") from None
        found[revocation.system_title] = revocation
    return found
