"""Replaces a broken meter: another system title and other keys, the same account, and no energy lost.

The new meter has the old one's pseudonym, so rosters, windows and bills go on; its registers are of a series of their
own. The installer reads the old meter's registers when it is taken down and the new one's when it is put up: the
concentrator bills what lies between the last window and the one, and from the other on.
"""

import sys
from dataclasses import replace
from pathlib import Path

import click
from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from mdms.keyholder.vault import SealedSecretError
from protocol.documents import DocumentError
from protocol.envelopes import fingerprint

from .ceremony import Facts, read_facts, read_passphrase
from .deployment import Deployment, DeploymentError
from .enrol import NewMeter, Terms, newest_roster, open_operator_key, random_title, read_customer_key, write_meter

KEPT = "before"  # the folder of envelopes that a replacement has superseded


def replace_meter(folder: Deployment, facts: Facts, terms: Terms, pseudonym: str, meter: NewMeter, by: EccKey) -> Path:
    """Write the new meter's files; returns where the old envelope went. No roster changes.

    ``by`` is the operator's key. Raises DeploymentError; nothing is written before everything has been checked.
    """
    title = meter.system_title.hex()
    if len(meter.system_title) != 8:
        raise DeploymentError("a system title has 8 bytes")
    if title == meter.replaces:
        raise DeploymentError("the new meter needs a system title of its own")
    if (meter.final_import_mwh is None) != (meter.final_export_mwh is None):
        raise DeploymentError("give both final registers, or neither where the old meter cannot be read")
    if (folder.meters / f"{title}.json").exists():
        raise DeploymentError(f"meter {title} is enrolled already")
    roster = newest_roster(folder, facts, terms.neighbourhood)
    if roster is None or roster.index(pseudonym) is None:
        raise DeploymentError(f"no meter of {terms.neighbourhood} has the pseudonym {pseudonym} on its newest roster")
    terms = replace(terms, zone=roster.zone, interval_s=roster.interval_s, rating_w=roster.rating_w)
    envelope = folder.envelopes / f"{pseudonym}.json"
    kept = folder.envelopes / KEPT / f"{pseudonym}.{meter.replaces}.json"
    if envelope.exists():
        if kept.exists():
            raise DeploymentError(f"{kept} exists already and is not overwritten")
        kept.parent.mkdir(parents=True, exist_ok=True)
        envelope.rename(kept)
    write_meter(folder, facts, terms, meter, pseudonym, by)
    return kept


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option("--neighbourhood", required=True, help="Where the meter stands.")
@click.option("--gateway", default="gateway-1", show_default=True, help="The concentrator that serves it.")
@click.option("--replaces", required=True, help="System title of the old meter, 16 hex digits.")
@click.option("--pseudonym", required=True, help="The account's, as enrolment printed it.")
@click.option("--title", help="System title of the new meter; made at random where none is given.")
@click.option(
    "--customer-key", type=click.Path(path_type=Path, exists=True), required=True, help="X25519 public key, PEM."
)
@click.option("--at", type=int, required=True, help="When the new meter was put up, UTC seconds.")
@click.option("--final-import-mwh", type=click.IntRange(min=0), help="The old meter's import register, mWh.")
@click.option("--final-export-mwh", type=click.IntRange(min=0), help="The old meter's export register, mWh.")
@click.option("--first-import-mwh", type=click.IntRange(min=0), default=0, show_default=True, help="The new one's.")
@click.option("--first-export-mwh", type=click.IntRange(min=0), default=0, show_default=True, help="The new one's.")
@click.option("--series", type=click.IntRange(min=1), default=2, show_default=True, help="One more each time.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
def main(
    root: Path,
    neighbourhood: str,
    gateway: str,
    replaces: str,
    pseudonym: str,
    title: str | None,
    customer_key: Path,
    at: int,
    final_import_mwh: int | None,
    final_export_mwh: int | None,
    first_import_mwh: int,
    first_export_mwh: int,
    series: int,
    passphrase_file: Path | None,
) -> None:
    """Replace a broken meter. Without final registers the account goes on from the last reading that was sent."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    try:
        old = bytes.fromhex(replaces)
        if len(old) != 8:
            raise DeploymentError("a system title has 8 bytes")
        facts = read_facts(folder)
        operator = open_operator_key(folder, facts.deployment, read_passphrase(passphrase_file))
        customer = read_customer_key(customer_key)
        meter = NewMeter(
            bytes.fromhex(title) if title else random_title(),
            customer,
            series,
            first_import_mwh,
            first_export_mwh,
            old.hex(),
            final_import_mwh,
            final_export_mwh,
        )
        kept = replace_meter(folder, facts, Terms(neighbourhood, gateway, at), pseudonym, meter, operator)
    except (DeploymentError, DocumentError, SealedSecretError, ValueError) as error:
        console.print(f"replace_meter: {error}")
        sys.exit(2)
    console.print(f"meter {meter.system_title.hex()} takes the place of {old.hex()} as {pseudonym}, series {series}")
    console.print(f"customer's fingerprint, to be confirmed outside the portal: {fingerprint(customer)}")
    console.print(f"the old meter's envelope, which opens the detail of before, is kept at {kept}")
    if final_import_mwh is None:
        console.print("no final register: what the old meter measured after its last reading is in no bill")


if __name__ == "__main__":
    main()
