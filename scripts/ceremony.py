"""The key ceremony: makes a deployment's keys, each where it belongs and nowhere else.

Private keys of the key holder and the operator are sealed with a passphrase before they touch the disk; a
concentrator's identity is a file of its own machine. Nothing private is printed. Recovery shares are written where they
are asked for, each useless without others: for paper, and then to be removed.

With each Paillier key comes a public proof that it is rightly made, without which its ciphertexts could hold several
messages; whoever signs a roster with the key checks the proof first (`checked_key`).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from mdms.errors import CannotStart
from mdms.keyholder.keyring import read_passphrase as read_passphrase_file
from mdms.keyholder.keyring import seal_log_key, seal_private_key
from mdms.keyholder.vault import write_sealed
from paillier import PaillierError, PublicKey, base64url, validate_public_key
from paillier.keys import LEAST_BITS, LEAST_UNSAFE_BITS, MOST_BITS
from paillier.private.key import PrivateKey, generate_keypair
from paillier.private.proving import Prover
from paillier.private.recovery import LEAST_THRESHOLD, MOST_SHARES, split
from paillier.proofs import KeyProof, verify_key_proof
from protocol.documents import (
    DocumentError,
    generate_signing_key,
    import_public_key,
    key_id,
    parse,
    public_key_bytes,
    to_base64url,
)
from protocol.releases import KEY_PROOFS_FOLDER, PublishedKeyProof, key_proof_context
from protocol.reports import Name

from .deployment import Deployment, DeploymentError, write_private

OPERATOR_KEY = "operator-key"
PAPER = "Print each share in {folder}, hand each to another person, then remove the files: enough of them are the key."
NOT_SAID: Callable[[str], None] = lambda line: None  # noqa: E731 - a value, not a function of ours


class NeighbourhoodFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is fixed about a neighbourhood before its first roster.

    ``former`` are the moduli (``paillier_n``) of the keys that it had before this one, oldest first.
    """

    name: str
    concentrator: str
    paillier_key: str
    paillier_n: str
    former: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """How many keys the neighbourhood has had, this one included."""
        return len(self.former) + 1


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``public/deployment.json``."""

    deployment: str
    operator_key: str
    log_key: str
    neighbourhoods: list[NeighbourhoodFacts]


@dataclass(frozen=True)
class Shares:
    """How a private key is split: `number` shares, any `threshold` of which restore it, as texts into `folder`.

    Raises DeploymentError for numbers that are none of a split.
    """

    number: int
    threshold: int
    folder: Path

    def __post_init__(self) -> None:
        if not LEAST_THRESHOLD <= self.threshold <= self.number <= MOST_SHARES:
            raise DeploymentError(
                f"--threshold is at least {LEAST_THRESHOLD} and at most --shares, which is at most {MOST_SHARES}"
            )

    def path(self, neighbourhood: str, number: int) -> Path:
        """Return where a share is written."""
        return self.folder / f"{neighbourhood}.share-{number}-of-{self.number}.txt"

    def check_free(self, neighbourhoods: Sequence[str]) -> None:
        """Refuse to overwrite a share. Raises DeploymentError."""
        for path in (self.path(name, number) for name in neighbourhoods for number in range(1, self.number + 1)):
            if path.exists():
                raise DeploymentError(f"{path} exists already and is not overwritten: choose an empty folder")

    def write(self, neighbourhood: str, private: PrivateKey, said: Callable[[str], None]) -> None:
        """Split a neighbourhood's key and write its shares, each for its owner's eyes alone (0600)."""
        for share in split(private, self.threshold, self.number):
            path = self.path(neighbourhood, share.number)
            write_private(path, share.to_text(neighbourhood).encode())
        said(f"neighbourhood {neighbourhood}: {self.number} recovery shares in {self.folder}, any {self.threshold}")


@dataclass(frozen=True)
class Ceremony:
    """What a ceremony is asked to make. One concentrator serves every neighbourhood named here."""

    deployment: str
    neighbourhoods: Sequence[str]
    gateway: str = "gateway-1"
    key_bits: int = 3072
    unsafe_small_key: bool = False
    shares: Shares | None = None


def perform(folder: Deployment, plan: Ceremony, passphrase: str, said: Callable[[str], None] = NOT_SAID) -> Facts:
    """Make every key of a deployment. Raises DeploymentError or PaillierError; overwrites nothing."""
    if folder.facts.exists():
        raise DeploymentError(f"{folder.root} holds a deployment already: choose an empty folder")
    _check_plan(plan)
    if plan.shares is not None:
        if plan.shares.folder.resolve().is_relative_to(folder.root.resolve()):
            raise DeploymentError(
                f"{plan.shares.folder} is inside {folder.root}, which is copied: choose another folder"
            )
        plan.shares.check_free(plan.neighbourhoods)
    operator, log_key, identity = (generate_signing_key() for _ in range(3))
    for place in (
        folder.operator_key.parent,
        folder.keyholder,
        folder.keyholder / "keys",
        folder.gateway(plan.gateway),
    ):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_sealed(folder.operator_key, OPERATOR_KEY, plan.deployment, bytes(operator.seed), passphrase)
    seal_log_key(folder.keyholder / "log.key.json", plan.deployment, log_key, passphrase)
    pem = identity.export_key(format="PEM")
    write_private(folder.gateway(plan.gateway) / "identity.pem", pem.encode())
    said("signing keys: operator, release log, concentrator")
    facts = []
    for name in plan.neighbourhoods:
        facts.append(_neighbourhood(folder, plan, name, identity, passphrase, said))
    result = Facts(plan.deployment, _public(operator), _public(log_key), facts)
    folder.facts.parent.mkdir(parents=True, exist_ok=True)
    folder.facts.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return result


def _check_plan(plan: Ceremony) -> None:
    """Refuse, before anything is written, what cannot be a name of the protocol, a name given twice, a key's length."""
    for what, name in (
        ("deployment", plan.deployment),
        ("concentrator", plan.gateway),
        *(("neighbourhood", name) for name in plan.neighbourhoods),
    ):
        try:
            msgspec.convert(name, Name)
        except msgspec.ValidationError:
            raise DeploymentError(f"{what} {name!r}: a name has 1 to 64 of A-Z, a-z, 0-9, _ and -") from None
    if len(set(plan.neighbourhoods)) != len(plan.neighbourhoods):
        raise DeploymentError("a neighbourhood is named twice: each has one key")
    least = LEAST_UNSAFE_BITS if plan.unsafe_small_key else LEAST_BITS
    if not least <= plan.key_bits <= MOST_BITS or plan.key_bits % 2:
        raise DeploymentError(
            f"--key-bits {plan.key_bits}: a key has an even number of bits, from {least} to {MOST_BITS}"
        )


def _neighbourhood(
    folder: Deployment, plan: Ceremony, name: str, identity: EccKey, passphrase: str, said: Callable[[str], None]
) -> NeighbourhoodFacts:
    private = generate_keypair(plan.key_bits, unsafe_small_key=plan.unsafe_small_key)
    seal_private_key(folder.keyholder / "keys", name, private, passphrase)
    facts = NeighbourhoodFacts(
        name=name,
        concentrator=_public(identity),
        paillier_key=private.public.fingerprint,
        paillier_n=private.public.to_jwk()["n"],
    )
    said(f"neighbourhood {name}: Paillier key of {plan.key_bits} bits, fingerprint {facts.paillier_key}")
    write_key_proof(folder.facts.parent, plan.deployment, facts, private)
    said(f"neighbourhood {name}: proof of the key in {key_proof_path(folder.facts.parent, name)}, verified")
    if plan.shares is not None:
        plan.shares.write(name, private, said)
    return facts


# --- The proof of a key -------------------------------------------------------------------------------------------


def key_proof_path(public: Path, neighbourhood: str, number: int = 1) -> Path:
    """Return where the proof of a neighbourhood's ``number``-th key lies in the folder that everybody gets."""
    return public / KEY_PROOFS_FOLDER / (f"{neighbourhood}.{number}.json" if number > 1 else f"{neighbourhood}.json")


def write_key_proof(public: Path, deployment: str, facts: NeighbourhoodFacts, private: PrivateKey) -> None:
    """Prove a neighbourhood's key to everybody, and check the file as they will; raises DeploymentError."""
    proof = Prover(private).prove_key(key_proof_context(deployment, facts.name))
    published = PublishedKeyProof(facts.name, facts.paillier_key, proof.to_json()["roots"])
    path = key_proof_path(public, facts.name, facts.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(published), indent=1) + b"\n")
    checked_key(public, deployment, facts)


def checked_key(public: Path, deployment: str, facts: NeighbourhoodFacts) -> PublicKey:
    """Return a neighbourhood's Paillier key, sound as far as anyone can see and proved to be rightly made.

    Its length is for those to judge who encrypt under it. Raises DeploymentError saying what is wrong.
    """
    path = key_proof_path(public, facts.name, facts.number)
    try:
        key = PublicKey(base64url.decode_integer(facts.paillier_n))
        if key.fingerprint != facts.paillier_key:
            raise DeploymentError(f"the Paillier key of {facts.name} is not the one that its fingerprint names")
        validate_public_key(key.n, unsafe_small_key=True)
        published: PublishedKeyProof = parse(path.read_bytes(), PublishedKeyProof)
        if (published.neighbourhood, published.paillier_key) != (facts.name, facts.paillier_key):
            raise DeploymentError(f"{path} proves another key than that of {facts.name}: nothing is signed with it")
        proof = KeyProof.from_json({"roots": published.roots})
        verify_key_proof(key, proof, key_proof_context(deployment, facts.name))
    except OSError:
        raise DeploymentError(
            f"{path} is missing: the key holder proves the key of {facts.name} by the key ceremony, or later by "
            "`python -m scripts.recovery prove`"
        ) from None
    except (DocumentError, PaillierError, ValueError) as error:
        raise DeploymentError(f"the Paillier key of {facts.name} is not proved: {error}") from None
    return key


def _public(key: EccKey) -> str:
    return to_base64url(public_key_bytes(key))


def read_facts(folder: Deployment) -> Facts:
    """Return a deployment's public facts; raises DeploymentError."""
    return read_public_facts(folder.facts.parent)


def read_public_facts(public: Path) -> Facts:
    """Return the facts in a deployment's folder for everybody; raises DeploymentError."""
    path = public / "deployment.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Facts)
    except OSError:
        raise DeploymentError(f"{path} is missing: run the key ceremony first") from None
    except msgspec.DecodeError as error:
        raise DeploymentError(f"{path} cannot be read: {error}") from None


def read_passphrase(path: Path | None, *, again: bool = True) -> str:
    """Return the passphrase from a file, or ask for it, twice with ``again``; raises DeploymentError."""
    if path is None:
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=again)
        return text
    try:
        return read_passphrase_file(path)
    except CannotStart as error:
        raise DeploymentError(str(error)) from None


def wanted_shares(number: int | None, threshold: int | None, folder: Path | None) -> Shares | None:
    """Return the shares that the options ask for; raises DeploymentError where one is missing."""
    if number is None and threshold is None and folder is None:
        return None
    if number is None or threshold is None or folder is None:
        raise DeploymentError("--shares, --threshold and --shares-to go together")
    return Shares(number, threshold, folder)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="An empty folder.")
@click.option("--deployment", required=True, help="The deployment's name; it is part of every signature.")
@click.option("--neighbourhood", "neighbourhoods", multiple=True, required=True, help="One per key; may be repeated.")
@click.option("--gateway", default="gateway-1", show_default=True, help="The concentrator that serves them.")
@click.option("--key-bits", default=3072, show_default=True, help="Length of each Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--shares", type=int, help="How many recovery shares of each key to make.")
@click.option("--threshold", type=int, help="How many of them restore the key.")
@click.option("--shares-to", type=click.Path(path_type=Path, file_okay=False), help="The folder for the shares.")
def main(
    out: Path,
    deployment: str,
    neighbourhoods: tuple[str, ...],
    gateway: str,
    key_bits: int,
    unsafe_small_key: bool,
    passphrase_file: Path | None,
    shares: int | None,
    threshold: int | None,
    shares_to: Path | None,
) -> None:
    """Make a deployment's keys: operator, release log, concentrator, one Paillier key per neighbourhood."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        wanted = wanted_shares(shares, threshold, shares_to)
        plan = Ceremony(deployment, neighbourhoods, gateway, key_bits, unsafe_small_key, wanted)
        passphrase = read_passphrase(passphrase_file)
        with console.status("making keys"):
            facts = perform(Deployment(out), plan, passphrase, console.print)
    except (DeploymentError, PaillierError, FileExistsError) as error:
        console.print(f"ceremony: {error}")
        sys.exit(2)
    if wanted is not None:
        console.print(PAPER.format(folder=wanted.folder))
    console.print(f"operator's fingerprint: {key_id(import_public_key(facts.operator_key))}")
    console.print(f"release log's fingerprint: {key_id(import_public_key(facts.log_key))}")
    console.print(f"The key holder's part is {out / 'keyholder'}: move it to the key holder's machine, then remove it.")


if __name__ == "__main__":
    main()
