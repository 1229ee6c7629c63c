"""Signs a tariff: checks what a person wrote, and makes the document that the key holder and the MDMS go by."""

import sys
from pathlib import Path

import click
from Crypto.PublicKey.ECC import EccKey
from rich.console import Console

from mdms.keyholder.vault import SealedSecretError
from mdms.pricing import described
from protocol.documents import Document, DocumentError, parse
from protocol.tariffs import Tariff, TariffBook, check_tariff, open_tariff, sign_tariff, tariff_id

from .ceremony import read_facts, read_passphrase
from .deployment import Deployment, DeploymentError, write_document
from .enrol import open_operator_key


def publish_tariff(folder: Deployment, deployment: str, tariff: Tariff, operator: EccKey) -> Path:
    """Sign a tariff into the deployment's public folder and return its file. Raises DocumentError, DeploymentError.

    What contradicts a tariff that is there already is refused before anything is written.
    """
    check_tariff(tariff)
    document = sign_tariff(operator, deployment, tariff)
    path = folder.tariffs / f"{tariff.name}.v{tariff.version}.json"
    if path.exists():
        raise DeploymentError(f"{path} exists already: another tariff has another version")
    known = {}
    for there in sorted(folder.tariffs.glob("*.json")):
        signed: Document = parse(there.read_bytes(), Document)
        known[tariff_id(signed, deployment)] = open_tariff(signed, deployment, operator)
    TariffBook(known | {tariff_id(document, deployment): tariff})
    write_document(path, document)
    return path


@click.command()
@click.option("--deployment", "root", type=click.Path(path_type=Path, exists=True), required=True, help="Its folder.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.argument("tariff", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(root: Path, passphrase_file: Path | None, tariff: Path) -> None:
    """Sign TARIFF, a JSON file, with the operator's key into public/tariffs.

    Its valid_from must be the start of a billing period that has not begun: the key holder refuses any other.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = Deployment(root)
    try:
        facts = read_facts(folder)
        wanted: Tariff = parse(tariff.read_bytes(), Tariff)
        operator = open_operator_key(folder, facts.deployment, read_passphrase(passphrase_file))
        path = publish_tariff(folder, facts.deployment, wanted, operator)
    except (DeploymentError, DocumentError, SealedSecretError, OSError) as error:
        console.print(f"sign_tariff: {error}", markup=False)
        sys.exit(2)
    console.print(f"{described(wanted)}", markup=False, highlight=False)
    console.print(f"signed: {path}; hand it to the key holder and the MDMS, and start them again", highlight=False)


if __name__ == "__main__":
    main()
