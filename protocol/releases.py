"""Key holder -> everyone: released sums with the proof that each follows from its reports (README.md, chapter 9).

A release batch is the content of a document that the release log's key signed. A publication is a folder of such
documents, of what they are about and of two tables in clear. That a sum follows from its reports is mathematics;
which sums were released, of which period and under which policy, is the word of the log's key.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from Crypto.PublicKey.ECC import EccKey
from msgspec import Meta

from .documents import Document, DocumentError, canonical_json, parse, sign, verify
from .reports import Fingerprint, Name, Pseudonym, Seconds
from .tariffs import MAX_BANDS, BandName

RELEASE_BATCH = "release-batch"
PROOF_LABEL = b"hushmeter/v1/release-proof"
KEY_LABEL = b"hushmeter/v1/key-proof"

LOADS = "loads"
BILLS = "bills"
MAX_ITEMS = 64
MAX_UNSAFE = 16
# Ids of documents in one batch, so that its content stays below a mebibyte: some three years of one meter's windows.
MAX_DOCUMENTS = 8192

# What a key holder's unsafe setting may be called: it is printed where people read.
Unsafe = Annotated[str, Meta(pattern=r"^unsafe_[a-z_]{1,57}\Z")]
DocumentId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
# More than the gate lets any sum be: 2^31 W for as long as 32 bits count seconds. (A bound must fit 63 bits.)
Energy = Annotated[int, Meta(ge=0, lt=1 << 62)]


class ReleasedLoad(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="load"):
    """One neighbourhood's load in the interval from ``interval_start`` on; energies in mWh.

    ``document`` is the id of the one report; ``root`` alone proves this item.
    """

    interval_start: Seconds
    document: DocumentId
    import_mwh: Energy
    export_mwh: Energy
    root: str

    @property
    def documents(self) -> list[str]:
        """The ids of the reports whose ciphertexts the sum is of."""
        return [self.document]


class ReleasedBill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="bill"):
    """One meter's energy of one period in mWh, or of some bands of it, under one key.

    ``period_end`` is the tenancy's where it ended before the period. ``documents`` are the ids of its windows that
    carry energy, in order of time; ``root`` alone proves this item. ``tariff`` is the id of the tariff's document,
    ``bands`` are the names of its bands that the sum is of, in the tariff's order; both are missing without a tariff.
    """

    pseudonym: Pseudonym
    period_start: Seconds
    period_end: Seconds
    documents: Annotated[list[DocumentId], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    import_mwh: Energy
    export_mwh: Energy
    root: str
    tariff: DocumentId | None = None
    bands: Annotated[list[BandName], Meta(max_length=MAX_BANDS)] = []


Released = ReleasedLoad | ReleasedBill


class ReleaseBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums under one Paillier key that were released together: loads, or bills.

    ``k`` and ``unsafe`` are the gate's policy at that moment. Roots are base64url of the modulus' length;
    ``root`` proves all items at once.
    """

    deployment: str
    neighbourhood: Name
    paillier_key: Fingerprint
    kind: str
    k: Annotated[int, Meta(ge=1)]
    unsafe: Annotated[list[Unsafe], Meta(max_length=MAX_UNSAFE)]
    items: Annotated[list[Released], Meta(min_length=1, max_length=MAX_ITEMS)]
    root: str


KINDS: dict[str, type[Released]] = {LOADS: ReleasedLoad, BILLS: ReleasedBill}


def proof_context(batch: ReleaseBatch) -> bytes:
    """Return what a batch's root is made under: all that the batch says, but the root itself.

    This does not authenticate it: whoever has the items' roots can make a root under any context. The signature does.
    """
    return PROOF_LABEL + canonical_json(msgspec.structs.replace(batch, root=""))


def key_proof_context(deployment: str, neighbourhood: str) -> bytes:
    """Return what a key's proof is bound to. A neighbourhood's name has no line break."""
    return KEY_LABEL + f"\n{neighbourhood}\n{deployment}".encode()


def sign_batch(log_key: EccKey, batch: ReleaseBatch) -> Document:
    """Return the batch as a document signed with the release log's key."""
    return sign(log_key, RELEASE_BATCH, batch.deployment, canonical_json(batch))


def parse_batch(content: bytes) -> ReleaseBatch:
    """Return the batch in the content of a document; raises DocumentError."""
    batch: ReleaseBatch = parse(content, ReleaseBatch)
    if batch.kind not in KINDS or not all(type(item) is KINDS[batch.kind] for item in batch.items):
        raise DocumentError("a release batch holds loads or bills, and says which")
    if len({item_key(item) for item in batch.items}) != len(batch.items):
        raise DocumentError("a release batch holds one thing twice")
    if any((item.tariff is None) != (not item.bands) for item in batch.items if isinstance(item, ReleasedBill)):
        raise DocumentError("a tariff and its bands come together or not at all")
    return batch


def open_batch(document: Document, deployment: str, log_key: EccKey) -> ReleaseBatch:
    """Return a release batch that the log's key signed for this deployment; raises DocumentError."""
    if document.type != RELEASE_BATCH:
        raise DocumentError("not a release batch")
    batch = parse_batch(verify(document, deployment, log_key))
    if batch.deployment != deployment:
        raise DocumentError("a release batch of another deployment")
    return batch


def item_key(item: Released) -> tuple[str, int, str]:
    """Return what distinguishes an item from the others of its kind, neighbourhood and Paillier key."""
    if isinstance(item, ReleasedLoad):
        return "", item.interval_start, ""
    return item.pseudonym, item.period_start, joined_bands(item.bands)


def joined_bands(names: Sequence[str]) -> str:
    """Return bands as a table names them: ``day+night``; empty without a tariff."""
    return "+".join(names)


# --- The publication ----------------------------------------------------------------------------------------------

ABOUT_FILE = "publication.json"
ROSTERS_FOLDER = "rosters"
TARIFFS_FOLDER = "tariffs"
KEY_PROOFS_FOLDER = "key-proofs"
LOADS_FILE = "loads.csv"
BILLS_FILE = "bills.csv"
BATCHES_FILE = "release-batches.jsonl"
REPORTS_FILE = "reports.jsonl"

FORMAT = 2
LOAD_COLUMNS = ("neighbourhood", "interval_start", "contributors", "k", "import_mwh", "export_mwh")
BILL_COLUMNS = (
    "neighbourhood",
    "pseudonym",
    "period_start",
    "period_end",
    "windows",
    "import_mwh",
    "export_mwh",
    "bands",
    "paillier_key",
)
# A publication of format 1 is read as well: it knows neither bands nor two keys, so its bills.csv lacks both columns.
FORMATS = (1, FORMAT)
FIRST_BILL_COLUMNS = BILL_COLUMNS[:7]


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a publication says of itself. Nothing of it is signed: a reader compares both keys with its own.

    Keys are Ed25519 public keys in base64url.
    """

    format: int
    deployment: str
    operator_key: str
    log_key: str


class PublishedKeyProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that a Paillier modulus n has no factor in common with phi(n), with whose it is."""

    neighbourhood: Name
    paillier_key: Fingerprint
    roots: list[str]


def moment(at: int) -> str:
    """Return a time as ISO 8601 in UTC, to the minute unless it has seconds."""
    there = datetime.fromtimestamp(at, UTC)
    return f"{there:%Y-%m-%dT%H:%M}" + (f":{there:%S}" if there.second else "") + "Z"
