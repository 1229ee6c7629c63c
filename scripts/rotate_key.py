"""A neighbourhood's next Paillier key: made, sealed, proved, and named by the next roster from a period's start on.

The same care as at the ceremony: the private key is sealed before it touches the disk, recovery shares go where they
are asked for, and nothing private is printed. The former key stays: what is left under it has to be billed yet.

Everything is checked before anything is made. `deployment.json` is written last: until it names the new key, the old
one is that of every later roster.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from mdms.keyholder.keyring import key_path, seal_private_key
from mdms.keyholder.vault import SealedSecretError
from paillier import PaillierError
from paillier.keys import LEAST_BITS, LEAST_UNSAFE_BITS, MOST_BITS
from paillier.private.key import generate_keypair
from protocol import windows
from protocol.documents import DocumentError
from protocol.rosters import Roster, sign_roster

from .ceremony import (
    NOT_SAID,
    PAPER,
    Facts,
    NeighbourhoodFacts,
    Shares,
    key_proof_path,
    read_facts,
    read_passphrase,
    wanted_shares,
    write_key_proof,
)
from .deployment import Deployment, DeploymentError, write_document
from .enrol import newest_roster, open_operator_key, roster_path

PERIODS = ("month", "day")
WHERE = """Copy, in this order, and all of it before {start}:
1. the key holder: {key} and {public}; restart it
2. the MDMS: {public}; restart it
3. the concentrator, last: {roster} into its 'rosters', where the former ones stay; it takes it in while it runs
Keep the former key at the key holder until everything under it is billed, and in the safe as long as its shares."""


@dataclass(frozen=True)
class Rotation:
    """What is asked for: a key of a neighbourhood from ``valid_from`` on (UTC seconds), the start of a ``period``."""

    neighbourhood: str
    valid_from: int
    period: str = "month"
    key_bits: int = 3072
    unsafe_small_key: bool = False
    shares: Shares | None = None


@dataclass(frozen=True)
class Rotated:
    """What was made: the sealed key's file and the roster's."""

    key: Path
    roster: Path
    fingerprint: str


def check(folder: Deployment, facts: Facts, wanted: Rotation, now: int) -> tuple[NeighbourhoodFacts, Roster]:
    """Return the neighbourhood and its newest roster. Raises DeploymentError for what must not be made."""
    place = next((each for each in facts.neighbourhoods if each.name == wanted.neighbourhood), None)
    if place is None:
        raise DeploymentError(f"deployment {facts.deployment} has no neighbourhood {wanted.neighbourhood}")
    before = newest_roster(folder, facts, place.name)
    if before is None:
        raise DeploymentError(f"{place.name} has no roster yet: enrol its meters first, they begin with the first key")
    if before.paillier_key != place.paillier_key:
        raise DeploymentError(f"the newest roster of {place.name} is not of the key that deployment.json names")
    if wanted.valid_from <= now:
        raise DeploymentError(f"--valid-from {_moment(wanted.valid_from)} has passed: choose a period that is to come")
    start = windows.period_of(wanted.period, wanted.valid_from, before.tz()).start
    if start != wanted.valid_from:
        raise DeploymentError(
            f"--valid-from {_moment(wanted.valid_from)} is not the start of a {wanted.period} in {before.zone}; that"
            f" one starts at {start}, {_moment(start)}"
        )
    if before.valid_from >= wanted.valid_from:
        raise DeploymentError(
            f"the newest roster of {place.name} is made from {_moment(before.valid_from)} on: choose a later period"
        )
    least = LEAST_UNSAFE_BITS if wanted.unsafe_small_key else LEAST_BITS
    if not least <= wanted.key_bits <= MOST_BITS or wanted.key_bits % 2:
        raise DeploymentError(
            f"--key-bits {wanted.key_bits}: a key has an even number of bits, from {least} to {MOST_BITS}"
        )
    for path in _new_files(folder, place, before):
        if path.exists():
            raise DeploymentError(f"{path} exists already: was a change begun before? Move it away, and begin again")
    if wanted.shares is not None:
        if wanted.shares.folder.resolve().is_relative_to(folder.root.resolve()):
            raise DeploymentError(
                f"{wanted.shares.folder} is inside {folder.root}, which is copied: choose another folder"
            )
        wanted.shares.check_free([place.name])
    return place, before


def _new_files(folder: Deployment, place: NeighbourhoodFacts, before: Roster) -> list[Path]:
    number = place.number + 1
    return [
        key_path(folder.keyholder / "keys", place.name, number),
        key_proof_path(folder.facts.parent, place.name, number),
        roster_path(folder, msgspec.structs.replace(before, version=before.version + 1)),
    ]


def rotate(
    folder: Deployment,
    facts: Facts,
    wanted: Rotation,
    operator: EccKey,
    passphrase: str,
    now: int,
    said: Callable[[str], None] = NOT_SAID,
) -> Rotated:
    """Make a neighbourhood's next key and roster; ``now`` in UTC seconds. Raises DeploymentError or PaillierError."""
    place, before = check(folder, facts, wanted, now)
    private = generate_keypair(wanted.key_bits, unsafe_small_key=wanted.unsafe_small_key)
    after = msgspec.structs.replace(
        place,
        paillier_key=private.public.fingerprint,
        paillier_n=private.public.to_jwk()["n"],
        former=(*place.former, place.paillier_n),
    )
    keys = folder.keyholder / "keys"
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealed = seal_private_key(keys, place.name, private, passphrase, number=after.number)
    said(f"neighbourhood {place.name}: Paillier key of {wanted.key_bits} bits, fingerprint {after.paillier_key}")
    public = folder.facts.parent
    write_key_proof(public, facts.deployment, after, private)
    said(
        f"neighbourhood {place.name}: proof of the key in {key_proof_path(public, place.name, after.number)}, verified"
    )
    if wanted.shares is not None:
        wanted.shares.write(place.name, private, said)
    roster = msgspec.structs.replace(
        before,
        version=before.version + 1,
        valid_from=wanted.valid_from,
        paillier_key=after.paillier_key,
        paillier_n=after.paillier_n,
    )
    write_document(roster_path(folder, roster), sign_roster(operator, facts.deployment, roster))
    said(f"neighbourhood {place.name}: roster version {roster.version}, valid from {_moment(roster.valid_from)}")
    _write_facts(folder.facts, facts, after)
    return Rotated(sealed, roster_path(folder, roster), after.paillier_key)


def _write_facts(path: Path, facts: Facts, after: NeighbourhoodFacts) -> None:
    places = [after if place.name == after.name else place for place in facts.neighbourhoods]
    changed = msgspec.structs.replace(facts, neighbourhoods=places)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(changed), indent=1) + b"\n")
    os.replace(unfinished, path)


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option("--neighbourhood", required=True, help="Whose key.")
@click.option("--valid-from", type=int, required=True, help="When it comes into force, UTC seconds, a period's start.")
@click.option("--period", type=click.Choice(PERIODS), default="month", show_default=True, help="The key holder's.")
@click.option("--key-bits", default=3072, show_default=True, help="Length of the Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--shares", type=int, help="How many recovery shares of the key to make.")
@click.option("--threshold", type=int, help="How many of them restore the key.")
@click.option("--shares-to", type=click.Path(path_type=Path, file_okay=False), help="The folder for the shares.")
def main(
    root: Path,
    neighbourhood: str,
    valid_from: int,
    period: str,
    key_bits: int,
    unsafe_small_key: bool,
    passphrase_file: Path | None,
    shares: int | None,
    threshold: int | None,
    shares_to: Path | None,
) -> None:
    """Make a neighbourhood's next Paillier key and the roster that brings it into force."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    try:
        split = wanted_shares(shares, threshold, shares_to)
        wanted = Rotation(neighbourhood, valid_from, period, key_bits, unsafe_small_key, split)
        now = int(time.time())
        facts = read_facts(folder)
        check(folder, facts, wanted, now)
        passphrase = read_passphrase(passphrase_file)
        operator = open_operator_key(folder, facts.deployment, passphrase)
        with console.status("making the key"):
            made = rotate(folder, facts, wanted, operator, passphrase, now, console.print)
    except (DeploymentError, DocumentError, PaillierError, SealedSecretError, FileExistsError) as error:
        console.print(f"rotate_key: {error}", markup=False)
        sys.exit(2)
    if split is not None:
        console.print(PAPER.format(folder=split.folder))
    start = _moment(valid_from)
    console.print(WHERE.format(start=start, key=made.key, public=folder.facts.parent, roster=made.roster))


if __name__ == "__main__":
    main()
