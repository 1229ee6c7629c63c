"""Where the parts of a deployment lie on disk, and how a private file is written."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.documents import Document


class DeploymentError(Exception):
    """A deployment's folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Deployment:
    """The folders of one deployment. Each belongs on another machine; ``public`` goes to all of them."""

    root: Path

    @property
    def facts(self) -> Path:
        """What everybody may know: names, public keys, the parameters of every neighbourhood."""
        return self.root / "public" / "deployment.json"

    @property
    def rosters(self) -> Path:
        """Signed rosters."""
        return self.root / "public" / "rosters"

    @property
    def tariffs(self) -> Path:
        """Signed tariffs."""
        return self.root / "public" / "tariffs"

    @property
    def envelopes(self) -> Path:
        """Signed customer envelopes."""
        return self.root / "public" / "envelopes"

    @property
    def revocations(self) -> Path:
        """Signed revocations, as the MDMS is shown them; each concentrator is given its own."""
        return self.root / "public" / "revocations"

    @property
    def operator_key(self) -> Path:
        """The operator's signing key, sealed with the passphrase; keep it offline."""
        return self.root / "operator" / "operator.key.json"

    @property
    def keyholder(self) -> Path:
        """For the key holder's machine: sealed Paillier keys, the log's key, its configuration."""
        return self.root / "keyholder"

    @property
    def mdms(self) -> Path:
        """For the MDMS's machine."""
        return self.root / "mdms"

    @property
    def meters(self) -> Path:
        """What each meter is given at enrolment; remove a file when its meter has it."""
        return self.root / "meters"

    def gateway(self, name: str) -> Path:
        """For a concentrator: its identity, its configuration, the records of its meters."""
        return self.root / "gateways" / name


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner may read; raises DeploymentError where it exists or cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written: its folder: {error.strerror}") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise DeploymentError(f"{path} exists already and is not overwritten") from None
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_document(path: Path, document: Document) -> None:
    """Write a signed document for everybody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(document) + b"\n")


def toml(values: dict[str, object]) -> bytes:
    """Return a flat TOML table of strings, numbers and booleans."""
    lines = []
    for name, value in values.items():
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        else:
            text = msgspec.json.encode(str(value)).decode()  # a JSON string is a TOML basic string
        lines.append(f"{name} = {text}\n")
    return "".join(lines).encode()
