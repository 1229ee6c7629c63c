"""The Paillier keys that the rosters pin."""

from collections.abc import Mapping

from paillier import ENERGY_SLOTS, PaillierError, PublicKey, base64url, validate_public_key
from paillier.errors import BadProof
from paillier.proofs import KeyProof, verify_key_proof
from protocol import releases
from protocol.documents import DocumentError, parse

from .files import DOCUMENT_BYTES, json_files, read_whole
from .outcome import Options, Wrong
from .rosters import Rosters


def check_keys(options: Options, deployment: str, rosters: Rosters, remarks: list[str]) -> dict[str, PublicKey]:
    """Return the Paillier keys that the rosters pin, by fingerprint, each as sound as can be seen."""
    keys: dict[str, PublicKey] = {}
    whose: dict[str, str] = {}
    for roster in rosters:
        name = f"Paillier key of {roster.neighbourhood}"
        try:
            key = PublicKey(base64url.decode_integer(roster.paillier_n))
            if key.fingerprint != roster.paillier_key:
                raise Wrong(f"{name}: the roster's modulus is not the key that it names")
            if key.fingerprint not in keys:
                validate_public_key(key.n, unsafe_small_key=options.unsafe_small_key)
                ENERGY_SLOTS.check_fits(key)
        except (ValueError, PaillierError) as error:
            raise Wrong(f"{name}: {error}") from None
        if whose.setdefault(key.fingerprint, roster.neighbourhood) != roster.neighbourhood:
            raise Wrong(f"{name}: it is also the key of {whose[key.fingerprint]}")
        keys[key.fingerprint] = key
    proved = check_key_proofs(options, deployment, keys, whose)
    for fingerprint, neighbourhood in whose.items():
        if fingerprint not in proved:
            remarks.append(
                f"no proof of the Paillier key of {neighbourhood}: its holder is trusted to have made it rightly"
            )
    return keys


def check_key_proofs(
    options: Options, deployment: str, keys: Mapping[str, PublicKey], whose: Mapping[str, str]
) -> set[str]:
    """Return the fingerprints of the keys that are proved to be sound."""
    proved = set()
    for path in json_files(options.folder / releases.KEY_PROOFS_FOLDER):
        data = read_whole(path, DOCUMENT_BYTES)
        try:
            proof: releases.PublishedKeyProof = parse(data, releases.PublishedKeyProof)
            if whose.get(proof.paillier_key) != proof.neighbourhood:
                raise Wrong(f"key proof {path.name}: no roster of {proof.neighbourhood} names that key")
            context = releases.key_proof_context(deployment, proof.neighbourhood)
            verify_key_proof(keys[proof.paillier_key], KeyProof.from_json({"roots": proof.roots}), context)
        except (DocumentError, BadProof) as error:
            raise Wrong(f"key proof {path.name}: {error}") from None
        proved.add(proof.paillier_key)
    return proved
