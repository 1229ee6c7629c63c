"""The key ceremony: makes a deployment's keys, each where it belongs and nowhere else.

Private keys of the key holder and the operator are sealed with a passphrase before they touch the disk; a
concentrator's identity is a file of its own machine. Nothing private is printed.
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
from paillier import PaillierError
from paillier.private_key import generate_keypair
from protocol.documents import generate_signing_key, import_public_key, key_id, public_key_bytes, to_base64url

from .deployment import Deployment, DeploymentError, write_private

OPERATOR_KEY = "operator-key"
NOT_SAID: Callable[[str], None] = lambda line: None  # noqa: E731 - a value, not a function of ours


class NeighbourhoodFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is fixed about a neighbourhood before its first roster."""

    name: str
    concentrator: str
    paillier_key: str
    paillier_n: str


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``public/deployment.json``."""

    deployment: str
    operator_key: str
    log_key: str
    neighbourhoods: list[NeighbourhoodFacts]


@dataclass(frozen=True)
class Ceremony:
    """What a ceremony is asked to make. One concentrator serves every neighbourhood named here."""

    deployment: str
    neighbourhoods: Sequence[str]
    gateway: str = "gateway-1"
    key_bits: int = 3072
    unsafe_small_key: bool = False


def perform(folder: Deployment, plan: Ceremony, passphrase: str, said: Callable[[str], None] = NOT_SAID) -> Facts:
    """Make every key of a deployment. Raises DeploymentError or PaillierError; overwrites nothing."""
    if folder.facts.exists():
        raise DeploymentError(f"{folder.root} holds a deployment already: choose an empty folder")
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
        facts.append(_neighbourhood(folder, plan, name, identity, passphrase))
        said(f"neighbourhood {name}: Paillier key of {plan.key_bits} bits, fingerprint {facts[-1].paillier_key}")
    result = Facts(plan.deployment, _public(operator), _public(log_key), facts)
    folder.facts.parent.mkdir(parents=True, exist_ok=True)
    folder.facts.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return result


def _neighbourhood(
    folder: Deployment, plan: Ceremony, name: str, identity: EccKey, passphrase: str
) -> NeighbourhoodFacts:
    private = generate_keypair(plan.key_bits, unsafe_small_key=plan.unsafe_small_key)
    seal_private_key(folder.keyholder / "keys", name, private, passphrase)
    return NeighbourhoodFacts(
        name=name,
        concentrator=_public(identity),
        paillier_key=private.public.fingerprint,
        paillier_n=private.public.to_jwk()["n"],
    )


def _public(key: EccKey) -> str:
    return to_base64url(public_key_bytes(key))


def read_facts(folder: Deployment) -> Facts:
    """Return a deployment's public facts; raises DeploymentError."""
    try:
        return msgspec.json.decode(folder.facts.read_bytes(), type=Facts)
    except OSError:
        raise DeploymentError(f"{folder.root} holds no deployment: run the key ceremony first") from None
    except msgspec.DecodeError as error:
        raise DeploymentError(f"{folder.facts} cannot be read: {error}") from None


def read_passphrase(path: Path | None) -> str:
    """Return the passphrase from a file, or ask for it; raises DeploymentError."""
    if path is None:
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
        return text
    try:
        return read_passphrase_file(path)
    except CannotStart as error:
        raise DeploymentError(str(error)) from None


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="An empty folder.")
@click.option("--deployment", required=True, help="The deployment's name; it is part of every signature.")
@click.option("--neighbourhood", "neighbourhoods", multiple=True, required=True, help="One per key; may be repeated.")
@click.option("--gateway", default="gateway-1", show_default=True, help="The concentrator that serves them.")
@click.option("--key-bits", default=3072, show_default=True, help="Length of each Paillier modulus.")
@click.option("--unsafe-small-key", is_flag=True, help="Allow less than 2048 bits: for tests only.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
def main(
    out: Path,
    deployment: str,
    neighbourhoods: tuple[str, ...],
    gateway: str,
    key_bits: int,
    unsafe_small_key: bool,
    passphrase_file: Path | None,
) -> None:
    """Make a deployment's keys: operator, release log, concentrator, one Paillier key per neighbourhood."""
    console = Console(stderr=True, soft_wrap=True)
    plan = Ceremony(deployment, neighbourhoods, gateway, key_bits, unsafe_small_key)
    try:
        passphrase = read_passphrase(passphrase_file)
        with console.status("making keys"):
            facts = perform(Deployment(out), plan, passphrase, console.print)
    except (DeploymentError, PaillierError) as error:
        console.print(f"ceremony: {error}")
        sys.exit(2)
    console.print(f"operator's fingerprint: {key_id(import_public_key(facts.operator_key))}")
    console.print(f"The key holder's part is {out / 'keyholder'}: move it to the key holder's machine, then remove it.")


if __name__ == "__main__":
    main()
