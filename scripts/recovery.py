"""Recovery of Paillier keys: restores one from people's shares, splits or proves one that exists already.

A key is whole in this process's memory only; what is written of it is sealed with a passphrase or a share of it.
Do it on a machine without a network: while shares are being typed in, all of them lie on one disk.
"""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click
import msgspec
from rich.console import Console

from mdms.keyholder.keyring import key_path, seal_private_key
from mdms.keyholder.vault import PAILLIER_KEY, SealedSecretError, read_sealed
from paillier import BadShare, PaillierError, PublicKey, base64url
from paillier.private.key import PrivateKey
from paillier.private.recovery import RecoveryShare, restore

from .ceremony import (
    PAPER,
    Facts,
    NeighbourhoodFacts,
    Shares,
    key_proof_path,
    read_passphrase,
    read_public_facts,
    write_key_proof,
)
from .deployment import DeploymentError

P = ParamSpec("P")
MOST_TEXT = 1 << 16


def read_share(path: Path) -> RecoveryShare:
    """Return the share in a file; raises DeploymentError naming the file, and the line that is mistyped."""
    try:
        with path.open(encoding="utf-8") as file:
            return RecoveryShare.from_text(file.read(MOST_TEXT))
    except (OSError, UnicodeDecodeError):
        raise DeploymentError(f"{path} cannot be read as text") from None
    except BadShare as error:
        raise DeploymentError(f"{path}: {error}") from None


def whose(facts: Facts, share: RecoveryShare) -> NeighbourhoodFacts:
    """Return the neighbourhood whose key a share is of; raises DeploymentError."""
    for place in facts.neighbourhoods:
        for number, n in enumerate((*place.former, place.paillier_n), 1):
            if PublicKey(base64url.decode_integer(n)).fingerprint.startswith(share.key):
                return at_number(place, number)
    raise DeploymentError(f"the share is of the key {share.key}..., which is none of deployment {facts.deployment}")


def at_number(place: NeighbourhoodFacts, number: int) -> NeighbourhoodFacts:
    """Return what was true of a neighbourhood when its ``number``-th key was its newest."""
    moduli = (*place.former, place.paillier_n)
    n = moduli[number - 1]
    fingerprint = PublicKey(base64url.decode_integer(n)).fingerprint
    return msgspec.structs.replace(place, paillier_key=fingerprint, paillier_n=n, former=moduli[: number - 1])


def named(facts: Facts, neighbourhood: str) -> NeighbourhoodFacts:
    """Return a neighbourhood by its name; raises DeploymentError."""
    for place in facts.neighbourhoods:
        if place.name == neighbourhood:
            return place
    raise DeploymentError(f"deployment {facts.deployment} has no neighbourhood {neighbourhood}")


def open_private_key(keys: Path, place: NeighbourhoodFacts, passphrase: str) -> PrivateKey:
    """Return a neighbourhood's private key; raises DeploymentError, SealedSecretError."""
    path = key_path(keys, place.name, place.number)
    jwk = json.loads(read_sealed(path, PAILLIER_KEY, place.name, passphrase))
    # How short a key may be is for the key holder to say, at its start.
    private = PrivateKey.from_jwk(jwk, unsafe_small_key=True)
    if private.public.fingerprint != place.paillier_key:
        raise DeploymentError(f"{path} is not the key of {place.name} that the deployment names")
    return private


def ends_in_one_line(command: Callable[Concatenate[Console, P], None]) -> Callable[P, None]:
    """Give a command its console, and end it with status 2 and one line for what its user can mend."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        try:
            command(console, *arguments, **options)
        except (DeploymentError, PaillierError, SealedSecretError, ValueError) as error:
            console.print(f"recovery: {error}", markup=False)
            sys.exit(2)

    return run


def folder(name: str, said: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option for a folder that exists."""
    place = click.Path(path_type=Path, exists=True, file_okay=False)
    return click.option(name, type=place, required=True, help=said)


public_folder = folder("--public", "The deployment's public folder.")
keys_folder = folder("--keys", "The key holder's folder of sealed keys.")
neighbourhood_name = click.option("--neighbourhood", required=True, help="Whose key.")
passphrase_option = click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for."
)


@click.group()
def main() -> None:
    """Restore a private key from recovery shares, or make shares or the proof of one that exists."""


@main.command("restore")
@public_folder
@click.option(
    "--share",
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    required=True,
    help="A file with a share, as printed or typed in again; as many as are needed.",
)
@folder("--out", "The key holder's folder of sealed keys.")
@passphrase_option
@ends_in_one_line
def restore_command(
    console: Console, public: Path, files: tuple[Path, ...], out: Path, passphrase_file: Path | None
) -> None:
    """Restore a neighbourhood's private key and seal it with the key holder's passphrase."""
    facts = read_public_facts(public)
    shares = [read_share(path) for path in files]
    place = whose(facts, shares[0])
    path = key_path(out, place.name, place.number)
    if path.exists():
        raise DeploymentError(f"{path} exists already and is not overwritten")
    private = restore(shares, PublicKey(base64url.decode_integer(place.paillier_n)))
    passphrase = read_passphrase(passphrase_file)
    with console.status("sealing the key"):
        seal_private_key(out, place.name, private, passphrase, number=place.number)
    console.print(f"neighbourhood {place.name}: private key restored, sealed in {path}")
    console.print("Remove the files with the shares; the papers stay with their people.")


@main.command("split")
@public_folder
@keys_folder
@neighbourhood_name
@click.option("--shares", type=int, required=True, help="How many recovery shares to make.")
@click.option("--threshold", type=int, required=True, help="How many of them restore the key.")
@click.option("--shares-to", type=click.Path(path_type=Path, file_okay=False), required=True, help="Their folder.")
@passphrase_option
@ends_in_one_line
def split_command(
    console: Console,
    public: Path,
    keys: Path,
    neighbourhood: str,
    shares: int,
    threshold: int,
    shares_to: Path,
    passphrase_file: Path | None,
) -> None:
    """Make new recovery shares of a key that exists. Older ones go on restoring it, but not together with these."""
    wanted = Shares(shares, threshold, shares_to)
    wanted.check_free([neighbourhood])
    place = named(read_public_facts(public), neighbourhood)
    passphrase = read_passphrase(passphrase_file)
    with console.status("splitting the key"):
        wanted.write(place.name, open_private_key(keys, place, passphrase), console.print)
    console.print(PAPER.format(folder=shares_to))


@main.command("prove")
@public_folder
@keys_folder
@neighbourhood_name
@passphrase_option
@ends_in_one_line
def prove_command(console: Console, public: Path, keys: Path, neighbourhood: str, passphrase_file: Path | None) -> None:
    """Prove a key that was made before ceremonies did so."""
    facts = read_public_facts(public)
    place = named(facts, neighbourhood)
    passphrase = read_passphrase(passphrase_file)
    with console.status("proving the key"):
        write_key_proof(public, facts.deployment, place, open_private_key(keys, place, passphrase))
    console.print(
        f"neighbourhood {place.name}: proof of the key in {key_proof_path(public, place.name, place.number)}, verified"
    )


if __name__ == "__main__":
    main()
