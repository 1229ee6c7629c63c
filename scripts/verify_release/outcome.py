"""What is asked, and what comes out."""

from dataclasses import dataclass, field
from pathlib import Path

DONE, WRONG, UNUSABLE = 0, 1, 2


class Wrong(Exception):
    """Something in the publication is not what it should be; the message names it."""


class Unusable(Exception):
    """There is no publication, or not the one that was meant."""


@dataclass(frozen=True)
class Options:
    """What the reader says. Keys are base64url of an Ed25519 public key, or of its fingerprint.

    ``rosters`` is a folder of rosters that the reader got elsewhere, to be used instead of the publication's.
    """

    folder: Path
    operator_key: str
    log_key: str
    every_root: bool = False
    unsafe_small_key: bool = False
    rosters: Path | None = None


@dataclass
class Findings:
    """What was checked; ``remarks`` are what a reader should know although nothing is wrong."""

    deployment: str = ""
    rosters: int = 0
    reports: int = 0
    keys: int = 0
    loads: int = 0
    bills: int = 0
    batches: int = 0
    remarks: list[str] = field(default_factory=list)
