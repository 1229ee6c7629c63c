"""Revokes a meter whose keys are not its own any more: stolen, opened, cloned. Its concentrator refuses it at once.

What it has sent stays counted. Its account goes on: replace the meter, or take the account off the roster from the
next period on.
"""

import sys
import time
from pathlib import Path

import click
from Crypto.PublicKey.ECC import EccKey
from msgspec.structs import replace
from rich.console import Console

from mdms.keyholder.vault import SealedSecretError
from protocol.documents import DocumentError
from protocol.revocations import Revocation, sign_revocation
from protocol.rosters import sign_roster

from .ceremony import Facts, read_facts, read_passphrase
from .deployment import Deployment, DeploymentError, write_document
from .enrol import newest_roster, open_operator_key, roster_path


def revoke(folder: Deployment, facts: Facts, gateway: str, revocation: Revocation, operator: EccKey) -> Path:
    """Write a signed revocation for a concentrator, and a copy for the MDMS; returns the first's file.

    Raises DeploymentError.
    """
    if revocation.neighbourhood not in {place.name for place in facts.neighbourhoods}:
        raise DeploymentError(f"there is no neighbourhood {revocation.neighbourhood}")
    path = folder.gateway(gateway) / "enrolment" / f"{revocation.system_title}.revoked.json"
    document = sign_revocation(operator, facts.deployment, revocation)
    write_document(path, document)
    write_document(folder.revocations / f"{revocation.system_title}.json", document)
    return path


def leave(folder: Deployment, facts: Facts, neighbourhood: str, pseudonym: str, at: int, operator: EccKey) -> Path:
    """Write the next roster, without an account from ``at`` on; returns its file. Raises DeploymentError."""
    before = newest_roster(folder, facts, neighbourhood)
    if before is None or before.index(pseudonym) is None:
        raise DeploymentError(f"no meter of {neighbourhood} has the pseudonym {pseudonym} on its newest roster")
    if before.valid_from > at:
        raise DeploymentError(f"the roster of {neighbourhood} is made from {before.valid_from} on: leave from then")
    members = [member for member in before.members if member.pseudonym != pseudonym]
    roster = replace(before, version=before.version + 1, valid_from=at, members=members)
    path = roster_path(folder, roster)
    write_document(path, sign_roster(operator, facts.deployment, roster))
    if before.valid_from == at:
        # Two rosters cannot be in force from one moment on.
        roster_path(folder, before).unlink()
    return path


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option("--neighbourhood", required=True, help="Where the meter stands.")
@click.option("--gateway", default="gateway-1", show_default=True, help="The concentrator that serves it.")
@click.option("--title", required=True, help="System title, 16 hex digits.")
@click.option("--pseudonym", help="With --leaves-at: the account that leaves the roster.")
@click.option("--leaves-at", type=int, help="From when on the roster does not name it, UTC seconds, a period's start.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
def main(
    root: Path,
    neighbourhood: str,
    gateway: str,
    title: str,
    pseudonym: str | None,
    leaves_at: int | None,
    passphrase_file: Path | None,
) -> None:
    """Revoke one meter, for good: a meter comes back with another title and other keys only."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    try:
        if len(bytes.fromhex(title)) != 8:
            raise DeploymentError("a system title has 8 bytes")
        if (pseudonym is None) != (leaves_at is None):
            raise DeploymentError("--pseudonym and --leaves-at go together")
        facts = read_facts(folder)
        operator = open_operator_key(folder, facts.deployment, read_passphrase(passphrase_file))
        roster = None
        if pseudonym is not None and leaves_at is not None:
            roster = leave(folder, facts, neighbourhood, pseudonym, leaves_at, operator)
        revocation = Revocation(neighbourhood, title.lower(), int(time.time()))
        path = revoke(folder, facts, gateway, revocation, operator)
    except (DeploymentError, DocumentError, SealedSecretError, ValueError) as error:
        console.print(f"revoke_meter: {error}")
        sys.exit(2)
    console.print(f"copy {path} into the concentrator's folder of enrolment records: it refuses the meter from then on")
    if roster is not None:
        console.print(f"the roster without the account, for every machine: {roster}")


if __name__ == "__main__":
    main()
