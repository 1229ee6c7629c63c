"""The operator's signed customer envelopes: of each account the one in force, and those of meters that were replaced.

A replaced meter had another root, and its rows open with its own envelope alone. ``scripts.replace_meter`` keeps that
in the folder ``before``; the account's customer gets it as well, so that a new meter costs nobody their past.
"""

from pathlib import Path
from typing import NamedTuple

from protocol.documents import Document, DocumentError, parse, verify
from protocol.envelopes import ENVELOPE, Envelope, customer_public_key

from .config import MdmsConfig
from .errors import CannotStart
from .rosters import read_document

BEFORE = "before"


def load_envelopes(config: MdmsConfig) -> dict[str, Document]:
    """Return the envelopes in force by pseudonym; raises CannotStart naming the file."""
    found: dict[str, Document] = {}
    for path in _files(config.envelopes):
        document, envelope = _read(config, path)
        if envelope.pseudonym in found:
            raise CannotStart(f"envelope {path}: a second one for pseudonym {envelope.pseudonym}")
        found[envelope.pseudonym] = document
    return found


class Earlier(NamedTuple):
    """An envelope of a replaced meter, and the document that the operator signed."""

    envelope: Envelope
    document: Document


def load_earlier(config: MdmsConfig) -> dict[str, list[Earlier]]:
    """Return the envelopes of replaced meters by pseudonym, in no order; raises CannotStart naming the file."""
    found: dict[str, list[Earlier]] = {}
    before = config.envelopes / BEFORE if config.envelopes else None
    for path in _files(before if before and before.is_dir() else None):
        document, envelope = _read(config, path)
        found.setdefault(envelope.pseudonym, []).append(Earlier(envelope, document))
    return found


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise CannotStart(f"envelopes {folder}: {error.strerror}") from None


def _read(config: MdmsConfig, path: Path) -> tuple[Document, Envelope]:
    document = read_document(path)
    try:
        if document.type != ENVELOPE:
            raise DocumentError("not a customer envelope")
        envelope: Envelope = parse(verify(document, config.deployment, config.operator_key), Envelope)
        customer_public_key(envelope)
    except DocumentError as error:
        raise CannotStart(f"envelope {path}: {error}") from None
    return document, envelope
