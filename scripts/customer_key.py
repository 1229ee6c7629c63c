"""The customer's key pair, made on the customer's own machine: the private half never leaves it."""

import sys
from pathlib import Path

import click
from Crypto.PublicKey import ECC
from rich.console import Console

from protocol.envelopes import fingerprint

from .ceremony import read_passphrase
from .deployment import DeploymentError, write_private

PROTECTION = "PBKDF2WithHMAC-SHA512AndAES256-CBC"
ROUNDS = 210_000  # OWASP's recommendation for PBKDF2-HMAC-SHA512


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the private key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
def main(out: Path, passphrase_file: Path | None) -> None:
    """Make a customer's X25519 key pair: OUT (private, sealed with a passphrase) and OUT.pub (for enrolment)."""
    console = Console(stderr=True, soft_wrap=True)
    try:
        passphrase = read_passphrase(passphrase_file)
        key = ECC.generate(curve="Curve25519")
        pem = key.export_key(
            format="PEM", passphrase=passphrase, protection=PROTECTION, prot_params={"iteration_count": ROUNDS}
        )
        write_private(out, pem.encode())
        public = out.with_name(out.name + ".pub")
        write_private(public, key.public_key().export_key(format="PEM").encode())
    except DeploymentError as error:
        console.print(f"customer-key: {error}")
        sys.exit(2)
    console.print(f"fingerprint, to be compared at enrolment: {fingerprint(key)}")
    console.print("Lose this file or its passphrase, and no one can open your detail again: keep a copy.")


if __name__ == "__main__":
    main()
