"""Carries out what operators approved at the MDMS: makes the next rosters, envelopes and revocations of it.

The file of requests comes from a web server, and nothing in it is believed: each request is done only where somebody
confirms what it is about from another source: the neighbourhood and the fingerprint of the customer's or the
concentrator's key; for a revocation the meter's system title, and the account that leaves. A web server that was taken
over can ask, and gets nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from Crypto.PublicKey.ECC import EccKey
from msgspec.structs import replace
from rich.console import Console

from mdms.keyholder.vault import SealedSecretError
from mdms.operator.wanted import (
    Approved,
    NotWanted,
    RequestsFile,
    Wanted,
    WantedConcentrator,
    WantedMeter,
    WantedRevocation,
    confirmation,
    customer_key,
    kind_of,
    read_file,
)
from protocol.documents import DocumentError
from protocol.revocations import Revocation
from protocol.rosters import sign_roster

from .ceremony import Facts, read_facts, read_passphrase
from .deployment import Deployment, DeploymentError, write_document
from .enrol import (
    DEFAULT_RATING_W,
    Deliver,
    NewMeter,
    Terms,
    enrol,
    newest_roster,
    open_operator_key,
    record_path,
    roster_path,
)
from .flash.enrolling import meter_on
from .flash.port import PortError
from .revoke_meter import leave, revoke

CONFIRMS = {
    "meter": "neighbourhood and fingerprint of the customer's key",
    "concentrator": "neighbourhood and fingerprint of the concentrator's key",
    "revocation": "system title of the meter, and the account where one leaves",
}


@dataclass(frozen=True)
class FirstTerms:
    """What a neighbourhood's first roster says; a later one keeps what the one before it says."""

    zone: str = "UTC"
    interval_s: int = 900
    rating_w: int = DEFAULT_RATING_W


def carry_out(
    folder: Deployment,
    facts: Facts,
    file: RequestsFile,
    confirmed: Mapping[str, str],
    operator: EccKey,
    first: FirstTerms,
    now: int,
    deliver: Deliver | None = None,
) -> Iterator[tuple[Approved, str]]:
    """Do every request that is confirmed; yields each with what became of it, as it is done.

    ``confirmed`` says by request what somebody heard on another way. Raises DeploymentError before anything is written
    where one of them does not fit its request, or names none; ``deliver`` is for a single meter on a port.
    """
    known = {each.id: each for each in file.requests}
    for name, word in confirmed.items():
        if name not in known:
            raise DeploymentError(f"no request of the file is called {name[:64]}: nothing was written")
        if word != confirmation(known[name].wanted):
            raise DeploymentError(
                f"request {name}: it names another {CONFIRMS[kind_of(known[name].wanted)]} than was confirmed. "
                "Somebody has mistaken or changed it: nothing was written"
            )
    # By time: a roster can only be followed by a later one.
    for each in sorted(file.requests, key=lambda it: (_begins(it), it.id)):
        if each.id not in confirmed:
            yield each, "left out: nobody confirmed it"
        else:
            yield each, _one(folder, facts, each, operator, first, now, deliver)


def _begins(each: Approved) -> int:
    wanted = each.wanted
    return (wanted.leaves_at or 0) if isinstance(wanted, WantedRevocation) else wanted.since


def _one(
    folder: Deployment,
    facts: Facts,
    each: Approved,
    operator: EccKey,
    first: FirstTerms,
    now: int,
    deliver: Deliver | None,
) -> str:
    match each.wanted:
        case WantedMeter() as meter:
            return _meter(folder, facts, meter, operator, first, deliver)
        case WantedConcentrator() as concentrator:
            return _concentrator(folder, facts, concentrator, operator)
        case WantedRevocation() as revocation:
            return _revocation(folder, facts, revocation, operator, now)


def _meter(
    folder: Deployment,
    facts: Facts,
    wanted: WantedMeter,
    operator: EccKey,
    first: FirstTerms,
    deliver: Deliver | None,
) -> str:
    if record_path(folder, wanted.gateway, wanted.system_title).exists() or _is_member(folder, facts, wanted):
        return "done before"
    before = newest_roster(folder, facts, wanted.neighbourhood)
    terms = Terms(
        wanted.neighbourhood,
        wanted.gateway,
        wanted.since,
        before.zone if before else first.zone,
        before.interval_s if before else first.interval_s,
        before.rating_w if before else first.rating_w,
    )
    customer = customer_key(wanted.customer)
    meter = NewMeter(bytes.fromhex(wanted.system_title), customer, pseudonym=wanted.pseudonym)
    enrol(folder, facts, terms, [meter], operator, deliver)
    return f"enrolled as {wanted.pseudonym}"


def _is_member(folder: Deployment, facts: Facts, wanted: WantedMeter) -> bool:
    roster = newest_roster(folder, facts, wanted.neighbourhood)
    return roster is not None and roster.index(wanted.pseudonym) is not None


def _concentrator(folder: Deployment, facts: Facts, wanted: WantedConcentrator, operator: EccKey) -> str:
    before = newest_roster(folder, facts, wanted.neighbourhood)
    if before is None:
        raise DeploymentError(f"{wanted.neighbourhood} has no roster: its first concentrator is the key ceremony's")
    if before.concentrator == wanted.key:
        return "done before"
    if before.valid_from > wanted.since:
        raise DeploymentError(
            f"the roster of {before.neighbourhood} is made from {before.valid_from} on: not before it"
        )
    roster = replace(before, version=before.version + 1, valid_from=wanted.since, concentrator=wanted.key)
    write_document(roster_path(folder, roster), sign_roster(operator, facts.deployment, roster))
    if before.valid_from == wanted.since:
        # Two rosters cannot be in force from one moment on.
        roster_path(folder, before).unlink()
    return f"roster version {roster.version} names it"


def _revocation(folder: Deployment, facts: Facts, wanted: WantedRevocation, operator: EccKey, now: int) -> str:
    done = []
    if wanted.pseudonym is not None and wanted.leaves_at is not None:
        before = newest_roster(folder, facts, wanted.neighbourhood)
        if before is not None and before.index(wanted.pseudonym) is not None:
            leave(folder, facts, wanted.neighbourhood, wanted.pseudonym, wanted.leaves_at, operator)
            done.append("its account leaves the roster")
    if not (folder.revocations / f"{wanted.system_title}.json").exists():
        revocation = Revocation(wanted.neighbourhood, wanted.system_title, now)
        path = revoke(folder, facts, wanted.gateway, revocation, operator)
        done.append(f"revoked: copy {path} into the concentrator's folder of enrolment records")
    return "; ".join(done) or "done before"


def read_confirmations(path: Path) -> dict[str, str]:
    """Return a file of lines `REQUEST WORD...`; empty lines and what follows a # do not count."""
    found = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DeploymentError(f"{path} cannot be read as text") from None
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) == 1 or words[0] in found:
            raise DeploymentError(f"{path}, line {number}: one line a request: its name, and what confirms it")
        found[words[0]] = " ".join(words[1:])
    return found


def ask_confirmations(file: RequestsFile, ask: Callable[[str], str]) -> dict[str, str]:
    """Return what somebody types for each request; what is left empty is left out. What is to be typed is not shown."""
    found = {}
    for each in file.requests:
        kind = kind_of(each.wanted)
        said = (
            f"{each.id}: {kind}, proposed by {each.proposed_by}, approved by {each.approved_by}; {_rest(each.wanted)}"
        )
        typed = ask(f"{said}.\n  {CONFIRMS[kind]}, or nothing").split()
        if typed:
            found[each.id] = " ".join(typed)
    return found


def _rest(wanted: Wanted) -> str:
    """Return what a request says besides what is to be typed, for a person to compare."""

    def day(at: int) -> str:
        return f"from {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"

    match wanted:
        case WantedMeter():
            return f"meter {wanted.system_title} at {wanted.gateway}, {day(wanted.since)}"
        case WantedConcentrator():
            return day(wanted.since)
        case WantedRevocation():
            leaves = "" if wanted.leaves_at is None else f", its account leaves {day(wanted.leaves_at)}"
            return f"in {wanted.neighbourhood} at {wanted.gateway}{leaves}"


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option(
    "--requests",
    "requests_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The file that the operator's page exported.",
)
@click.option(
    "--confirmations",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of lines REQUEST WORD..., from another source than the server. Otherwise each is asked for.",
)
@click.option("--zone", default="UTC", show_default=True, help="Of a neighbourhood's first roster: IANA time zone.")
@click.option("--interval-s", default=900, show_default=True, help="Of a first roster: length of an interval.")
@click.option(
    "--rating-w", default=DEFAULT_RATING_W, show_default=True, help="Of a first roster: most power of a meter."
)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option("--port", "device", help="With one confirmed meter: its serial port; its keys go into no file.")
@click.option("--replace-enrolment", is_flag=True, help="With --port: give up the meter that it is.")
def main(
    root: Path,
    requests_file: Path,
    confirmations: Path | None,
    zone: str,
    interval_s: int,
    rating_w: int,
    passphrase_file: Path | None,
    device: str | None,
    replace_enrolment: bool,
) -> None:
    """Sign what operators approved, each request only where it is confirmed from another source than the file."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    first = FirstTerms(zone, interval_s, rating_w)
    try:
        facts = read_facts(folder)
        file = read_file(requests_file.read_bytes(), facts.deployment)
        confirmed = read_confirmations(confirmations) if confirmations else ask_confirmations(file, _ask)
        if not confirmed:
            raise DeploymentError("nothing was confirmed, and nothing was done")
        operator = open_operator_key(folder, facts.deployment, read_passphrase(passphrase_file))
        if device is None:
            for each, what in carry_out(folder, facts, file, confirmed, operator, first, int(time.time())):
                _tell(console, each, what)
        else:
            _check_single_meter(file, confirmed)
            with meter_on(device, replace_enrolment, console.print) as deliver:
                for each, what in carry_out(folder, facts, file, confirmed, operator, first, int(time.time()), deliver):
                    _tell(console, each, what)
    except (PortError, DeploymentError, DocumentError, SealedSecretError, NotWanted, OSError, ValueError) as error:
        console.print(f"carry_out: {error}", markup=False)
        sys.exit(2)
    console.print(f"hand {folder.facts.parent} to every machine, and start serve, worker and key holder again")


def _tell(console: Console, each: Approved, what: str) -> None:
    console.print(f"{each.id}: {kind_of(each.wanted)}: {what}", markup=False, highlight=False)


def _ask(text: str) -> str:
    return str(click.prompt(text, default="", show_default=False, err=True))


def _check_single_meter(file: RequestsFile, confirmed: Mapping[str, str]) -> None:
    kinds = [kind_of(each.wanted) for each in file.requests if each.id in confirmed]
    if kinds != ["meter"]:
        raise DeploymentError("--port is for one meter: confirm that one request alone")


if __name__ == "__main__":
    main()
