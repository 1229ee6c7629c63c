"""Enrolment: gives meters their roots and customers theirs, and puts the meters on a signed roster.

A meter's two roots are made here from the system's randomness. The hop root ends as chain values at the meter and the
concentrator. The customer root ends as a chain value at the meter and in an HPKE envelope that only the customer opens;
it is never printed or written. Both roots are forgotten when this returns: for a moment this tool has seen them.
"""

import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa
from rich.console import Console

from mdms.keyholder.vault import SealedSecretError, read_sealed
from protocol import keychain, windows
from protocol.documents import Document, DocumentError, canonical_json, import_public_key, parse, sign, to_base64url
from protocol.envelopes import ENVELOPE, fingerprint, seal_root
from protocol.reports import PSEUDONYM_BYTES
from protocol.rosters import Member, Roster, open_roster, sign_roster

from .ceremony import OPERATOR_KEY, Facts, checked_key, read_facts, read_passphrase
from .deployment import Deployment, DeploymentError, write_document, write_private
from .flash.enrolling import meter_on
from .flash.install import version
from .flash.port import PortError
from .label import check_label, write_label

Deliver = Callable[[dict[str, Any]], None]  # takes what a meter is given; raises where it does not arrive
DEFAULT_RATING_W = 3 * 100 * 230  # three phases of 100 A


@dataclass(frozen=True)
class NewMeter:
    """A meter to enrol: its system title (8 bytes), its customer's X25519 public key, its registers in mWh.

    ``pseudonym`` is its account's, where that was chosen already; it is made at random otherwise.
    One that takes another's place names that one's system title in ``replaces``, and its last registers, None where
    they could not be read.
    """

    system_title: bytes
    customer: EccKey
    series: int = 1
    first_import_mwh: int = 0
    first_export_mwh: int = 0
    replaces: str | None = None
    final_import_mwh: int | None = None
    final_export_mwh: int | None = None
    pseudonym: str | None = None


@dataclass(frozen=True)
class Terms:
    """What a neighbourhood's roster says besides its members."""

    neighbourhood: str
    gateway: str
    since: int
    zone: str = "UTC"
    interval_s: int = 900
    rating_w: int = DEFAULT_RATING_W


def enrol(
    folder: Deployment,
    facts: Facts,
    terms: Terms,
    meters: Sequence[NewMeter],
    operator: EccKey,
    deliver: Deliver | None = None,
    moves_out: str | None = None,
) -> list[str]:
    """Enrol meters into a neighbourhood from ``terms.since`` on; returns their pseudonyms.

    Hand out a roster before its ``since``: enrolling more from the same moment on replaces it by its next version.
    Writes a file for each meter, one for its concentrator, the customers' envelopes and a new roster; with
    ``deliver`` no meter's file but what it does with a meter's keys, before anything is written. The account
    ``moves_out`` ends where these begin: its tenant has moved out. Raises
    DeploymentError and what ``deliver`` raises; nothing is written before everything has been checked.
    """
    known = {place.name: place for place in facts.neighbourhoods}
    if terms.neighbourhood not in known:
        raise DeploymentError(f"no key was made for neighbourhood {terms.neighbourhood}; there are {', '.join(known)}")
    for meter in meters:
        if len(meter.system_title) != 8:
            raise DeploymentError("a system title has 8 bytes")
        if (folder.meters / f"{meter.system_title.hex()}.json").exists():
            raise DeploymentError(f"meter {meter.system_title.hex()} is enrolled already")
        if record_path(folder, terms.gateway, meter.system_title.hex()).exists():
            raise DeploymentError(f"meter {meter.system_title.hex()} is enrolled already at {terms.gateway}")
    place = known[terms.neighbourhood]
    # A roster is the operator's word that this key may be encrypted under: not without its proof.
    checked_key(folder.facts.parent, facts.deployment, place)
    before = newest_roster(folder, facts, terms.neighbourhood)
    if before is not None and before.valid_from > terms.since:
        raise DeploymentError(
            f"the roster of {terms.neighbourhood} is made from {before.valid_from} on: enrol from then"
        )
    staying = _staying(before, terms, moves_out)
    pseudonyms = [meter.pseudonym or to_base64url(secrets.token_bytes(PSEUDONYM_BYTES)) for meter in meters]
    _check_new(folder, pseudonyms)
    roster = Roster(
        neighbourhood=terms.neighbourhood,
        version=before.version + 1 if before else 1,
        valid_from=terms.since,
        zone=terms.zone,
        interval_s=terms.interval_s,
        rating_w=terms.rating_w,
        # What the newest roster says: the concentrator may be another than at the ceremony.
        concentrator=before.concentrator if before else place.concentrator,
        paillier_key=place.paillier_key,
        paillier_n=place.paillier_n,
        members=[*staying, *(Member(name, terms.since) for name in pseudonyms)],
    )
    zone = roster.tz()
    windows.check_alignment(windows.Span(terms.since, terms.since + 366 * 86400), terms.interval_s, zone)
    for meter, pseudonym in zip(meters, pseudonyms, strict=True):
        write_meter(folder, facts, terms, meter, pseudonym, operator, deliver)
    document = sign_roster(operator, facts.deployment, roster)
    write_document(roster_path(folder, roster), document)
    if before is not None and before.valid_from == roster.valid_from:
        # Two rosters cannot be in force from one moment on: this one has all members of the other, and replaces it.
        roster_path(folder, before).unlink()
    return pseudonyms


def _staying(before: Roster | None, terms: Terms, moves_out: str | None) -> list[Member]:
    members = before.members if before else []
    leaving = [member for member in members if member.pseudonym == moves_out]
    # One that begins at the same moment would never have been there: its roster is the one that is replaced.
    if moves_out is not None and not any(member.since < terms.since for member in leaving):
        raise DeploymentError(
            f"no account {moves_out[:64]} of before {terms.since} is on {terms.neighbourhood}'s roster"
        )
    return [member for member in members if member not in leaving]


def _check_new(folder: Deployment, pseudonyms: Sequence[str]) -> None:
    """Refuse an account that there is or was: its windows and bills would be taken for another's."""
    for pseudonym in pseudonyms:
        if (folder.envelopes / f"{pseudonym}.json").exists():
            raise DeploymentError(f"the pseudonym {pseudonym} is an account's already")
    if len(set(pseudonyms)) != len(pseudonyms):
        raise DeploymentError("two meters are given one pseudonym")


def roster_path(folder: Deployment, roster: Roster) -> Path:
    """Return where a roster lies."""
    return folder.rosters / f"{roster.neighbourhood}.v{roster.version}.json"


def record_path(folder: Deployment, gateway: str, title: str) -> Path:
    """Return where a concentrator's record of a meter lies."""
    return folder.gateway(gateway) / "enrolment" / f"{title}.json"


def write_meter(
    folder: Deployment,
    facts: Facts,
    terms: Terms,
    meter: NewMeter,
    pseudonym: str,
    operator: EccKey,
    deliver: Deliver | None = None,
) -> None:
    """Write a meter's file, its concentrator's record and its customer's envelope, with keys that are new.

    With ``deliver`` the meter's keys go to it first, and into no file.
    """
    epoch = keychain.epoch_of(terms.since)
    hop_root, customer_root = secrets.token_bytes(keychain.KEY_BYTES), secrets.token_bytes(keychain.KEY_BYTES)
    hello_key, time_key = keychain.clock_keys(hop_root)
    title = meter.system_title.hex()
    shared = {
        "system_title": title,
        "epoch": epoch,
        "hop_chain": keychain.first_chain(hop_root).hex(),
        "hello_key": hello_key.hex(),
        "time_key": time_key.hex(),
        "series": meter.series,
    }
    device = {
        **shared,
        "customer_chain": keychain.first_chain(customer_root).hex(),
        "salt_secret": secrets.token_hex(keychain.KEY_BYTES),
    }
    record = {
        **shared,
        "pseudonym": pseudonym,
        "neighbourhood": terms.neighbourhood,
        "since": terms.since,
        "first_import_mwh": meter.first_import_mwh,
        "first_export_mwh": meter.first_export_mwh,
        **(_replacement(meter) if meter.replaces else {}),
    }
    envelope = seal_root(meter.customer, customer_root, meter.system_title, pseudonym, epoch)
    signed = sign(operator, ENVELOPE, facts.deployment, canonical_json(envelope))
    if deliver:
        deliver(device)
    else:
        write_private(folder.meters / f"{title}.json", msgspec.json.encode(device))
    write_private(record_path(folder, terms.gateway, title), msgspec.json.encode(record))
    write_document(folder.envelopes / f"{pseudonym}.json", signed)


def _replacement(meter: NewMeter) -> dict[str, object]:
    return {
        "replaces": meter.replaces,
        "final_import_mwh": meter.final_import_mwh,
        "final_export_mwh": meter.final_export_mwh,
    }


def newest_roster(folder: Deployment, facts: Facts, neighbourhood: str) -> Roster | None:
    """Return a neighbourhood's newest roster; raises DeploymentError for one that the operator did not sign."""
    operator = import_public_key(facts.operator_key)
    newest: Roster | None = None
    for path in folder.rosters.glob(f"{neighbourhood}.v*.json"):
        try:
            roster = open_roster(parse(path.read_bytes(), Document), facts.deployment, operator)
        except DocumentError as error:
            raise DeploymentError(f"{path}: {error}") from None
        if newest is None or roster.version > newest.version:
            newest = roster
    return newest


def open_operator_key(folder: Deployment, deployment: str, passphrase: str) -> EccKey:
    """Return the operator's private key; raises SealedSecretError."""
    return eddsa.import_private_key(read_sealed(folder.operator_key, OPERATOR_KEY, deployment, passphrase))


def read_customer_key(path: Path) -> EccKey:
    """Return the X25519 public key in a PEM file; raises DeploymentError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        raise DeploymentError(f"{path} cannot be read as text") from None
    if "PRIVATE KEY" in text:
        raise DeploymentError(f"{path} is a private key, which is the customer's alone: give the public one, .pub")
    try:
        key = ECC.import_key(text)
    except (ValueError, IndexError, TypeError):
        raise DeploymentError(f"{path} holds no public key") from None
    if key.curve != "Curve25519":
        raise DeploymentError(f"{path} holds no X25519 key")
    return key


def random_title() -> bytes:
    """Return a system title of our own: three letters as IEC 62056-5-3 has them, five random bytes."""
    return b"HSM" + secrets.token_bytes(5)


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option("--neighbourhood", required=True, help="Where the meter stands.")
@click.option("--gateway", default="gateway-1", show_default=True, help="The concentrator that serves it.")
@click.option("--title", help="System title, 16 hex digits; made at random where none is given.")
@click.option(
    "--customer-key", type=click.Path(path_type=Path, exists=True), required=True, help="X25519 public key, PEM."
)
@click.option("--since", type=int, required=True, help="Start of the tenancy, UTC seconds, a period's start.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone of the neighbourhood's wall clock.")
@click.option("--interval-s", default=900, show_default=True, help="Length of an interval.")
@click.option("--rating-w", default=DEFAULT_RATING_W, show_default=True, help="Most power a meter may report.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--port", "device", help="The meter's serial port: its keys go into it, and into no file.")
@click.option("--replace-enrolment", is_flag=True, help="With --port: give up the meter that it is.")
@click.option("--moves-out", metavar="PSEUDONYM", help="An account that ends there: its tenant moves out.")
@click.option("--label", type=click.Path(path_type=Path), help="New file for the meter's label, .svg or .png.")
def main(
    root: Path,
    neighbourhood: str,
    gateway: str,
    title: str | None,
    customer_key: Path,
    since: int,
    zone: str,
    interval_s: int,
    rating_w: int,
    passphrase_file: Path | None,
    device: str | None,
    replace_enrolment: bool,
    moves_out: str | None,
    label: Path | None,
) -> None:
    """Enrol one meter. The customer confirms the printed fingerprint outside the portal."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    try:
        facts = read_facts(folder)
        operator = open_operator_key(folder, facts.deployment, read_passphrase(passphrase_file))
        customer = read_customer_key(customer_key)
        meter = NewMeter(bytes.fromhex(title) if title else random_title(), customer)
        terms = Terms(neighbourhood, gateway, since, zone, interval_s, rating_w)
        if label:
            check_label(label)
        if device is None:
            (pseudonym,) = enrol(folder, facts, terms, [meter], operator, moves_out=moves_out)
        else:
            with meter_on(device, replace_enrolment, console.print) as deliver:
                (pseudonym,) = enrol(folder, facts, terms, [meter], operator, deliver, moves_out)
        if label:
            write_label(label, meter.system_title.hex(), fingerprint(customer), version())
    except (PortError, DeploymentError, DocumentError, SealedSecretError, ValueError) as error:
        console.print(f"enrol: {error}")
        sys.exit(2)
    console.print(f"meter {meter.system_title.hex()} is enrolled as {pseudonym}")
    console.print(f"customer's fingerprint, to be confirmed outside the portal: {fingerprint(customer)}")
    if label:
        console.print(f"the label to stick on it: {label}")
    if device:
        console.print("the meter holds its keys, and no file of them was written")
        return
    console.print(f"the meter's file: {folder.meters / (meter.system_title.hex() + '.json')}; remove it when it is in")


if __name__ == "__main__":
    main()
