"""What a customer checks a bill's release with: the roots of its sums and the signed windows that they are of.

A release batch proves the bills of many, so it never goes out here: of each batch the customer gets the items that are
their own. Each item's root proves it alone (protocol, chapter 9). What the batch's signature says beyond that, the
policy, is for the auditor, who sees all of it.
"""

from typing import Any

import msgspec

from protocol.documents import DocumentError, parse, public_key_bytes, to_base64url
from protocol.releases import ReleaseBatch, ReleasedBill

from ..records.bills import bill_of
from ..records.documents import release_batches_named, reports_named
from ..rosters import RosterBook
from ..store import Store


def proof_of(store: Store, book: RosterBook, deployment: str, account: str, period_start: int) -> dict[str, Any] | None:
    """Return the proofs of an account's bill, or None where it has none.

    sums: of each its bands, energies in mWh, root, Paillier modulus and the ids of its windows; reports: the signed
    windows by id; signers: the concentrators' public keys by fingerprint. Ciphertexts, roots and keys in base64url.
    """
    bill = bill_of(store, account, period_start)
    names = sorted({one.batch for one in bill.sums if one.batch}) if bill else []
    sums = []
    for document in release_batches_named(store, names).values():
        try:
            batch: ReleaseBatch = parse(document.content_bytes(), ReleaseBatch)
        except DocumentError:
            continue  # of before bands; it is not told to be proved
        modulus = _modulus(book, batch)
        for item in batch.items:
            if isinstance(item, ReleasedBill) and item.pseudonym == account and item.period_start == period_start:
                sums.append({"bands": item.bands, **_item(item), "n": modulus})
    if not sums:
        return None
    wanted = list(dict.fromkeys(name for one in sums for name in one["documents"]))
    reports = {name: msgspec.to_builtins(document) for name, document in reports_named(store, wanted)}
    signers = {signer: _signer(book, signer) for signer in {document["signer"] for document in reports.values()}}
    return {"deployment": deployment, "sums": sums, "reports": reports, "signers": signers}


def _item(item: ReleasedBill) -> dict[str, Any]:
    return {
        "import_mwh": item.import_mwh,
        "export_mwh": item.export_mwh,
        "root": item.root,
        "documents": item.documents,
    }


def _modulus(book: RosterBook, batch: ReleaseBatch) -> str | None:
    for roster in book.versions(batch.neighbourhood):
        if roster.paillier_key == batch.paillier_key:
            return roster.paillier_n
    return None


def _signer(book: RosterBook, signer: str) -> str | None:
    key = book.signer(signer)
    return to_base64url(public_key_bytes(key)) if key else None
